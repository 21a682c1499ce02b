"""Tasks with pinned definitions. A new one is one new file and one line in a registry."""

import functools
from collections.abc import Callable
from pathlib import Path

from rnn_jax.tasks.adding import Adding, Adding1997
from rnn_jax.tasks.associative_recall import AssociativeRecall
from rnn_jax.tasks.copying import Copying, VariableCopying
from rnn_jax.tasks.multiplication import Multiplication
from rnn_jax.tasks.n_back import NBack
from rnn_jax.tasks.parity import Parity
from rnn_jax.tasks.pixels import PixelSequences, digits, mnist
from rnn_jax.tasks.selective_copying import SelectiveCopying
from rnn_jax.tasks.task import Batch, Task
from rnn_jax.tasks.temporal_order import TemporalOrder
from rnn_jax.tasks.two_symbol import TwoSymbol, TwoSymbolTriggered

__all__ = [
    "IMAGES",
    "SYNTHETIC",
    "Adding",
    "Adding1997",
    "AssociativeRecall",
    "Batch",
    "Copying",
    "Multiplication",
    "NBack",
    "Parity",
    "PixelSequences",
    "SelectiveCopying",
    "Task",
    "TemporalOrder",
    "TwoSymbol",
    "TwoSymbolTriggered",
    "VariableCopying",
    "digits",
    "find",
    "mnist",
]

# Made by the length T of their definition.
SYNTHETIC: dict[str, Callable[[int], Task]] = {
    "adding": Adding,
    "adding_1997": Adding1997,
    "associative_recall": AssociativeRecall,
    "copying": Copying,
    "copying_selective": SelectiveCopying,
    "copying_variable": VariableCopying,
    "multiplication": Multiplication,
    "n_back": NBack,
    "parity": Parity,
    "temporal_order_6a": TemporalOrder,
    "temporal_order_6b": functools.partial(TemporalOrder, symbols=3),
    "two_symbol_2a": TwoSymbol,
    "two_symbol_2b": functools.partial(TwoSymbol, random=True),
    "two_symbol_2c": TwoSymbolTriggered,
}

# Made from images: those in scikit-learn, or MNIST's files in a folder.
IMAGES: dict[str, Callable[[Path | None], Task]] = {
    "digits": lambda _: digits(),
    "digits_permuted": lambda _: digits(permuted=True),
    "mnist": mnist,
    "mnist_permuted": functools.partial(mnist, permuted=True),
}


def find(name: str, length: int, images: str | None = None) -> Task:
    """The task called `name`.

    Args:
      name: a key of `SYNTHETIC` or `IMAGES`.
      length: T, of a synthetic task.
      images: the folder of MNIST's files, which only the MNIST tasks need.

    Raises:
      ValueError: where there is no such task, the length is too short for it, or its files cannot be read.
    """
    if name in SYNTHETIC:
        return SYNTHETIC[name](length)
    if name in IMAGES:
        return IMAGES[name](None if images is None else Path(images))
    raise ValueError(f"unknown task {name!r}: known are {', '.join([*SYNTHETIC, *IMAGES])}")
