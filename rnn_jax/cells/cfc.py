"""Closed-form continuous-time network (CfC), Hasani et al. 2022 (arXiv:2106.13898), eq. 10 (eq. 4 in Nature Machine
Intelligence 4).

u_t = 1.7159 tanh(0.666 (x_t W_i + h_{t-1} W_h + b))           backbone, which the three heads share
f_t, g_t, k_t = u_t W_f + b_f, tanh(u_t W_g + b_g), tanh(u_t W_k + b_k)
gate = sigmoid(-f_t dt)
h_t = gate * g_t + (1 - gate) * k_t

An approximate solution of liquid time-constant networks (Hasani et al. 2021), after the time dt since the step before.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import checks, initializers
from rnn_jax.cell import Cell
from rnn_jax.cells.projection import affine


class CfCParams(NamedTuple):
    """Weights [in, out]; heads concatenated."""

    w_i: jax.Array  # [D, U]
    w_h: jax.Array  # [H, U]
    b: jax.Array  # [U]
    w_u: jax.Array  # [U, 3H], heads f g k
    b_u: jax.Array  # [3H]


@dataclasses.dataclass(frozen=True)
class CfC(Cell):
    """CfC with a backbone of one layer; the state and the output are h [*batch, H].

    The paper's gate is sigmoid(-f t), as here; the authors' code has two heads for it, sigmoid(f_1 t + f_2), which are
    one for steps of equal length. Depth, width and activation of the backbone are chosen by task in the paper; here it
    has one layer of LeCun's tanh. Weights start as Glorot's uniform distribution (in that code times a gain chosen by
    task), biases as PyTorch's. Claimed: trained and run one to five orders of magnitude faster than networks with a
    differential equation's solver (abstract).

    >>> cell = CfC(input_size=2, hidden_size=3, backbone_size=8)
    >>> params = cell.init(jax.random.key(0))
    >>> cell.step(params, cell.initial_state(params, (5,)), cell.project(params, jnp.ones((5, 2)))).shape
    (5, 3)

    Args:
      input_size: D.
      hidden_size: H.
      backbone_size: U, units of the backbone.
      dt: time between two steps.

    Raises:
      ValueError: if a size is not a positive integer, or dt not a positive number.
    """

    backbone_size: int = 128
    dt: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.integer_at_least(1, self.backbone_size, "CfC: backbone_size")
        checks.positive(self.dt, "CfC: dt")

    def init(self, key: jax.Array) -> CfCParams:
        key_w, key_b, key_heads, key_b_u = jax.random.split(key, 4)
        read, units, backbone = self.input_size + self.hidden_size, self.hidden_size, self.backbone_size
        glorot = jax.nn.initializers.glorot_uniform()
        w_i, w_h = jnp.split(glorot(key_w, (read, backbone)), [self.input_size])
        return CfCParams(
            w_i,
            w_h,
            b=initializers.Uniform(read**-0.5)(key_b, (backbone,)),
            w_u=initializers.stack_gates(glorot, key_heads, 3, (backbone, units)),
            b_u=initializers.Uniform(backbone**-0.5)(key_b_u, (3 * units,)),
        )

    def initial_state(self, params: CfCParams, batch_shape: tuple[int, ...] = ()) -> jax.Array:
        return jnp.zeros((*batch_shape, self.hidden_size), params.b.dtype)

    def project(self, params: CfCParams, x: jax.Array) -> jax.Array:
        return affine(x, params.w_i, params.b)

    def step(self, params: CfCParams, state: jax.Array, drive: jax.Array) -> jax.Array:
        u = 1.7159 * jnp.tanh(0.666 * (drive + state @ params.w_h))
        f, g, k = jnp.split(affine(u, params.w_u, params.b_u), 3, axis=-1)
        gate = jax.nn.sigmoid(-self.dt * f)
        return gate * jnp.tanh(g) + (1 - gate) * jnp.tanh(k)
