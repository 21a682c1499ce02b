"""Recurrent layers of other libraries with the weights of a cell: one module each, imported only when it is used.

Each has a table of the cells whose counterpart it has, and `programs(cell, data)`, its layer as calls that can be
compared and timed; Keras and PyTorch also have `classifier(trainer, state, as_written)`, a network in training.
"""

import importlib
import importlib.metadata
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import NamedTuple, TypeVar

import numpy as np

from rnn_jax import Cell

# What to install for a module.
DISTRIBUTIONS = {"torch": "torch", "linen": "flax", "nnx": "flax", "haiku": "dm-haiku", "keras": "keras"}

Scores = Callable[[np.ndarray], np.ndarray]  # from sequences [T, B, F] to a score for each class [B, classes]
T = TypeVar("T")


class Network(NamedTuple):
    """A classifier in training, in any library."""

    step: Callable[[np.ndarray, np.ndarray], float]  # updates on a batch; returns its mean loss before that, in nats
    scores: Scores


class Unavailable(ImportError):
    """A library is missing or cannot be used here; the message says what to do."""


class Unsupported(ValueError):
    """A library has no counterpart of a cell; the message says why."""


def load(name: str) -> ModuleType:
    """Imports the module of a library.

    Raises:
      ImportError: if the library is missing or cannot be used here.
    """
    try:
        return importlib.import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        hint = f'pip install {DISTRIBUTIONS[name]}, or all libraries: pip install ".[peers]"'
        raise Unavailable(f"{error}; {hint}") from error


def versions(names: Iterable[str]) -> dict[str, str]:
    """Returns the installed version of each distribution that the modules `names` need."""
    return {each: importlib.metadata.version(each) for each in sorted({DISTRIBUTIONS[name] for name in names})}


def find(what: str, table: Mapping[type[Cell], T], cell: Cell) -> T:
    """Returns the entry of a cell in a library's table.

    Raises:
      Unsupported: if there is none.
    """
    if type(cell) not in table:
        names = ", ".join(kind.__name__ for kind in table)
        raise Unsupported(f"{what} are {names} here, not {type(cell).__name__}")
    return table[type(cell)]
