"""Gated recurrent unit, Cho et al. 2014 (arXiv:1406.1078), in both published forms of the reset gate.

r_t = sigmoid(x_t W_ir + h_{t-1} W_hr + b_r)      reset gate
z_t = sigmoid(x_t W_iz + h_{t-1} W_hz + b_z)      update gate: the share of h_{t-1} that is kept
n_t = tanh(...)                                   candidate, see the two classes
h_t = z_t * h_{t-1} + (1 - z_t) * n_t
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import initializers
from rnn_jax.cell import Cell, SplitCell
from rnn_jax.cells.projection import affine


class GRUParams(NamedTuple):
    """Weights [in, out]; gates concatenated."""

    w_i: jax.Array  # [D, 3H], gates r z n
    w_h: jax.Array  # [H, 3H]
    b: jax.Array  # [3H]
    b_hn: jax.Array  # [H], inside the reset product


class GRUResetBeforeParams(NamedTuple):
    """Weights [in, out]; gates concatenated."""

    w_i: jax.Array  # [D, 3H], gates r z n
    w_h: jax.Array  # [H, 3H]
    b: jax.Array  # [3H]


@dataclasses.dataclass(frozen=True)
class GRUFamily(Cell):
    """The base of all forms: fields, initialisation of the gates, drive and state h [*batch, H]."""

    update_bias: float | initializers.Chrono = initializers.init_only(0.0)
    recurrent_init: initializers.Initializer = initializers.init_only(initializers.Orthogonal())
    input_init: initializers.Initializer = initializers.init_only(initializers.LecunNormal())

    def _init_gates(self, key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        key_i, key_h, key_b = jax.random.split(key, 3)
        zeros = jnp.zeros(self.hidden_size)
        if isinstance(self.update_bias, initializers.Chrono):
            b_z = self.update_bias(key_b, (self.hidden_size,))
        else:
            b_z = jnp.full_like(zeros, self.update_bias)
        w_i = initializers.stack_gates(self.input_init, key_i, 3, (self.input_size, self.hidden_size))
        w_h = initializers.stack_gates(self.recurrent_init, key_h, 3, (self.hidden_size, self.hidden_size))
        return w_i, w_h, jnp.concatenate([zeros, b_z, zeros])

    def initial_state(self, params: Any, batch_shape: tuple[int, ...] = ()) -> jax.Array:
        return jnp.zeros((*batch_shape, self.hidden_size), params.b.dtype)

    def project(self, params: Any, x: jax.Array) -> jax.Array:
        return affine(x, params.w_i, params.b)


@dataclasses.dataclass(frozen=True)
class GRU(GRUFamily, SplitCell):
    """GRU whose reset gate acts *after* the recurrent product (version 1 of the paper); one product a step.

        n_t = tanh(x_t W_in + b_n + r_t * (h_{t-1} W_hn + b_hn))

    PyTorch's, cuDNN's and Flax's form, and Keras' default (`reset_after=True`); it needs the fourth bias b_hn. Gates
    are stacked in the order r, z, n (Keras: z, r, n); the state and the output are h. In some papers the update gate is
    the share kept, in others the share replaced; here, as in PyTorch and Keras, z is the share kept.

    >>> cell = GRU(input_size=2, hidden_size=3)
    >>> params = cell.init(jax.random.key(0))
    >>> cell.step(params, cell.initial_state(params, (5,)), cell.project(params, jnp.ones((5, 2)))).shape
    (5, 3)

    Args:
      input_size: D.
      hidden_size: H.
      update_bias: initial b_z. A number, or `Chrono(max_lag)` (Tallec & Ollivier 2018).
      recurrent_init: initialiser of each gate's block [H, H] of w_h.
      input_init: initialiser of each gate's block [D, H] of w_i.

    Raises:
      ValueError: if a size is not a positive integer.
    """

    def init(self, key: jax.Array) -> GRUParams:
        return GRUParams(*self._init_gates(key), b_hn=jnp.zeros(self.hidden_size))

    def recurrent(self, params: GRUParams, state: jax.Array) -> jax.Array:
        # b_hn is added here, so its gradient is a sum of cotangents of r; in `activate` it would take all gates again.
        b_h = jnp.concatenate([jnp.zeros(2 * self.hidden_size, params.b_hn.dtype), params.b_hn])
        return affine(state, params.w_h, b_h)

    def activate(self, params: GRUParams, state: jax.Array, drive: jax.Array, r: jax.Array) -> jax.Array:
        del params
        d_r, d_z, d_n = jnp.split(drive, 3, axis=-1)
        r_r, r_z, r_n = jnp.split(r, 3, axis=-1)
        reset, z = jax.nn.sigmoid(d_r + r_r), jax.nn.sigmoid(d_z + r_z)
        n = jnp.tanh(d_n + reset * r_n)
        return z * state + (1 - z) * n


@dataclasses.dataclass(frozen=True)
class GRUResetBefore(GRUFamily):
    """GRU whose reset gate acts *before* the recurrent product (version 3 of the paper; Chung et al. 2014).

        n_t = tanh(x_t W_in + b_n + (r_t * h_{t-1}) W_hn)

    Keras' GRU with `reset_after=False`. The second product reads the reset gate, so it defines `step`. Gate order,
    state, arguments and errors are those of `GRU`.
    """

    def init(self, key: jax.Array) -> GRUResetBeforeParams:
        return GRUResetBeforeParams(*self._init_gates(key))

    def step(self, params: GRUResetBeforeParams, state: jax.Array, drive: jax.Array) -> jax.Array:
        w_rz, w_n = jnp.split(params.w_h, [2 * self.hidden_size], axis=1)
        d_rz, d_n = jnp.split(drive, [2 * self.hidden_size], axis=-1)
        reset, z = jnp.split(jax.nn.sigmoid(d_rz + state @ w_rz), 2, axis=-1)
        n = jnp.tanh(d_n + (reset * state) @ w_n)
        return z * state + (1 - z) * n
