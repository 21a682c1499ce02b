"""Undamped independent controlled oscillatory recurrent network (UnICORNN), Rusch & Mishra 2021 (arXiv:2103.05487),
eq. 4, one layer.

step = dt sigmoid(c)                                               length of a time step, one for each unit
z_t = z_{t-1} - step * (tanh(w * y_{t-1} + x_t V + b) + alpha y_{t-1})     velocity
y_t = y_{t-1} + step * z_t                                                 position

A Hamiltonian system of oscillators by the symplectic Euler method, so a step keeps volumes in (y, z) and can be undone.
A unit reads its own state alone, as in `IndRNN`; units are mixed by the layer after it.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import checks, initializers
from rnn_jax.cell import SplitCell
from rnn_jax.cells.projection import affine, over_batch


class UnICORNNParams(NamedTuple):
    """Weights [in, out]; one recurrent weight and one time scale for each unit."""

    w_i: jax.Array  # [D, H], V
    w: jax.Array  # [H]
    b: jax.Array  # [H]
    c: jax.Array  # [H]


class UnICORNNState(NamedTuple):
    """Positions and velocities of the oscillators."""

    y: jax.Array  # [*batch, H]
    z: jax.Array  # [*batch, H]


@dataclasses.dataclass(frozen=True)
class UnICORNN(SplitCell):
    """UnICORNN of H oscillators; the state is (y, z), the output y [*batch, H].

    Initialisation and defaults are those of the authors' code for permuted MNIST, three such layers in a `Stack`: w ~
    U(0, 1), c ~ U(-0.1, 0.1), V ~ U(-k, k) with k = (6 / 65 D)^1/2, b = 0. Claimed (authors' repository): permuted
    MNIST 98.4 % with 3 layers of 256 units, noise-padded CIFAR-10 62.4 %.

    >>> cell = UnICORNN(input_size=2, hidden_size=3)
    >>> params = cell.init(jax.random.key(0))
    >>> cell.step(params, cell.initial_state(params, (5,)), cell.project(params, jnp.ones((5, 2)))).z.shape
    (5, 3)

    Args:
      input_size: D.
      hidden_size: H.
      dt: largest length of a time step.
      alpha: stiffness, the square of an oscillator's frequency.

    Raises:
      ValueError: if a size is not a positive integer, dt is not a positive number, or alpha is negative.
    """

    dt: float = 0.19
    alpha: float = 30.65

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.positive(self.dt, "UnICORNN: dt")
        checks.not_negative(self.alpha, "UnICORNN: alpha")

    def init(self, key: jax.Array) -> UnICORNNParams:
        key_i, key_w, key_c = jax.random.split(key, 3)
        inputs, units = self.input_size, self.hidden_size
        return UnICORNNParams(
            w_i=initializers.Uniform((6 / (65 * inputs)) ** 0.5)(key_i, (inputs, units)),  # Kaiming's, slope 8
            w=jax.random.uniform(key_w, (units,)),
            b=jnp.zeros(units),
            c=initializers.Uniform(0.1)(key_c, (units,)),
        )

    def initial_state(self, params: UnICORNNParams, batch_shape: tuple[int, ...] = ()) -> UnICORNNState:
        shape, dtype = (*batch_shape, self.hidden_size), params.b.dtype
        return UnICORNNState(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype))  # two buffers, which may be donated

    def project(self, params: UnICORNNParams, x: jax.Array) -> jax.Array:
        return affine(x, params.w_i, params.b)

    def recurrent(self, params: UnICORNNParams, state: UnICORNNState) -> jax.Array:
        return state.y * over_batch(params.w, state.y.ndim)

    def activate(self, params: UnICORNNParams, state: UnICORNNState, drive: jax.Array, r: jax.Array) -> UnICORNNState:
        step = self.dt * jax.nn.sigmoid(over_batch(params.c, r.ndim))
        z = state.z - step * (jnp.tanh(drive + r) + self.alpha * state.y)
        return UnICORNNState(y=state.y + step * z, z=z)

    def output(self, params: UnICORNNParams, state: UnICORNNState, x: jax.Array) -> jax.Array:
        del params, x
        return state.y
