"""Config, flags, and everything that follows from them, checked before anything is run."""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp

from experiments.common import flags, networks, not_finite, splits
from experiments.common.flags import EngineConfig, UserError, setting
from rnn_jax import RecurrentDropout, training
from rnn_jax.data import Corpus, OneHot, Streams, Vocabulary, read_text, split, standard_library
from rnn_jax.models import LanguageModel

DEFAULT_CORPUS = 1_000_000  # characters of the standard library's source
EVALUATED = ("validation", "test")
EVALUATED_STREAMS = 16  # few, as each starts without a past, and enough to fill a product
PROMPT = 64  # characters of the test set


@dataclasses.dataclass(frozen=True)
class Config(EngineConfig):
    """Config of a run; every field is a flag."""

    data: str | None = setting(None, "UTF-8 text file; by default a million characters of Python's standard library.")
    split: tuple[str, ...] = setting(("90", "5", "5"), "Percents: training, validation, test, in order.", checked=False)
    prompt: str | None = setting(None, f"Start of the sample; by default {PROMPT} characters of the test set.")
    cell: str = setting("lstm", networks.CELL_HELP)
    hidden_size: int = setting(512, "Units of each layer.")
    layers: int = setting(1, "Number of layers.")
    segment: int = setting(64, "Steps through which the gradient is propagated; the state is carried on.")
    batch_size: int = setting(32, "Streams that the training set is cut into.")
    epochs: float = setting(10.0, "Epochs, rounded up to the next multiple of --checkpoints in steps.")
    steps: int | None = setting(None, "Optimization steps, one a segment; replaces --epochs.", replaces=("epochs",))
    checkpoints: int = setting(20, "Number of evaluations on the validation set over the training.")
    learning_rate: float = setting(5e-3, "Adam's initial learning rate; it falls to 0 along a cosine.")
    clip_norm: float = setting(1.0, "Global gradient norm to which gradients are clipped.")
    dropout: float = setting(0.2, "Share of the units dropped, recurrently and between layers.", share=True)
    not_finite: str = setting("stop", not_finite.HELP, choices=tuple(not_finite.POLICIES))

    @property
    def networks(self) -> int:
        return 1


QUICK = Config(hidden_size=96, segment=32, steps=800, checkpoints=8, learning_rate=0.01, dropout=0.0)


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """Everything that a config asks for."""

    source: str  # description of the text
    corpus: Corpus
    model: LanguageModel
    trainer: training.Trainer
    streams: dict[str, Streams]  # by split
    steps: int
    prompt: str

    @property
    def note(self) -> str:
        """First line of output: what was read."""
        sizes = ", ".join(f"{len(getattr(self.corpus, name)):,} {name}" for name in ("training", *EVALUATED))
        tokens = self.corpus.vocabulary.tokens
        return f"{self.source}: UTF-8, {len(tokens)} characters in the vocabulary; in this order {sizes}"


def plan(config: Config) -> Plan:
    """Returns everything that a config asks for.

    Raises:
      UserError: if a flag's value cannot be run.
    """
    flags.check(config)
    if config.steps is not None and config.steps % config.checkpoints:
        raise UserError(f"--steps must be a multiple of --checkpoints {config.checkpoints}, got {config.steps}")
    source, texts = _texts(config)
    corpus = Corpus.of(*texts)
    streams = {}
    for name, count in ({"training": config.batch_size} | dict.fromkeys(EVALUATED, EVALUATED_STREAMS)).items():
        with flags.user_errors(f"{source}, {name} set with --segment={config.segment}"):
            streams[name] = Streams.of(getattr(corpus, name), count, config.segment)
    model = _model(config, len(corpus.vocabulary))
    rounded = math.ceil(config.epochs * streams["training"].segments / config.checkpoints) * config.checkpoints
    steps = config.steps or rounded
    optimizer = training.CosineDecay(training.Adam(config.learning_rate), steps)
    clip, policy = training.ClipByNorm(config.clip_norm), not_finite.POLICIES[config.not_finite]
    trainer = training.Trainer(model.network, config.batch_size, optimizer, clip, config.estimator, not_finite=policy)
    return Plan(source, corpus, model, trainer, streams, steps, _prompt(config, texts[-1], corpus.vocabulary))


def _texts(config: Config) -> tuple[str, tuple[str, str, str]]:
    """Returns a description of the text, and the texts of its three splits."""
    source = "Python's standard library" if config.data is None else config.data
    with flags.user_errors("--data"):
        text = standard_library(DEFAULT_CORPUS) if config.data is None else read_text(config.data)
    with flags.user_errors(f"--split={','.join(config.split)}, {source}"):
        return source, split(text, splits.shares(config.split))


def _model(config: Config, size: int) -> LanguageModel:
    """Returns the model; with one-hot characters, the lowest layer's input matrix is their embedding."""

    def make() -> LanguageModel:
        shape = (size, config.hidden_size, config.segment, config.layers)
        dropped = (functools.partial(RecurrentDropout, rate=config.dropout), config.dropout) if config.dropout else ()
        return LanguageModel(OneHot(size), networks.make_stack(config.cell, *shape, *dropped))

    def use(key: jax.Array) -> Any:
        model, ids = make(), jnp.zeros((2, 1), int)
        params = model.init(key)
        gradient = jax.grad(lambda p: model.loss(p, ids, ids, engine=config.estimator.engine, key=key)[1])(params)
        return gradient, model.step(params, model.network.cell.initial_state(params.cell, (1,)), ids[0])

    networks.probe(f"--cell={config.cell} with --dropout={config.dropout:g}", use)
    return make()


def _prompt(config: Config, test: str, vocabulary: Vocabulary) -> str:
    if config.prompt is None:
        return test[:PROMPT]
    if not config.prompt or not {*config.prompt} <= {*vocabulary.tokens}:
        raise UserError(f"--prompt must be of characters that occur in the training set, got {config.prompt!r:.99}")
    return config.prompt
