"""The delta rule: matrix memories that replace the value under a key, in place of adding another.

S_t = g_t S_{t-1} (I - beta_t k_t k_t^T) + beta_t v_t k_t^T,      o_t = S_t q_t

    DeltaNet          g_t = 1                                    Yang et al. 2024 (arXiv:2406.06484)
    Gated DeltaNet    g_t = exp(-A softplus(x_t w_g + b_g))      Yang et al. 2025 (arXiv:2412.06464)

    k_t = SiLU(x_t W_k) / |SiLU(x_t W_k)|, q_t alike, v_t = SiLU(x_t W_v), beta_t = sigmoid(x_t w_beta)

What the memory holds under k_t moves by a share beta_t to v_t: a step of gradient descent on |S k_t - v_t|^2. With keys
of length 1 the matrix I - beta k k^T is symmetric with the eigenvalues 1, and 1 - beta for k; it is dense, but of rank
one but for a diagonal. It reads no state, so the recurrence is linear in it.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import initializers
from rnn_jax.cell import Params
from rnn_jax.cells.matrix_memory import MatrixMemory, merge, read, store
from rnn_jax.cells.projection import over_batch
from rnn_jax.linear import DiagonalPlusRankOne, Transition


class Replace(NamedTuple):
    """What a step needs of an input."""

    keep: jax.Array  # [*batch, heads], g
    beta: jax.Array  # [*batch, heads]
    key: jax.Array  # [*batch, heads, K]
    value: jax.Array  # [*batch, heads, V]


@dataclasses.dataclass(frozen=True)
class DeltaRule(MatrixMemory):
    """The base of both: the recurrence, keys, values and queries."""

    input_init: initializers.Initializer = initializers.init_only(initializers.LecunNormal())
    negative_eigenvalues: bool = False

    def _init_weights(self, key: jax.Array, gates: int) -> tuple[jax.Array, jax.Array]:
        key_kv, key_g, key_q = jax.random.split(key, 3)
        shape = (self.input_size, self.hidden_size)
        w_kv = initializers.stack_gates(self.input_init, key_kv, 2, shape)
        w_g = self.input_init(key_g, (self.input_size, gates * self.heads))
        return jnp.concatenate([w_kv, w_g], axis=1), self.input_init(key_q, shape)

    def _replace(self, sums: jax.Array) -> Replace:
        """Returns the drive without decay, from keys, values and beta before their activations."""
        units = self.hidden_size
        key, value, beta = jnp.split(sums, [units, 2 * units], axis=-1)
        beta = (2 if self.negative_eigenvalues else 1) * jax.nn.sigmoid(beta)
        return Replace(jnp.ones_like(beta), beta, self._direction(key), self.by_head(jax.nn.silu(value)))

    def _direction(self, x: jax.Array) -> jax.Array:
        heads = self.by_head(jax.nn.silu(x))
        return heads * jax.lax.rsqrt(jnp.sum(heads**2, axis=-1, keepdims=True) + 1e-6)

    def linear(self, params: Params, drive: Replace) -> tuple[Transition, jax.Array]:
        del params
        keep, beta = drive.keep[..., None, None], drive.beta[..., None, None]
        key = drive.key[..., None, :]
        return DiagonalPlusRankOne(keep, key, -keep * beta * key), beta * store(drive.key, drive.value)

    def output(self, params: Params, state: jax.Array, x: jax.Array) -> jax.Array:
        return merge(read(state, self._direction(x @ params.w_q)))


class DeltaNetParams(NamedTuple):
    """Weights [in, out]."""

    w_i: jax.Array  # [D, 2H + heads], k v beta
    w_q: jax.Array  # [D, H]


@dataclasses.dataclass(frozen=True)
class DeltaNet(DeltaRule):
    """DeltaNet; the state is S [*batch, heads, V, K], the output [*batch, H].

    Lengths of keys and queries are sqrt(|k|^2 + 1e-6), as in the authors' code, so that a vector of zeros has one.
    Short convolutions before keys, values and queries, the normalisation of the output and the layer that mixes the
    heads are no part of the cell. `Associative` takes T products of matrices [K, K]; the paper's own algorithm works on
    chunks. Weights start as LeCun's here; in the authors' library as Xavier's uniform ones of gain 2^-2.5, before a
    normalised output. Claimed: multi-query associative recall without errors in its hardest setting (synthetic
    benchmarks), and a language model of 1.3 billion parameters better than Mamba and GLA (abstract).

    >>> cell = DeltaNet(input_size=2, hidden_size=6, heads=2)
    >>> params = cell.init(jax.random.key(0))
    >>> cell.step(params, cell.initial_state(params, (5,)), cell.project(params, jnp.ones((5, 2)))).shape
    (5, 2, 3, 3)

    Args:
      input_size: D.
      hidden_size: H.
      heads: number of memories; a divisor of H.
      input_init: initialiser of each block of w_i, and of w_q.
      negative_eigenvalues: whether beta is twice the sigmoid, so that 1 - beta is in (-1, 1): at 2, a reflection. It
        makes parity, and with several layers any regular language, computable (Grazzi et al. 2025, arXiv:2411.12537).

    Raises:
      ValueError: if a size is not a positive integer, or heads does not divide hidden_size.
    """

    def init(self, key: jax.Array) -> DeltaNetParams:
        return DeltaNetParams(*self._init_weights(key, gates=1))

    def project(self, params: DeltaNetParams, x: jax.Array) -> Replace:
        return self._replace(x @ params.w_i)


class GatedDeltaNetParams(NamedTuple):
    """Weights [in, out]."""

    w_i: jax.Array  # [D, 2H + 2 heads], k v beta g
    w_q: jax.Array  # [D, H]
    a_log: jax.Array  # [heads], log A
    b_g: jax.Array  # [heads]


@dataclasses.dataclass(frozen=True)
class GatedDeltaNet(DeltaRule):
    """Gated DeltaNet, which also forgets all at once; state, arguments and errors are those of `DeltaNet`.

    As in the authors' code, A starts uniform in (0, 16), and softplus(b_g) log-uniform in [0.001, 0.1]. Claimed: better
    than Mamba2 and DeltaNet in language modelling, in-context retrieval and length extrapolation (abstract).

    >>> cell = GatedDeltaNet(input_size=2, hidden_size=6, heads=2)
    >>> params = cell.init(jax.random.key(0))
    >>> cell.output(params, cell.initial_state(params, (5,)), jnp.ones((5, 2))).shape
    (5, 6)
    """

    def init(self, key: jax.Array) -> GatedDeltaNetParams:
        key_w, key_a, key_g = jax.random.split(key, 3)
        tiny = jnp.finfo(jnp.result_type(float)).tiny  # never zero, which has no logarithm
        return GatedDeltaNetParams(
            *self._init_weights(key_w, gates=2),
            a_log=jnp.log(jax.random.uniform(key_a, (self.heads,), minval=tiny, maxval=16.0)),
            b_g=initializers.TimeStepBias()(key_g, (self.heads,)),
        )

    def project(self, params: GatedDeltaNetParams, x: jax.Array) -> Replace:
        sums, g = jnp.split(x @ params.w_i, [2 * self.hidden_size + self.heads], axis=-1)
        rate = over_batch(jnp.exp(params.a_log), x.ndim) * jax.nn.softplus(g + over_batch(params.b_g, x.ndim))
        return self._replace(sums)._replace(keep=jnp.exp(-rate))
