"""Selective state space model (S6, of Mamba), Gu & Dao 2024 (arXiv:2312.00752), sections 3.2 and 3.6, algorithm 2.

u_t = x_t W_u                                                   input of H channels
dt_t = softplus(x_t W_r W_dt + b_dt)                            time step of each channel, of low rank
s_t = exp(dt_t A) * s_{t-1} + (dt_t * u_t) (x_t W_B)^T          N states a channel, A = -exp(a_log)
y_t = s_t (x_t W_C) + D * u_t

A channel whose dt_t is large forgets its past and reads its input, one whose dt_t is 0 does neither: it selects. Time
step, B and C depend on the input alone, so the recurrence is linear in the state and diagonal.
"""

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import checks, initializers
from rnn_jax.cell import LinearCell
from rnn_jax.cells.projection import affine, over_batch
from rnn_jax.linear import Diagonal, Transition


class S6Params(NamedTuple):
    """Weights [in, out]."""

    w_i: jax.Array  # [D, H + R + N], u, time step of low rank, B
    w_dt: jax.Array  # [R, H]
    b_dt: jax.Array  # [H]
    a_log: jax.Array  # [H, N]
    w_c: jax.Array  # [D, N]
    d: jax.Array  # [H]


class S6Drive(NamedTuple):
    """What a step needs of an input; [H, N] numbers are made of them in the step."""

    dt: jax.Array  # [*batch, H]
    u: jax.Array  # [*batch, H], times dt
    b: jax.Array  # [*batch, N]


@dataclasses.dataclass(frozen=True)
class S6(LinearCell):
    """S6 with H channels of N states each; the state is s [*batch, H, N], the output y [*batch, H].

    In the paper all of it reads u_t, which Mamba's block makes of x_t by a linear layer, a short convolution and SiLU;
    here that layer alone is part of the cell, and the rest reads x_t. With W_u = I it is the paper's. A is discretised
    by the exponential, as in its equation 4, and B by dt B, as in the authors' code. Initially, as in the paper, A =
    -1..N in every channel ("S4D-Real") and softplus(b_dt) is log-uniform in [0.001, 0.1]; as in the code, W_dt is
    uniform within R^-1/2 and D = 1. Claimed: selective copying of 4,096 steps, 99.8 % in Mamba's block and 97.0 %
    without gates (table 1); induction heads trained at 256 steps and solved at 1,000,000 (table 2).

    >>> cell = S6(input_size=2, hidden_size=3)
    >>> params = cell.init(jax.random.key(0))
    >>> cell.initial_state(params, (5,)).shape
    (5, 3, 16)

    Args:
      input_size: D.
      hidden_size: H.
      state_size: N.
      dt_rank: R; None means H / 16, rounded up, as in the paper.
      input_init: initialiser of each block of w_i, and of w_c.
      negative_eigenvalues: whether 2 exp(dt A) - 1, in (-1, 1), takes the place of exp(dt A): a sign that an input
        flips, without which no linear recurrence of real eigenvalues computes parity (Grazzi et al. 2025,
        arXiv:2411.12537, theorem 1).

    Raises:
      ValueError: if a size is not a positive integer.
    """

    state_size: int = 16
    dt_rank: int | None = None
    input_init: initializers.Initializer = initializers.init_only(initializers.LecunNormal())
    negative_eigenvalues: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.integer_at_least(1, self.state_size, "S6: state_size")
        if self.dt_rank is not None:
            checks.integer_at_least(1, self.dt_rank, "S6: dt_rank")

    @property
    def _sizes(self) -> tuple[int, int, int]:
        rank = math.ceil(self.hidden_size / 16) if self.dt_rank is None else self.dt_rank
        return self.hidden_size, rank, self.state_size

    def init(self, key: jax.Array) -> S6Params:
        key_i, key_c, key_w, key_b = jax.random.split(key, 4)
        units, rank, states = self._sizes
        blocks = zip(jax.random.split(key_i, 3), self._sizes, strict=True)
        return S6Params(
            w_i=jnp.concatenate([self.input_init(k, (self.input_size, size)) for k, size in blocks], axis=1),
            w_dt=initializers.Uniform(rank**-0.5)(key_w, (rank, units)),
            b_dt=initializers.TimeStepBias()(key_b, (units,)),
            a_log=jnp.tile(jnp.log(jnp.arange(1.0, states + 1)), (units, 1)),
            w_c=self.input_init(key_c, (self.input_size, states)),
            d=jnp.ones(units),
        )

    def initial_state(self, params: S6Params, batch_shape: tuple[int, ...] = ()) -> jax.Array:
        return jnp.zeros((*batch_shape, self.hidden_size, self.state_size), params.d.dtype)

    def project(self, params: S6Params, x: jax.Array) -> S6Drive:
        units, rank, _ = self._sizes
        u, low_rank, b = jnp.split(x @ params.w_i, [units, units + rank], axis=-1)
        dt = jax.nn.softplus(affine(low_rank, params.w_dt, params.b_dt))
        return S6Drive(dt, dt * u, b)

    def linear(self, params: S6Params, drive: S6Drive) -> tuple[Transition, jax.Array]:
        a = jnp.exp(-drive.dt[..., :, None] * over_batch(jnp.exp(params.a_log), drive.dt.ndim))
        return Diagonal(2 * a - 1 if self.negative_eigenvalues else a), drive.u[..., :, None] * drive.b[..., None, :]

    def output(self, params: S6Params, state: jax.Array, x: jax.Array) -> jax.Array:
        u = x @ params.w_i[:, : self.hidden_size]
        return (state @ (x @ params.w_c)[..., None])[..., 0] + over_batch(params.d, x.ndim) * u
