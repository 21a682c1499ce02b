"""Coupled oscillatory recurrent neural network (coRNN), Rusch & Mishra 2021 (arXiv:2010.00951), eq. 3.

z_t = z_{t-1} + dt (tanh(y_{t-1} W_y + z_{t-1} W_z + x_t V + b) - gamma y_{t-1} - epsilon z_{t-1})     velocity
y_t = y_{t-1} + dt z_t                                                                                position

A driven network of damped oscillators, y'' = tanh(y W_y + y' W_z + x V + b) - gamma y - epsilon y', by an
implicit-explicit Euler step. The damping epsilon z is explicit, as in the authors' experiments and code.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import checks, initializers
from rnn_jax.cell import SplitCell
from rnn_jax.cells.projection import affine


class CoRNNParams(NamedTuple):
    """Weights [in, out]."""

    w_i: jax.Array  # [D, H], V
    w_y: jax.Array  # [H, H]
    w_z: jax.Array  # [H, H]
    b: jax.Array  # [H]


class CoRNNState(NamedTuple):
    """Positions and velocities of the oscillators."""

    y: jax.Array  # [*batch, H]
    z: jax.Array  # [*batch, H]


@dataclasses.dataclass(frozen=True)
class CoRNN(SplitCell):
    """coRNN of H oscillators; the state is (y, z), the output y [*batch, H].

    Defaults are those of the authors' code for sequential MNIST; it has 0.076, 0.4 and 8 for the permuted one, 0.06, 66
    and 15 for the adding problem. All parameters start as U(-k, k) with k = (D + 2H)^-1/2, one PyTorch layer over (x,
    z, y). Claimed: sequential MNIST 99.4 %, permuted 97.3 % (authors' repository).

    >>> cell = CoRNN(input_size=2, hidden_size=3)
    >>> params = cell.init(jax.random.key(0))
    >>> cell.step(params, cell.initial_state(params, (5,)), cell.project(params, jnp.ones((5, 2)))).z.shape
    (5, 3)

    Args:
      input_size: D.
      hidden_size: H.
      dt: length of a time step.
      gamma: stiffness, the square of an oscillator's frequency.
      epsilon: damping.

    Raises:
      ValueError: if a size is not a positive integer, or dt, gamma or epsilon not a positive number.
    """

    dt: float = 0.042
    gamma: float = 2.7
    epsilon: float = 4.7

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("dt", "gamma", "epsilon"):
            checks.positive(getattr(self, name), f"CoRNN: {name}")

    def init(self, key: jax.Array) -> CoRNNParams:
        key_w, key_b = jax.random.split(key)
        inputs, units = self.input_size, self.hidden_size
        uniform = initializers.Uniform((inputs + 2 * units) ** -0.5)
        w_i, w_y, w_z = jnp.split(uniform(key_w, (inputs + 2 * units, units)), [inputs, inputs + units])
        return CoRNNParams(w_i, w_y, w_z, uniform(key_b, (units,)))

    def initial_state(self, params: CoRNNParams, batch_shape: tuple[int, ...] = ()) -> CoRNNState:
        shape, dtype = (*batch_shape, self.hidden_size), params.b.dtype
        return CoRNNState(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype))  # two buffers, which may be donated

    def project(self, params: CoRNNParams, x: jax.Array) -> jax.Array:
        return affine(x, params.w_i, params.b)

    def recurrent(self, params: CoRNNParams, state: CoRNNState) -> jax.Array:
        return state.y @ params.w_y + state.z @ params.w_z

    def activate(self, params: CoRNNParams, state: CoRNNState, drive: jax.Array, r: jax.Array) -> CoRNNState:
        del params
        z = state.z + self.dt * (jnp.tanh(drive + r) - self.gamma * state.y - self.epsilon * state.z)
        return CoRNNState(y=state.y + self.dt * z, z=z)

    def output(self, params: CoRNNParams, state: CoRNNState, x: jax.Array) -> jax.Array:
        del params, x
        return state.y
