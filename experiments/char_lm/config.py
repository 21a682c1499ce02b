"""What is run: the config, its flags' meaning, and what follows from it, checked before anything is run."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import networks, not_finite
from experiments.common.flags import UserError, check_positive, check_shares, setting
from rnn_jax import Cell, Dropout, RecurrentDropout, Stack, cells, training
from rnn_jax.data import Corpus, OneHot, Streams, Vocabulary, read_text, split, standard_library
from rnn_jax.models import LanguageModel

DEFAULT_CORPUS = 1_000_000  # characters of the standard library's source
PARTS_LOOKED_AT = ("validation", "test")
EVALUATED_STREAMS = 16  # of a part: few, as each begins without a past, and enough to fill a product
PROMPT = 64  # characters of the test part


@dataclasses.dataclass(frozen=True)
class Config:
    """What is run; every field is a flag."""

    data: str | None = setting(
        None, f"A UTF-8 text; by default the first {DEFAULT_CORPUS:,} characters of Python's standard library."
    )
    split: tuple[str, ...] = setting(
        ("90", "5", "5"), "Comma list of percents: training, validation and test part, in the text's order."
    )
    prompt: str | None = setting(
        None, f"What the sample begins with; by default the first {PROMPT} characters of the test part."
    )
    cell: str = setting("lstm", f"One of {', '.join([*cells.CELLS, *networks.VARIANTS])}, or your own as module:Class.")
    hidden_size: int = setting(512, "Units of each layer.")
    layers: int = setting(1, "Layers, one above the other.")
    segment: int = setting(64, "Steps that the gradient goes back at the most; the state goes on.")
    batch_size: int = setting(32, "Streams that the training part is cut into.")
    epochs: float = setting(10.0, "Times that the training part is read, up to the next multiple of --checkpoints.")
    steps: int | None = setting(None, "Optimization steps, one a segment; in place of --epochs.")
    checkpoints: int = setting(20, "How often, over training, the validation part is looked at.")
    learning_rate: float = setting(5e-3, "Adam's learning rate at the start; it falls to 0 along a cosine.")
    clip_norm: float = setting(1.0, "Global gradient norm to which gradients are clipped.")
    dropout: float = setting(
        0.2, "Share of the units dropped, in the recurrence (one mask a segment) and between layers."
    )
    not_finite: str = setting("stop", not_finite.HELP)
    seed: int = setting(0, "From which every random number follows.")


QUICK = Config(hidden_size=96, segment=32, steps=800, checkpoints=8, learning_rate=0.01, dropout=0.0)


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """A config made ready."""

    source: str  # of the text, in words
    corpus: Corpus
    model: LanguageModel
    trainer: training.Trainer
    streams: dict[str, Streams]  # by part
    steps: int
    prompt: str

    @property
    def characters(self) -> int:
        """Of a training part once read, in targets."""
        return len(self.corpus.training) - 1


def plan(config: Config) -> Plan:
    """All that a config asks for.

    Raises:
      UserError: where a flag's value cannot be run.
    """
    check_positive(config, "hidden_size", "layers", "segment", "batch_size", "checkpoints", "steps")
    check_positive(config, "learning_rate", "clip_norm", "epochs")
    check_shares(config, "dropout")
    if config.steps is not None and config.steps % config.checkpoints:
        raise UserError(f"--steps must be a multiple of --checkpoints {config.checkpoints}, got {config.steps}")
    source, parts = _parts(config)
    corpus = Corpus.of(*parts)
    counts = {"training": config.batch_size} | dict.fromkeys(PARTS_LOOKED_AT, EVALUATED_STREAMS)
    streams = {
        part: _streams(source, part, getattr(corpus, part), count, config.segment) for part, count in counts.items()
    }
    model = _model(config, len(corpus.vocabulary))
    steps = config.steps
    if steps is None:
        steps = math.ceil(config.epochs * streams["training"].segments / config.checkpoints) * config.checkpoints
    optimizer = training.CosineDecay(training.Adam(config.learning_rate), steps)
    clip, policy = training.ClipByNorm(config.clip_norm), not_finite.POLICIES[config.not_finite]
    trainer = training.Trainer(model.network, config.batch_size, optimizer, clip, not_finite=policy)
    return Plan(source, corpus, model, trainer, streams, steps, _prompt(config, parts[-1], corpus.vocabulary))


def _parts(config: Config) -> tuple[str, tuple[str, str, str]]:
    """Where the text is from, and its parts."""
    try:
        shares = [float(percent) / 100 for percent in config.split]
    except ValueError as error:
        raise UserError(f"--split must be three numbers, got {','.join(config.split)!r}") from error
    try:
        if config.data is None:
            source, text = "Python's standard library", standard_library(DEFAULT_CORPUS)
        else:
            source, text = config.data, read_text(config.data)
    except ValueError as error:
        raise UserError(f"--data: {error}") from error
    try:
        return source, split(text, shares)
    except ValueError as error:
        raise UserError(f"--split={','.join(config.split)}, {source}: {error}") from error


def _streams(source: str, part: str, ids: np.ndarray, count: int, segment: int) -> Streams:
    try:
        return Streams.of(ids, count, segment)
    except ValueError as error:
        raise UserError(
            f"{source}: too short: {count} streams of --segment={segment} steps need {count * segment + 1:,} "
            f"characters in its {part} part, which has {len(ids):,}; a smaller --segment or --batch_size needs less"
        ) from error


def _model(config: Config, size: int) -> LanguageModel:
    """One-hot characters, so that the lowest layer's input matrix is their embedding; dropout as asked for."""
    found: Sequence[Cell] = networks.make_cells(config.cell, size, config.hidden_size, config.segment, config.layers)
    if config.dropout:
        try:
            found = [RecurrentDropout(cell, config.dropout) for cell in found]
        except TypeError as error:
            raise UserError(f"--cell={config.cell} goes with --dropout=0 alone: {error}") from error
        found = [found[0], *(Dropout(cell, config.dropout) for cell in found[1:])]
    model = LanguageModel(OneHot(size), found[0] if len(found) == 1 else Stack(tuple(found)))

    def use(key: jax.Array) -> Any:
        params = model.init(key)
        ids = jnp.zeros((2, 1), int)
        loss = jax.value_and_grad(lambda p: model.loss(p, ids, ids, key=key)[1])(params)
        return loss, model.step(params, model.network.cell.initial_state(params.cell, (1,)), ids[0])

    try:
        jax.eval_shape(use, jax.random.key(0))
    except Exception as error:  # a user's own code
        raise UserError(f"--cell={config.cell} cannot be used: {type(error).__name__}: {error}") from error
    return model


def _prompt(config: Config, test: str, vocabulary: Vocabulary) -> str:
    if config.prompt is None:
        return test[:PROMPT]
    if not config.prompt:
        raise UserError("--prompt must hold at least one character, got an empty one")
    if unknown := [c for c in config.prompt if c not in vocabulary.tokens]:
        raise UserError(f"--prompt holds {unknown[0]!r}, which does not come in the training part")
    return config.prompt
