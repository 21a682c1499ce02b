"""One-to-many: a character language model whose first token is the language, one BEGIN for each."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import classification, fitting, networks
from experiments.common.fitting import Network
from experiments.common.moments import split_seeds
from experiments.common.runner import Job, init_state
from experiments.common.texts import Split, TextConfig, Texts, encode
from rnn_jax import training
from rnn_jax.applications import TextGenerator
from rnn_jax.applications.text_generator import begin
from rnn_jax.data import Examples, Labelled, OneHot, Vocabulary, pad
from rnn_jax.data.stratified import same
from rnn_jax.models import LanguageModel, Nucleus, nats_per_token

STRATEGY = Nucleus(0.95)
LONGEST = 64  # characters of a generated name at most
COUNT = 1000  # names to generate


@dataclasses.dataclass(frozen=True, eq=False)
class Generator:
    """A language model of names to be trained.

    Args:
      config: epochs, batch size and seed of its training.
      texts: names.
      vocabulary: characters, followed by the BEGIN of each language.
      network: language model.
      application: the same as one that writes names.
      examples: names by split; `steps`: BEGIN, characters and END [T, N]; `whole`: lengths [N].
    """

    config: TextConfig
    texts: Texts
    vocabulary: Vocabulary
    network: Network
    application: TextGenerator
    examples: dict[str, Examples]


class Generated(NamedTuple):
    """COUNT generated names, the languages taking turns, and nats per character on the test set."""

    nats: np.ndarray  # [1], END included
    other_nats: np.ndarray  # [1], if another language is given
    names: list[str]
    languages: np.ndarray  # requested classes [COUNT]
    new: np.ndarray  # bool [COUNT]: whether the name is not in the training set, under any language
    recognised: np.ndarray  # bool [seeds, COUNT]: whether the classifier predicts the requested language

    @property
    def different(self) -> int:
        """Number of different names."""
        return len({same(name) for name in self.names})


Outcome = fitting.Outcome[Generated]


def make_generator(config: TextConfig, cell: str, size: int, texts: Texts) -> Generator:
    """Returns a generator of the names in `texts`, with a cell of `size` units, to be trained as `config` says.

    Raises:
      UserError: if there is no such cell, or it cannot be trained and stepped.
    """
    vocabulary = Vocabulary((*texts.vocabulary.tokens, *map(begin, texts.classes)))
    model = LanguageModel(OneHot(len(vocabulary)), networks.make_cell(cell, len(vocabulary), size, texts.longest))

    def use(key: jax.Array) -> Any:
        params, ids = model.init(key), jnp.zeros((2, 1), int)
        step = model.step(params, model.network.cell.initial_state(params.cell, (1,)), ids[0])
        return jax.grad(lambda p: model.loss(p, ids, ids, key=key)[1])(params), step

    networks.probe(f"--generator={cell}", use)
    examples = {name: _examples(split, vocabulary) for name, split in texts.splits.items()}
    application = TextGenerator(model, vocabulary, STRATEGY, LONGEST, texts.classes)
    network = Network("generator", config.trainer(model, [examples["training"]]), application=application)
    return Generator(config, texts, vocabulary, network, application, examples)


def _examples(split: Split, vocabulary: Vocabulary) -> Examples:
    texts, labels, classes = split.labelled
    ids = [vocabulary.encode([begin(classes[n]), *text], end=True) for text, n in zip(texts, labels, strict=True)]
    padded = pad(ids)
    return Examples(jnp.asarray(padded.values), jnp.asarray(padded.lengths))


def job(
    generator: Generator, judge: classification.Outcome, records: Callable[[Outcome], list[dict[str, Any]]]
) -> Job[Outcome]:
    """Returns the job that trains a generator and generates names, which all seeds of the classifier `judge` read."""
    model, examples = generator.network.trainer.model, generator.examples

    def nats(params: Any, split: Examples) -> np.ndarray:
        sums = training.predict(model, sum_nats, params, split, classification.EVALUATED)
        return sums.sum(axis=1) / float(jnp.sum(split.whole - 1))

    def test(params: Any) -> Generated:
        other = examples["test"]._replace(steps=_other_languages(generator, examples["test"].steps))
        return _generated(generator, params, judge, nats(params, examples["test"]), nats(params, other))

    key = jax.random.fold_in(jax.random.key(generator.config.seed), 1)
    fit_job = fitting.fit_job(
        generator.network,
        generator.config,
        loss,
        [examples["training"]],
        score=lambda params: nats(params, examples["validation"]),
        test=test,
        records=records,
        init=lambda: init_state(generator.network.trainer, key[None]),
    )
    return dataclasses.replace(
        fit_job, summary=lambda outcome: f"generator: validation {outcome.validation[0]:.3f} nats per character"
    )


def loss(model: LanguageModel, params: Any, batch: Examples, key: jax.Array) -> jax.Array:
    """Returns nats per character of a batch, END included."""
    return model.loss(params, batch.steps[:-1], batch.steps[1:], lengths=batch.whole - 1, key=key)[1]


def sum_nats(model: LanguageModel, params: Any, batch: Examples) -> jax.Array:
    """Returns the nats of each name [B], END included."""
    _, logits = model.apply(params, batch.steps[:-1], lengths=batch.whole - 1, key=None)
    valid = jnp.arange(len(logits))[:, None] < (batch.whole - 1)[None]
    nats = jax.vmap(nats_per_token, in_axes=1)(logits, batch.steps[1:], valid)
    return nats * (batch.whole - 1)


def _other_languages(generator: Generator, ids: jax.Array) -> jax.Array:
    """Replaces the language of each name by the next one, so that every name has a wrong one."""
    count = len(generator.texts.classes)
    first = len(generator.vocabulary) - count
    return ids.at[0].set(first + (ids[0] - first + 1) % count)


def _generated(
    generator: Generator, params: Any, judge: classification.Outcome, nats: np.ndarray, other_nats: np.ndarray
) -> Generated:
    """Generates names and lets the classifier predict their languages."""
    texts = generator.texts
    languages = np.arange(COUNT) % len(texts.classes)
    names = write(generator, params, languages, jax.random.key(generator.config.seed))
    known = {same(name) for name in texts.splits["training"].labelled.texts}
    new = np.array([same(name) not in known for name in names])
    labelled = Labelled(tuple(names), languages.astype(np.int32), texts.classes)
    split = encode(labelled, texts.vocabulary, texts.tokenizer)
    recognised = classification.predictions(judge.network.trainer.model, judge.fit.params, split) == languages
    return Generated(nats, other_nats, names, languages, new, recognised)


def write(generator: Generator, params: Any, languages: np.ndarray, key: jax.Array) -> list[str]:
    """Returns one name for each of `languages`, indices of classes [N]; a name without END is cut."""
    return generator.application.write(split_seeds(params)[0], [generator.texts.classes[n] for n in languages], key)
