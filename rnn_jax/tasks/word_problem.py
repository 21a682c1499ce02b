"""The word problem of a finite group: which element is the product of a string of elements?"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax.tasks.strings import Strings


def _cyclic(order: int) -> np.ndarray:
    return np.add.outer(np.arange(order), np.arange(order)) % order


def _alternating(letters: int) -> np.ndarray:
    """Returns the table of the even permutations in lexicographic order: first the row's, then the column's."""
    even = [p for p in itertools.permutations(range(letters)) if np.linalg.det(np.eye(letters)[list(p)]) > 0]
    index = {p: i for i, p in enumerate(even)}
    return np.array([[index[tuple(later[i] for i in earlier)] for later in even] for earlier in even])


# Multiplication tables [first, second] of the groups; element 0 is the identity.
GROUPS: dict[str, Callable[[], np.ndarray]] = {
    "Z5": functools.partial(_cyclic, 5),
    "A5": functools.partial(_alternating, 5),
}


@functools.cache
def table(group: str) -> np.ndarray:
    """Returns the multiplication table [first, second] of a group."""
    return GROUPS[group]()


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class WordProblem(Strings):
    """State tracking: word problems as in Merrill, Petty & Sabharwal 2024 (arXiv:2404.08819).

    Inputs: between 1 and T elements of the group, the number drawn uniformly, each element uniform; one-hot. Target at
    the last one: the product of all, the first element applied first. In the paper every prefix has a target.

    Z5, the sum of digits modulo 5, is counting: a regular language that a diagonal linear recurrence follows only with
    complex or negative eigenvalues (Grazzi et al. 2025, arXiv:2411.12537). A5, the 60 even permutations of five
    letters, is not solvable: its words need a nonlinear recurrence, or one with dense transitions, at every length.

    Baseline: guessing among the group's n elements, ln n nats. Solved (criterion of this project): 99 % accuracy on the
    test set.

    >>> import jax
    >>> from rnn_jax import tasks
    >>> batch = tasks.WordProblem(length=8, group="Z5").sample(jax.random.key(0), batch_size=32)
    >>> batch.inputs.shape  # [T, B, elements]
    (8, 32, 5)

    Args:
      length: maximal number of elements in training, T.
      stretch: maximal number of elements of a test string, in T; above 1, all test strings have more than T.
      group: name of the group, Z5 or A5.

    Raises:
      ValueError: if T < 2, `stretch` < 1, or the group is unknown.
    """

    name = "word_problem"
    group: str = "Z5"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.group not in GROUPS:
            raise ValueError(f"word_problem: group must be one of {', '.join(GROUPS)}, got {self.group!r}")

    @property
    def variant(self) -> str:
        return f"Merrill 2024, {self.group}"

    @property
    def input_size(self) -> int:
        return len(table(self.group))

    @property
    def output_size(self) -> int:
        return self.input_size

    @property
    def baseline(self) -> float:
        return math.log(self.input_size)

    def answer(self, symbols: jax.Array, real: jax.Array) -> jax.Array:
        products = jnp.asarray(table(self.group))
        elements = jnp.where(real, symbols, 0)
        return jax.lax.associative_scan(lambda earlier, later: products[earlier, later], elements)[-1]
