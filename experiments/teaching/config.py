"""Config, flags and the setups that they make, checked before anything is run."""

import dataclasses

import jax
import jax.numpy as jnp

from experiments.common import flags, networks
from experiments.common.flags import ComputeConfig, chosen, setting
from experiments.common.runner import init_state
from experiments.teaching.programs import TEXT, Program, Setup, classifier, epoch_batches, generator
from rnn_jax import Cell, VanillaRNN, training
from rnn_jax.data import read_text
from rnn_jax.models import Classifier

LEARNING_RATE, BATCH_SIZE, HIDDEN_SIZE = 1e-3, 32, 50  # of both originals
PROGRAMS = ("generator", "classifier")


@dataclasses.dataclass(frozen=True)
class Config(ComputeConfig):
    """What to run; every field is a flag."""

    programs: tuple[str, ...] = setting(PROGRAMS, f"Comma list of {', '.join(PROGRAMS)}.", choices=PROGRAMS)
    text: str | None = setting(
        None,
        "UTF-8 text file for the generator; by default the original's sentence.",
        needs=chosen("programs", "generator"),
    )
    cell: str | None = setting(
        None,
        f"{networks.CELL_HELP} By default the originals': a ReLU network and an LSTM. Libraries without the cell are "
        "left out.",
    )
    epochs: int | None = setting(None, "Epochs of each program; by default the originals': 100 and 20.")


QUICK = Config(programs=("generator",), epochs=30)


def plan(config: Config) -> list[Setup]:
    """Returns the setup of every program.

    Raises:
      UserError: if a flag's value cannot be run.
    """
    flags.check(config)
    with flags.user_errors("--text"):
        text = TEXT if config.text is None else read_text(config.text)
        programs = [generator(text) if name == "generator" else classifier(config.seed) for name in config.programs]
    return [_setup(config, program) for program in programs]


def _setup(config: Config, program: Program) -> Setup:
    steps, size, features = program.xs.shape
    cell: Cell = VanillaRNN(features, HIDDEN_SIZE, jax.nn.relu)
    if config.cell is not None or program.name == "classifier":
        cell = networks.make_stack(config.cell or "lstm", features, HIDDEN_SIZE, steps, program.layers)
    model = Classifier(cell, program.classes)
    xs, labels = jnp.zeros((steps, 2, features)), jnp.zeros(2, int)
    networks.probe(f"--cell={config.cell}", lambda key: jax.grad(model.loss)(model.init(key), xs, labels))
    trainer = training.Trainer(model, BATCH_SIZE, training.Adam(LEARNING_RATE), clip=None)
    states = init_state(trainer, jax.random.key(config.seed)[None])
    batches = epoch_batches(size, BATCH_SIZE, config.epochs or program.epochs, config.seed)
    return Setup(program, trainer, jax.tree.map(lambda leaf: leaf[0], states), batches)
