"""One-to-many: a character language model that is told the language by the first token it reads, a BEGIN a language."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import networks, parallel
from experiments.common.flags import UserError
from experiments.common.text_classification.measurement import READ_AT_A_TIME
from experiments.common.text_classification.texts import Part, Texts
from rnn_jax import training
from rnn_jax.data import Examples, OneHot, Vocabulary, pad
from rnn_jax.models import LanguageModel, Nucleus, generate, nats_per_token

STRATEGY = Nucleus(0.95)
LONGEST = 64  # characters of a generated name at the most


@dataclasses.dataclass(frozen=True, eq=False)
class Generator:
    """A language model of names, ready to be trained."""

    classes: tuple[str, ...]  # the languages
    vocabulary: Vocabulary  # characters, and after them the BEGIN of each language
    trainer: training.Trainer[LanguageModel]
    examples: dict[str, Examples]  # by part; steps: ids [T, N] with the BEGIN before and END after; whole: lengths [N]
    epochs: int

    @property
    def work(self) -> int:
        """Optimization steps."""
        return self.epochs * training.epoch_steps([self.examples["training"]], self.trainer.batch_size)


@dataclasses.dataclass(frozen=True)
class Writing:
    """What became of it."""

    fit: training.Fit  # one seed; its scores are nats per character of the validation part, END counted
    test: float  # nats per character of the test part
    other: float  # the same where another language is named before each name


def generator(
    texts: Texts, cell: str, size: int, epochs: int, batch_size: int, learning_rate: float, clip: training.ClipByNorm
) -> Generator:
    """The language model of the names of `texts`.

    Raises:
      UserError: where there is no such cell, or it cannot be trained and stepped.
    """
    begins = tuple(_begin(name) for name in texts.classes)
    vocabulary = Vocabulary((*texts.vocabulary.tokens, *begins))
    (made,) = networks.make_cells(cell, len(vocabulary), size, texts.longest, 1)
    model = LanguageModel(OneHot(len(vocabulary)), made)

    def use(key: jax.Array) -> Any:
        params, ids = model.init(key), jnp.zeros((2, 1), int)
        step = model.step(params, model.network.cell.initial_state(params.cell, (1,)), ids[0])
        return jax.value_and_grad(lambda p: model.loss(p, ids, ids, key=key)[1])(params), step

    try:
        jax.eval_shape(use, jax.random.key(0))
    except Exception as error:  # a user's own code
        raise UserError(f"--generator={cell} cannot be used: {type(error).__name__}: {error}") from error
    examples = {name: _examples(part, texts, vocabulary) for name, part in texts.parts.items()}
    steps = epochs * training.epoch_steps([examples["training"]], batch_size)
    optimizer = training.CosineDecay(training.Adam(learning_rate), steps)
    return Generator(texts.classes, vocabulary, training.Trainer(model, batch_size, optimizer, clip), examples, epochs)


def _begin(language: str) -> str:
    return f"<{language}>"  # of several characters: no character is this


def _examples(part: Part, texts: Texts, vocabulary: Vocabulary) -> Examples:
    languages = [_begin(texts.classes[label]) for label in part.labels]
    pairs = zip(languages, part.labelled.texts, strict=True)
    padded = pad([vocabulary.encode([language, *text], end=True) for language, text in pairs])
    return Examples(jnp.asarray(padded.values), jnp.asarray(padded.lengths))


def learn(
    generator: Generator,
    key: jax.Array,
    looked: Callable[[training.Fit], None],
    session: training.Session,
) -> Writing | None:
    """Trains it; None where it was stopped. Arguments as `text_classification.measurement.measure`'s."""
    model = generator.trainer.model

    def nats(params: Any, examples: Examples) -> np.ndarray:
        sums = training.predict(model, sum_of_nats, params, examples, READ_AT_A_TIME)
        return sums.sum(axis=1) / float(jnp.sum(examples.whole - 1))

    fit = training.fit(
        generator.trainer,
        loss,
        [generator.examples["training"]],
        parallel.begin(generator.trainer, key[None]),
        generator.epochs,
        lambda params: nats(params, generator.examples["validation"]),
        on_epoch=looked,
        session=session,
    )
    if fit is None:
        return None
    test = generator.examples["test"]
    # The next language in their order: every name is told a wrong one.
    count = len(generator.classes)
    first = len(generator.vocabulary) - count
    wrong = test.steps.at[0].set(first + (test.steps[0] - first + 1) % count)
    return Writing(fit, float(nats(fit.params, test)[0]), float(nats(fit.params, test._replace(steps=wrong))[0]))


def loss(model: LanguageModel, params: Any, batch: Examples, key: jax.Array) -> jax.Array:
    """Nats per character, END counted."""
    return model.loss(params, batch.steps[:-1], batch.steps[1:], lengths=batch.whole - 1, key=key)[1]


def sum_of_nats(model: LanguageModel, params: Any, batch: Examples) -> jax.Array:
    """Of each name, [B]."""
    _, logits = model.apply(params, batch.steps[:-1], lengths=batch.whole - 1)
    valid = jnp.arange(len(logits))[:, None] < (batch.whole - 1)[None]
    nats = jax.vmap(nats_per_token, in_axes=1)(logits, batch.steps[1:], valid)
    return nats * (batch.whole - 1)


def write(generator: Generator, params: Any, languages: np.ndarray, key: jax.Array) -> list[str]:
    """A name of each of `languages`, integers [N]: places in its classes. One that came to no end is cut."""
    prompts = generator.vocabulary.encode([_begin(generator.classes[language]) for language in languages])[None]
    tokens, lengths = generate(
        generator.trainer.model,
        jax.tree.map(lambda leaf: leaf[0], params),
        STRATEGY,
        key,
        prompts,
        count=LONGEST,
        end=Vocabulary.END,
        max_length=LONGEST + 1,
    )
    columns = zip(np.asarray(tokens).T, np.asarray(lengths).tolist(), strict=True)
    return ["".join(generator.vocabulary.decode(column[1:length])) for column, length in columns]
