"""Tasks with pinned definitions. A new one is one new file and one line in a registry."""

import functools
from collections.abc import Callable
from pathlib import Path

from rnn_jax.tasks.adding import Adding, Adding1997
from rnn_jax.tasks.copying import Copying
from rnn_jax.tasks.pixels import PixelSequences, digits, mnist
from rnn_jax.tasks.task import Batch, Task
from rnn_jax.tasks.temporal_order import TemporalOrder

__all__ = [
    "IMAGES",
    "SYNTHETIC",
    "Adding",
    "Adding1997",
    "Batch",
    "Copying",
    "PixelSequences",
    "Task",
    "TemporalOrder",
    "digits",
    "find",
    "mnist",
]

# Made by the length T of their definition.
SYNTHETIC: dict[str, Callable[[int], Task]] = {
    "adding": Adding,
    "adding_1997": Adding1997,
    "copying": Copying,
    "temporal_order_6a": TemporalOrder,
    "temporal_order_6b": functools.partial(TemporalOrder, symbols=3),
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
