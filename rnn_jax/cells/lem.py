"""Long expressive memory (LEM), Rusch et al. 2022 (arXiv:2110.04744), eq. 3.

z_step_t = dt sigmoid(x_t V_1 + y_{t-1} W_1 + b_1)                          lengths of the two time steps
y_step_t = dt sigmoid(x_t V_2 + y_{t-1} W_2 + b_2)
z_t = (1 - z_step_t) * z_{t-1} + z_step_t * tanh(x_t V_z + y_{t-1} W_z + b_z)
y_t = (1 - y_step_t) * y_{t-1} + y_step_t * tanh(x_t V_y + z_t W_y + b_y)

Two coupled differential equations by an implicit-explicit step: y reads the new z. Each unit learns its time scales.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import checks, initializers
from rnn_jax.cell import Cell
from rnn_jax.cells.projection import affine


class LEMParams(NamedTuple):
    """Weights [in, out]."""

    w_i: jax.Array  # [D, 4H], V_1 V_2 V_z V_y
    w_y: jax.Array  # [H, 3H], W_1 W_2 W_z, of y
    w_z: jax.Array  # [H, H], W_y, of z
    b: jax.Array  # [4H]


class LEMState(NamedTuple):
    """The two variables of each unit."""

    y: jax.Array  # [*batch, H]
    z: jax.Array  # [*batch, H]


@dataclasses.dataclass(frozen=True)
class LEM(Cell):
    """LEM; the state is (y, z), the output y [*batch, H].

    All parameters start as U(-k, k), k = H^-1/2; the authors' code has two biases, whose sum is b here. Its dt is 1,
    but 0.0242 for the adding problem. Claimed (authors' repository): adding to an MSE of 5e-5 at T = 2,000 and 5,000,
    2e-5 at 10,000; sequential MNIST 99.5 %, permuted 96.6 %; EigenWorms 92.3 %. For dt <= 1 a state from within (-1, 1)
    stays there.

    >>> cell = LEM(input_size=2, hidden_size=3)
    >>> params = cell.init(jax.random.key(0))
    >>> cell.step(params, cell.initial_state(params, (5,)), cell.project(params, jnp.ones((5, 2)))).z.shape
    (5, 3)

    Args:
      input_size: D.
      hidden_size: H.
      dt: largest length of a time step.

    Raises:
      ValueError: if a size is not a positive integer, or dt not a positive number.
    """

    dt: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.positive(self.dt, "LEM: dt")

    def init(self, key: jax.Array) -> LEMParams:
        key_w, key_b = jax.random.split(key)
        inputs, units = self.input_size, self.hidden_size
        uniform = initializers.Uniform(units**-0.5)
        w = uniform(key_w, (inputs + units, 4 * units))
        w_y, w_z = jnp.split(w[inputs:], [3 * units], axis=1)
        return LEMParams(w[:inputs], w_y, w_z, jnp.sum(uniform(key_b, (2, 4 * units)), axis=0))

    def initial_state(self, params: LEMParams, batch_shape: tuple[int, ...] = ()) -> LEMState:
        shape, dtype = (*batch_shape, self.hidden_size), params.b.dtype
        return LEMState(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype))  # two buffers, which may be donated

    def project(self, params: LEMParams, x: jax.Array) -> jax.Array:
        return affine(x, params.w_i, params.b)

    def step(self, params: LEMParams, state: LEMState, drive: jax.Array) -> LEMState:
        units = self.hidden_size
        from_y, d_y = jnp.split(drive, [3 * units], axis=-1)
        steps, a_z = jnp.split(from_y + state.y @ params.w_y, [2 * units], axis=-1)
        z_step, y_step = jnp.split(self.dt * jax.nn.sigmoid(steps), 2, axis=-1)
        z = (1 - z_step) * state.z + z_step * jnp.tanh(a_z)
        y = (1 - y_step) * state.y + y_step * jnp.tanh(d_y + z @ params.w_z)
        return LEMState(y, z)

    def output(self, params: LEMParams, state: LEMState, x: jax.Array) -> jax.Array:
        del params, x
        return state.y
