"""What is run: the config, its flags' meaning, and what follows from it, checked before anything is run."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from experiments.common import networks, parallel
from experiments.common.flags import UserError, setting
from experiments.teaching.classifier import SequenceClassifier
from experiments.teaching.generator import TEXT, Generator
from experiments.teaching.program import Lesson, Program, orders
from rnn_jax import Cell, Stack, cells, training
from rnn_jax.data import read_text
from rnn_jax.models import Classifier

LEARNING_RATE = 1e-3  # Adam's; what Keras, PyTorch and both originals have
BATCH_SIZE = 32
HIDDEN_SIZE = 50


@dataclasses.dataclass(frozen=True)
class Config:
    """What is run; every field is a flag."""

    programs: tuple[str, ...] = setting(("generator", "classifier"), "Comma list of generator, classifier.")
    text: str | None = setting(None, "A UTF-8 text for the generator; by default the original's sentence.")
    cell: str | None = setting(
        None,
        f"One of {', '.join([*cells.CELLS, *networks.VARIANTS])}, or your own as module:Class, for both programs; by "
        "default the originals': a ReLU network and an LSTM. A library that has it not is left out.",
    )
    epochs: int | None = setting(None, "Times that each program's data is read; by default the originals': 100 and 20.")
    seed: int = setting(0, "From which every random number follows.")


QUICK = Config(programs=("generator",), epochs=30)


@dataclasses.dataclass(frozen=True)
class Original:
    """A program as the notes have it."""

    made: Callable[[Config], Program]
    cell: Callable[[int, int], Cell]  # of input size and units
    layers: int
    epochs: int


def _generator(config: Config) -> Program:
    try:
        return Generator.of(TEXT if config.text is None else read_text(config.text))
    except ValueError as error:
        raise UserError(f"--text: {error}") from error


ORIGINALS = {
    "generator": Original(_generator, lambda d, h: cells.VanillaRNN(d, h, jax.nn.relu), layers=1, epochs=100),
    "classifier": Original(lambda config: SequenceClassifier.drawn(config.seed), cells.LSTM, layers=2, epochs=20),
}


def plan(config: Config) -> list[Lesson]:
    """All that a config asks for.

    Raises:
      UserError: where a flag's value cannot be run.
    """
    if unknown := [name for name in config.programs if name not in ORIGINALS]:
        raise UserError(f"--programs: unknown program {unknown[0]!r}, known are {', '.join(ORIGINALS)}")
    if not config.programs or len(set(config.programs)) < len(config.programs):
        raise UserError(f"--programs must be names, each once, got {','.join(config.programs)!r}")
    if config.text is not None and "generator" not in config.programs:
        raise UserError("--text is read by the generator, which is not among --programs")
    if config.epochs is not None and config.epochs < 1:
        raise UserError(f"--epochs must be positive, got {config.epochs}")
    if config.seed < 0:
        raise UserError(f"--seed must not be negative, got {config.seed}")
    return [_lesson(config, ORIGINALS[name]) for name in config.programs]


def _lesson(config: Config, original: Original) -> Lesson:
    program = original.made(config)
    size, steps, features, classes = program.sizes
    if config.cell is None:
        found = tuple(original.cell(features if n == 0 else HIDDEN_SIZE, HIDDEN_SIZE) for n in range(original.layers))
    else:
        found = networks.make_cells(config.cell, features, HIDDEN_SIZE, steps, original.layers)
    model = Classifier(found[0] if len(found) == 1 else Stack(found), classes)
    trainer = training.Trainer(model, BATCH_SIZE, training.Adam(LEARNING_RATE), clip=None)
    keys = jax.random.key(config.seed)[None]

    def use(keys: jax.Array) -> jax.Array:
        params = jax.tree.map(lambda leaf: leaf[0], training.init(trainer, keys).params)
        loss = jax.value_and_grad(model.loss)
        return loss(params, jnp.zeros((steps, 2, features)), jnp.zeros(2, int))[0]

    try:
        jax.eval_shape(use, keys)
    except Exception as error:  # a user's own code
        raise UserError(f"--cell={config.cell} cannot be used: {type(error).__name__}: {error}") from error
    state = jax.tree.map(lambda leaf: leaf[0], parallel.begin(trainer, keys))
    epochs = original.epochs if config.epochs is None else config.epochs
    return Lesson(program, trainer, state, orders(size, BATCH_SIZE, epochs, config.seed))
