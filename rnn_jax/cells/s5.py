"""Simplified state space layer (S5), Smith et al. 2023 (arXiv:2208.04933), section 3 and appendix B.

d s / d time = lambda * s + x B                    continuous: one state space model of all inputs, diagonal, complex
s_t = exp(lambda dt) * s_{t-1} + (exp(lambda dt) - 1) / lambda * (x_t B)      zero-order hold, a step dt for each unit
y_t = 2 Re(s_t C) + x_t D                                                     real

Eigenvalues of a real matrix are conjugate pairs, of which one is computed: hence 2 Re. Initially they are those of the
normal part of the HiPPO-LegS matrix ("HiPPO-N"), which projects the past onto Legendre polynomials.
"""

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import checks, initializers
from rnn_jax.cell import LinearCell
from rnn_jax.cells import complex_state
from rnn_jax.cells.projection import over_batch
from rnn_jax.linear import Diagonal, Transition


class S5Params(NamedTuple):
    """All real; weights [in, out], their complex parts apart."""

    lambda_re: jax.Array  # [H]
    lambda_im: jax.Array  # [H]
    log_dt: jax.Array  # [H]
    b_re: jax.Array  # [D, H]
    b_im: jax.Array  # [D, H]
    c_re: jax.Array  # [H, H]
    c_im: jax.Array  # [H, H]
    d: jax.Array  # [D, H]


@dataclasses.dataclass(frozen=True)
class S5(LinearCell):
    """S5 with H conjugate pairs (a state size of 2H) and H real outputs; the state is s [*batch, H], complex.

    dt starts log-uniform in [dt_min, dt_max], as in the paper. Real parts of lambda are not kept negative; the authors'
    code does so by an option, for generation of long sequences. The paper's layer has as many outputs as inputs and an
    elementwise D; here D is a matrix, drawn so that x_t D has the same variance. Its nonlinearity and gate are no part
    of the cell. B has variance 1 / D, in the authors' code 1 / 2H. Claimed: 87.4 % on average on the Long Range Arena,
    98.5 % on its Path-X of 16,384 steps (abstract).

    >>> cell = S5(input_size=2, hidden_size=3)
    >>> params = cell.init(jax.random.key(0))
    >>> cell.output(params, cell.initial_state(params, (5,)), jnp.ones((5, 2))).shape
    (5, 3)

    Args:
      input_size: D.
      hidden_size: H.
      blocks: number J of blocks of the initial matrix, each a HiPPO-N matrix of 2H / J rows; a divisor of H.
      dt_min: smallest initial time step.
      dt_max: largest initial time step.

    Raises:
      ValueError: if a size is not a positive integer, blocks does not divide H, or dt_min and dt_max are not positive
        numbers in this order.
    """

    blocks: int = initializers.init_only(1)
    dt_min: float = initializers.init_only(0.001)
    dt_max: float = initializers.init_only(0.1)

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.divisor(self.blocks, self.hidden_size, "S5: blocks", "hidden_size")
        checks.positive(self.dt_min, "S5: dt_min")
        checks.positive(self.dt_max, "S5: dt_max")
        if self.dt_min > self.dt_max:
            raise ValueError(f"S5: must have dt_min <= dt_max, got {self.dt_min!r} and {self.dt_max!r}")

    def init(self, key: jax.Array) -> S5Params:
        key_b, key_c, key_d, key_dt = jax.random.split(key, 4)
        inputs, units = self.input_size, self.hidden_size
        eigenvalues, vectors = hippo_n(2 * units // self.blocks)
        eigenvalues, vectors = np.tile(eigenvalues, self.blocks), np.kron(np.eye(self.blocks), vectors)  # [2H, H]
        lecun = initializers.LecunNormal()
        b = lecun(key_b, (inputs, 2 * units)) @ jnp.asarray(vectors.conj())
        c = jnp.asarray(vectors.T) @ jax.lax.complex(*(lecun(k, (2 * units, units)) for k in jax.random.split(key_c)))
        u = jax.random.uniform(key_dt, (units,))
        return S5Params(
            lambda_re=jnp.asarray(eigenvalues.real),
            lambda_im=jnp.asarray(eigenvalues.imag),
            log_dt=math.log(self.dt_min) + u * (math.log(self.dt_max) - math.log(self.dt_min)),
            b_re=b.real,
            b_im=b.imag,
            c_re=c.real,
            c_im=c.imag,
            d=jax.random.normal(key_d, (inputs, units)) * inputs**-0.5,
        )

    def initial_state(self, params: S5Params, batch_shape: tuple[int, ...] = ()) -> jax.Array:
        return complex_state.zeros("S5", (*batch_shape, self.hidden_size), params.log_dt.dtype)

    def project(self, params: S5Params, x: jax.Array) -> jax.Array:
        eigenvalues, dt = _continuous(params)
        return over_batch(jnp.expm1(eigenvalues * dt) / eigenvalues, x.ndim) * jax.lax.complex(
            x @ params.b_re, x @ params.b_im
        )

    def linear(self, params: S5Params, drive: jax.Array) -> tuple[Transition, jax.Array]:
        eigenvalues, dt = _continuous(params)
        return Diagonal(over_batch(jnp.exp(eigenvalues * dt), drive.ndim)), drive

    def output(self, params: S5Params, state: jax.Array, x: jax.Array) -> jax.Array:
        return 2 * (state.real @ params.c_re - state.imag @ params.c_im) + x @ params.d


def _continuous(params: S5Params) -> tuple[jax.Array, jax.Array]:
    return jax.lax.complex(params.lambda_re, params.lambda_im), jnp.exp(params.log_dt)


def hippo_n(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns one eigenvalue of each conjugate pair of the HiPPO-N matrix [size, size], and its eigenvector [size, :].

    HiPPO-N is normal, the HiPPO-LegS matrix without its part of rank one: -1/2 I plus a skew-symmetric matrix.

    >>> eigenvalues, vectors = hippo_n(4)
    >>> eigenvalues.real, vectors.shape
    (array([-0.5, -0.5]), (4, 2))
    """
    scale = np.sqrt(np.arange(size) + 0.5)
    skew = np.tril(-np.outer(scale, scale), -1)
    frequencies, vectors = np.linalg.eigh(-1j * (skew - skew.T))
    positive = frequencies > 0
    return -0.5 + 1j * frequencies[positive], vectors[:, positive]
