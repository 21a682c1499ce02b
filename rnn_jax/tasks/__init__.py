"""Benchmark tasks with pinned definitions. A new task is one new file and one line in `SYNTHETIC`.

The tests ask for values that it must give (`tests/test_task_golden.py`, `test_task_definitions.py`, `test_tasks.py`).
"""

import functools
from collections.abc import Callable
from pathlib import Path

from rnn_jax.tasks import user_defined
from rnn_jax.tasks.adding import Adding, Adding1997
from rnn_jax.tasks.associative_recall import AssociativeRecall
from rnn_jax.tasks.cards import Autoencode, Concentration, RepeatPrevious
from rnn_jax.tasks.copying import Copying, VariableCopying
from rnn_jax.tasks.memorization import Memorization, Permutation
from rnn_jax.tasks.multiplication import Multiplication
from rnn_jax.tasks.n_back import NBack
from rnn_jax.tasks.noise_padded import NoisePadded, noise_padded_cifar, noise_padded_digits
from rnn_jax.tasks.parity import Parity
from rnn_jax.tasks.pixels import PixelSequences, digits, mnist
from rnn_jax.tasks.selective_copying import SelectiveCopying, SelectiveCopying2023
from rnn_jax.tasks.task import Batch, Classification, Regression, Task
from rnn_jax.tasks.temporal_order import TemporalOrder
from rnn_jax.tasks.two_symbol import TwoSymbol, TwoSymbolTriggered
from rnn_jax.tasks.word_problem import WordProblem

__all__ = [
    "IMAGES",
    "NOISE_PADDED",
    "SYNTHETIC",
    "Adding",
    "Adding1997",
    "AssociativeRecall",
    "Autoencode",
    "Batch",
    "Classification",
    "Concentration",
    "Copying",
    "Memorization",
    "Multiplication",
    "NBack",
    "NoisePadded",
    "Parity",
    "Permutation",
    "PixelSequences",
    "Regression",
    "RepeatPrevious",
    "SelectiveCopying",
    "SelectiveCopying2023",
    "Task",
    "TemporalOrder",
    "TwoSymbol",
    "TwoSymbolTriggered",
    "VariableCopying",
    "WordProblem",
    "digits",
    "find",
    "mnist",
]

# Test strings of the tasks that ask who extrapolates: to 256 symbols after training on 40.
STRETCH = 6.4

# Synthetic tasks, constructed from the length T of their definition.
SYNTHETIC: dict[str, Callable[[int], Task]] = {
    "adding": Adding,
    "adding_1997": Adding1997,
    "associative_recall": AssociativeRecall,
    "autoencode": Autoencode,
    "concentration": Concentration,
    "copying": Copying,
    "copying_selective": SelectiveCopying,
    "copying_selective_2023": SelectiveCopying2023,
    "copying_variable": VariableCopying,
    "memorization": Memorization,
    "modular_counting": functools.partial(WordProblem, stretch=STRETCH),
    "multiplication": Multiplication,
    "n_back": NBack,
    "parity": Parity,
    "parity_longer": functools.partial(Parity, stretch=STRETCH),
    "permutation": Permutation,
    "repeat_previous": RepeatPrevious,
    "state_tracking": functools.partial(WordProblem, stretch=STRETCH, group="A5"),
    "temporal_order_6a": TemporalOrder,
    "temporal_order_6b": functools.partial(TemporalOrder, symbols=3),
    "two_symbol_2a": TwoSymbol,
    "two_symbol_2b": functools.partial(TwoSymbol, random=True),
    "two_symbol_2c": TwoSymbolTriggered,
}

# Tasks of images, constructed from the folder of MNIST's files; the digits come with scikit-learn and ignore it.
IMAGES: dict[str, Callable[[Path | None], Task]] = {
    "digits": lambda _: digits(),
    "digits_permuted": lambda _: digits(permuted=True),
    "mnist": mnist,
    "mnist_permuted": functools.partial(mnist, permuted=True),
}

# Tasks of images followed by noise, constructed from the length T and the folder of CIFAR-10's files.
NOISE_PADDED: dict[str, Callable[[int, Path | None], Task]] = {
    "cifar_noise_padded": noise_padded_cifar,
    "digits_noise_padded": lambda length, _: noise_padded_digits(length),
}


def find(name: str, length: int, mnist: str | None = None, cifar: str | None = None) -> Task:
    """Returns the task called `name`, or the user-defined one at an import path `module:Class`.

    >>> from rnn_jax import tasks
    >>> tasks.find("copying", length=50)
    Copying(length=50)

    Args:
      name: key of `SYNTHETIC`, `IMAGES` or `NOISE_PADDED`, or `module:Class`, with options
        `module:Class(option=value)`.
      length: length T of a synthetic, noise-padded or user-defined task; ignored by the others.
      mnist: folder of MNIST's files, required by the MNIST tasks only.
      cifar: folder of CIFAR-10's files, required by `cifar_noise_padded` only.

    Raises:
      ValueError: if there is no such task, the length is too short for it, or its files cannot be read.
    """
    if ":" in name:
        return user_defined.load(name, length)
    if name in SYNTHETIC:
        return SYNTHETIC[name](length)
    if name in IMAGES:
        return IMAGES[name](None if mnist is None else Path(mnist))
    if name in NOISE_PADDED:
        return NOISE_PADDED[name](length, None if cifar is None else Path(cifar))
    known = ", ".join([*SYNTHETIC, *IMAGES, *NOISE_PADDED])
    raise ValueError(f"unknown task {name!r}: known are {known}, and user-defined ones as module:Class")
