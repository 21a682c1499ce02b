"""Initialisers as frozen dataclasses, so that a cell that holds one still compares, hashes and prints by value.

A weight initialiser is called as `(key, shape) -> array`, once for each gate. Distributions that `jax.nn.initializers`
has are taken from there.
"""

import copy
import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import checks
from rnn_jax.static import Static

Initializer = Callable[[jax.Array, Sequence[int]], jax.Array]


def init_only(default: Any) -> Any:
    """Declares a dataclass field that a cell reads in `init` only."""
    return dataclasses.field(default=default, metadata={"init_only": True})


def without_initializers(value: Any) -> Any:
    """Returns `value` (a cell, layer, model, trainer) with every `init_only` field, at any depth, reset to its default.

    Objects that differ only in their initialisers become equal, so they share one compiled program; draw the parameters
    with the original.
    """
    if type(value) is tuple:
        return tuple(map(without_initializers, value))
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    changed = copy.copy(value)  # not `dataclasses.replace`, as a user's class may have an `__init__` of its own
    for f in dataclasses.fields(value):
        part = f.default if f.metadata.get("init_only") else without_initializers(getattr(value, f.name))
        object.__setattr__(changed, f.name, part)
    return changed


def scale_recurrent(cell: Any, params: Any, gain: float) -> Any:
    """Returns the parameters with those of the recurrent product, W_h for most cells, times a gain.

    >>> from rnn_jax import GRU
    >>> cell = GRU(2, 3)
    >>> params = cell.init(jax.random.key(0))
    >>> scaled = scale_recurrent(cell, params, 2.0)
    >>> bool(jnp.all(scaled.w_h == 2 * params.w_h)), bool(jnp.all(scaled.w_i == params.w_i))
    (True, True)

    Args:
      cell: `SplitCell`, whose `recurrent` shows which parameters these are.
      params: parameters of the cell.
      gain: factor.

    Raises:
      TypeError: if the cell is not a `SplitCell`.
    """
    if not getattr(cell, "is_split", False):
        raise TypeError(f"scale_recurrent: cell must be a SplitCell, which has a recurrent product, got {cell!r}")
    state = jax.tree.map(jnp.ones_like, cell.initial_state(params))
    used = jax.grad(lambda p: jnp.sum(cell.recurrent(p, state)))(params)
    return jax.tree.map(lambda leaf, grad: gain * leaf if np.any(grad != 0) else leaf, params, used)


@dataclasses.dataclass(frozen=True)
class Orthogonal(Static):
    """scale * Q with Q Q^T = I (Saxe et al. 2014): every singular value of a square matrix is `scale`.

    >>> w = Orthogonal(scale=2.0)(jax.random.key(0), (4, 4))
    >>> bool(jnp.allclose(w @ w.T, 4.0 * jnp.eye(4), atol=1e-5))
    True
    """

    scale: float = 1.0

    def __call__(self, key: jax.Array, shape: Sequence[int]) -> jax.Array:
        return _orthogonal(self.scale, tuple(shape))(key)


@functools.cache
def _orthogonal(scale: float, shape: tuple[int, ...]) -> Callable[[jax.Array], jax.Array]:
    """Returns the function of a key; one for equal arguments, so that it is traced once."""
    # Keys (of gates, of seeds) are processed one after the other: jaxlib 0.10.2 distributes a batch of QR
    # decompositions over the threads that run the program and blocks one of them until it is done, so a program with
    # two batches deadlocks on two cores.
    draw = jax.custom_batching.sequential_vmap(lambda key: jax.nn.initializers.orthogonal(scale)(key, shape))
    return jax.jit(draw, inline=True)


@dataclasses.dataclass(frozen=True)
class ScaledIdentity(Static):
    """scale * I. With ReLU and scale 1 it makes the IRNN of Le, Jaitly & Hinton 2015 (arXiv:1504.00941)."""

    scale: float = 1.0

    def __call__(self, key: jax.Array, shape: Sequence[int]) -> jax.Array:
        del key
        rows, columns = shape
        return self.scale * jnp.eye(rows, columns)


@dataclasses.dataclass(frozen=True)
class Uniform(Static):
    """U(-bound, bound); bound None means 1 / sqrt(columns): PyTorch's default, as columns are hidden units."""

    bound: float | None = None

    def __call__(self, key: jax.Array, shape: Sequence[int]) -> jax.Array:
        bound = shape[-1] ** -0.5 if self.bound is None else self.bound
        return jax.random.uniform(key, shape, minval=-bound, maxval=bound)


@dataclasses.dataclass(frozen=True)
class Normal(Static):
    """N(0, stddev^2)."""

    stddev: float

    def __call__(self, key: jax.Array, shape: Sequence[int]) -> jax.Array:
        return self.stddev * jax.random.normal(key, shape)


@dataclasses.dataclass(frozen=True)
class LecunNormal(Static):
    """Truncated normal of variance 1 / rows (LeCun et al. 1998): keeps the variance of the input."""

    def __call__(self, key: jax.Array, shape: Sequence[int]) -> jax.Array:
        return jax.nn.initializers.lecun_normal()(key, shape)


@dataclasses.dataclass(frozen=True)
class XavierUniform(Static):
    """U(-k, k) with k^2 = 6 / (rows + columns) (Glorot & Bengio 2010): Keras' and TensorFlow's default."""

    def __call__(self, key: jax.Array, shape: Sequence[int]) -> jax.Array:
        return jax.nn.initializers.xavier_uniform()(key, shape)


@dataclasses.dataclass(frozen=True)
class Chrono(Static):
    """Gate biases for dependencies up to `max_lag` steps: log u with u ~ U(1, max_lag - 1), one draw per unit.

    A gate of bias log u has the value u / (1 + u), so it forgets over about u steps: the units' memories cover all of
    the range. Tallec & Ollivier 2018, "Can recurrent neural networks warp time?"
    (arXiv:1804.11188).

    Raises:
      ValueError: if max_lag < 3, which leaves no range to draw from.
    """

    max_lag: int

    def __post_init__(self) -> None:
        checks.integer_at_least(3, self.max_lag, "Chrono: max_lag", " steps")

    def __call__(self, key: jax.Array, shape: Sequence[int]) -> jax.Array:
        return jnp.log(jax.random.uniform(key, shape, minval=1.0, maxval=self.max_lag - 1.0))


@dataclasses.dataclass(frozen=True)
class TimeStepBias(Static):
    """Biases b of time steps softplus(b), which are log-uniform in [0.001, 0.1] (Gu & Dao 2024, arXiv:2312.00752).

    >>> dt = jax.nn.softplus(TimeStepBias()(jax.random.key(0), (1000,)))
    >>> print(f"{dt.min():.3f} to {dt.max():.2f}, half of them below {jnp.median(dt):.2f}")
    0.001 to 0.10, half of them below 0.01
    """

    def __call__(self, key: jax.Array, shape: Sequence[int]) -> jax.Array:
        dt = 0.001 * 100 ** jax.random.uniform(key, shape)
        return dt + jnp.log(-jnp.expm1(-dt))


def stack_gates(initializer: Initializer, key: jax.Array, gates: int, shape: tuple[int, int]) -> jax.Array:
    """Draws a block for each gate, independently, and concatenates them: [rows, gates * columns]."""
    blocks = jax.vmap(lambda k: initializer(k, shape), out_axes=1)(jax.random.split(key, gates))
    return jnp.reshape(blocks, (shape[0], gates * shape[1]))
