"""Legendre memory unit (LMU), Voelker et al. 2019 (NeurIPS), eq. 1, 2 and 4 to 7.

u_t = x_t e_x + h_{t-1} e_h + m_{t-1} e_m                one number, written to the memory
m_t = m_{t-1} A + u_t B                                  d coefficients of the window of the last theta values u
h_t = tanh(x_t W_x + h_{t-1} W_h + m_t W_m)

A and B are one step of theta dm/dt = m A' + u B' with a held input u, whose solution is the projection of the window on
the first d Legendre polynomials:

A'_ji = (2i + 1) (-1 if i < j else (-1)^(i - j + 1)),      B'_i = (2i + 1) (-1)^i

A step is linear in (h, m) up to the tanh, so it is one product with a matrix of all the weights above.
"""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import checks, initializers
from rnn_jax.cell import Params, SplitCell


class LMUParams(NamedTuple):
    """Weights [in, out]."""

    e: jax.Array  # [D + H + d], e_x e_h e_m
    w_i: jax.Array  # [D, H], W_x
    w_h: jax.Array  # [H, H]
    w_m: jax.Array  # [d, H]


class LMUWeights(NamedTuple):
    """Prepared parameters: from x, h and m to the next m and the argument of tanh."""

    w_i: jax.Array  # [D, d + H]
    w_h: jax.Array  # [H, d + H]
    w_m: jax.Array  # [d, d + H]


class LMUState(NamedTuple):
    """The hidden state and the memory."""

    h: jax.Array  # [*batch, H]
    m: jax.Array  # [*batch, d]


@dataclasses.dataclass(frozen=True)
class LMU(SplitCell):
    """LMU with a memory of d coefficients; the state is (h, m), the output h [*batch, H].

    A and B are constants. Defaults are those of the authors' code for permuted MNIST, with 212 units. Initially e_x and
    e_h are LeCun's uniform distribution, e_m is zero, the other weights are Glorot's normal one: its defaults. Claimed:
    permuted MNIST 97.15 % (authors' repository).

    >>> cell = LMU(input_size=2, hidden_size=3, order=4, theta=10.0)
    >>> params = cell.init(jax.random.key(0))
    >>> cell.step(params, cell.initial_state(params, (5,)), cell.project(params, jnp.ones((5, 2)))).m.shape
    (5, 4)

    Args:
      input_size: D.
      hidden_size: H.
      order: d, number of polynomials.
      theta: length of the window, in steps.

    Raises:
      ValueError: if a size or order is not a positive integer, or theta not a positive number.
    """

    order: int = 256
    theta: float = 784.0

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.integer_at_least(1, self.order, "LMU: order")
        checks.positive(self.theta, "LMU: theta")

    def init(self, key: jax.Array) -> LMUParams:
        keys = jax.random.split(key, 5)
        inputs, units = self.input_size, self.hidden_size
        glorot = jax.nn.initializers.glorot_normal()
        encoders = [initializers.Uniform((3 / n) ** 0.5)(k, (n,)) for k, n in zip(keys, (inputs, units), strict=False)]
        sizes = (inputs, units, self.order)
        weights = [glorot(k, (n, units)) for k, n in zip(keys[2:], sizes, strict=True)]
        return LMUParams(jnp.concatenate([*encoders, jnp.zeros(self.order)]), *weights)

    def initial_state(self, params: Params, batch_shape: tuple[int, ...] = ()) -> LMUState:
        sizes = self.hidden_size, self.order
        return LMUState(*(jnp.zeros((*batch_shape, size), params.w_h.dtype) for size in sizes))

    def prepare(self, params: Params) -> LMUWeights:
        if isinstance(params, LMUWeights):
            return params
        a, b = (jnp.asarray(matrix, params.e.dtype) for matrix in _held(self.order, self.theta))
        to_m = params.e[:, None] * b[None, :] + jnp.pad(a, ((self.input_size + self.hidden_size, 0), (0, 0)))
        to_h = jnp.concatenate([params.w_i, params.w_h, jnp.zeros_like(params.w_m)]) + to_m @ params.w_m
        both = jnp.concatenate([to_m, to_h], axis=1)
        return LMUWeights(*jnp.split(both, [self.input_size, self.input_size + self.hidden_size]))

    def project(self, params: Params, x: jax.Array) -> jax.Array:
        return x @ self.prepare(params).w_i

    def recurrent(self, params: Params, state: LMUState) -> jax.Array:
        weights = self.prepare(params)
        return state.h @ weights.w_h + state.m @ weights.w_m

    def activate(self, params: Params, state: LMUState, drive: jax.Array, r: jax.Array) -> LMUState:
        del params, state
        m, h = jnp.split(drive + r, [self.order], axis=-1)
        return LMUState(h=jnp.tanh(h), m=m)

    def output(self, params: Params, state: LMUState, x: jax.Array) -> jax.Array:
        del params, x
        return state.h


@functools.lru_cache(maxsize=64)
def _held(order: int, theta: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns A [d, d] and B [d] of one step, [in, out], in float64: the exponential of a system with a held input."""
    from scipy import linalg  # imported here to keep `import rnn_jax` fast

    i, j = np.arange(order), np.arange(order)[:, None]
    a = (2 * i + 1) * np.where(i < j, -1.0, (-1.0) ** (i - j + 1))
    system = np.zeros((order + 1, order + 1))
    system[:order, :order] = a / theta
    system[order, :order] = (2 * i + 1) * (-1.0) ** i / theta
    step = linalg.expm(system)
    return step[:order, :order], step[order, :order]
