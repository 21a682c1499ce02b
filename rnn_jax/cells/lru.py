"""Linear recurrent unit, Orvieto et al. 2023 (arXiv:2303.06349), section 3 and appendix A.

lambda = exp(-exp(nu) + i exp(theta))                 |lambda| < 1 for every nu
s_t = lambda * s_{t-1} + exp(gamma) * (x_t B)         complex
y_t = Re(s_t C) + x_t D                               real

Initially lambda is uniform on the ring r_min <= |lambda| <= r_max with phases in [0, max_phase), and exp(gamma) =
sqrt(1 - |lambda|^2), so that white noise gives every unit the same variance, however long its memory.
"""

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import checks, initializers
from rnn_jax.cell import LinearCell
from rnn_jax.cells import complex_state
from rnn_jax.cells.projection import over_batch
from rnn_jax.linear import Diagonal, Transition


class LRUParams(NamedTuple):
    """All real; weights [in, out], their complex parts apart."""

    nu: jax.Array  # [H], log(-log |lambda|)
    theta: jax.Array  # [H], log of the phase
    gamma: jax.Array  # [H], log of the input's scale
    b_re: jax.Array  # [D, H]
    b_im: jax.Array  # [D, H]
    c_re: jax.Array  # [H, H]
    c_im: jax.Array  # [H, H]
    d: jax.Array  # [D, H]


@dataclasses.dataclass(frozen=True)
class LRU(LinearCell):
    """LRU with H complex units and H real outputs; the state is s [*batch, H], complex.

    The paper's block around it (normalisation, a gated linear unit, a residual connection) is not part of it. The
    paper's code has as many outputs as inputs and an elementwise D; here, as in its equations, D is a matrix, drawn so
    that x_t D has the same variance. Eigenvalues may be negative, and yet no depth of such layers computes parity, as
    they do not depend on the input (Khavari et al. 2025, arXiv:2508.07395); `RGLRU(negative_eigenvalues=True)` does.

    >>> cell = LRU(input_size=2, hidden_size=3, r_min=0.9)
    >>> params = cell.init(jax.random.key(0))
    >>> cell.initial_state(params).dtype, cell.output(params, cell.initial_state(params), jnp.ones(2)).dtype
    (dtype('complex64'), dtype('float32'))

    Args:
      input_size: D.
      hidden_size: H.
      r_min: smallest initial |lambda|.
      r_max: largest initial |lambda|; for dependencies of hundreds of steps the paper uses 0.9 to 0.999 and above.
      max_phase: largest initial phase, up to 2 pi; small ones (pi / 10) suit long sequences.

    Raises:
      ValueError: if a size is not a positive integer, r_min and r_max are not 0 <= r_min < r_max <= 1, or max_phase is
        not in (0, 2 pi].
    """

    r_min: float = initializers.init_only(0.0)
    r_max: float = initializers.init_only(1.0)
    max_phase: float = initializers.init_only(2 * math.pi)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("r_min", "r_max", "max_phase"):
            checks.finite(getattr(self, name), f"LRU: {name}")
        if not 0 <= self.r_min < self.r_max <= 1:
            raise ValueError(f"LRU: must have 0 <= r_min < r_max <= 1, got {self.r_min!r} and {self.r_max!r}")
        if not 0 < self.max_phase <= 2 * math.pi:
            raise ValueError(f"LRU: max_phase must be in (0, 2 pi], got {self.max_phase!r}")

    def init(self, key: jax.Array) -> LRUParams:
        key_r, key_phase, key_b, key_c, key_d = jax.random.split(key, 5)
        inputs, units = self.input_size, self.hidden_size
        tiny = jnp.finfo(jnp.result_type(float)).tiny  # never zero, which has no logarithm
        u_r, u_phase = (jax.random.uniform(k, (units,), minval=tiny) for k in (key_r, key_phase))
        rate = -0.5 * jnp.log(u_r * (self.r_max**2 - self.r_min**2) + self.r_min**2)  # -log |lambda|
        return LRUParams(
            nu=jnp.log(rate),
            theta=jnp.log(self.max_phase * u_phase),
            gamma=0.5 * jnp.log(-jnp.expm1(-2 * rate)),
            **_complex_pair("b", key_b, (inputs, units), (2 * inputs) ** -0.5),
            **_complex_pair("c", key_c, (units, units), units**-0.5),
            d=jax.random.normal(key_d, (inputs, units)) * inputs**-0.5,
        )

    def initial_state(self, params: LRUParams, batch_shape: tuple[int, ...] = ()) -> jax.Array:
        return complex_state.zeros("LRU", (*batch_shape, self.hidden_size), params.nu.dtype)

    def project(self, params: LRUParams, x: jax.Array) -> jax.Array:
        scale = over_batch(jnp.exp(params.gamma), x.ndim)
        return jax.lax.complex(scale * (x @ params.b_re), scale * (x @ params.b_im))

    def linear(self, params: LRUParams, drive: jax.Array) -> tuple[Transition, jax.Array]:
        eigenvalues = jnp.exp(jax.lax.complex(-jnp.exp(params.nu), jnp.exp(params.theta)))
        return Diagonal(over_batch(eigenvalues, drive.ndim)), drive

    def output(self, params: LRUParams, state: jax.Array, x: jax.Array) -> jax.Array:
        return state.real @ params.c_re - state.imag @ params.c_im + x @ params.d


def _complex_pair(name: str, key: jax.Array, shape: tuple[int, int], scale: float) -> dict[str, jax.Array]:
    parts = scale * jax.random.normal(key, (2, *shape))
    return {f"{name}_re": parts[0], f"{name}_im": parts[1]}
