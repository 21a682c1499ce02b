"""Gated linear attention: matrix memories that forget by a gate for each column, and thus for each entry of a key.

S_t = S_{t-1} diag(f_t) + v_t k_t^T,      o_t = S_t q_t

    GLA     f_t = sigmoid(x_t W_r W_f + b_f)^(1/16)             Yang et al. 2024 (arXiv:2312.06635), section 4
    HGRN2   f_t = low + (1 - low) sigmoid(x_t W_f), k_t = 1 - f_t      Qin et al. 2024 (arXiv:2404.07904), section 3

No gate reads the state, so the recurrence is linear in it.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import checks, initializers
from rnn_jax.cell import Params
from rnn_jax.cells.matrix_memory import MatrixMemory, merge, read, store
from rnn_jax.cells.projection import affine
from rnn_jax.linear import Diagonal, Transition


class Write(NamedTuple):
    """What a step needs of an input."""

    forget: jax.Array  # [*batch, heads, K]
    key: jax.Array  # [*batch, heads, K]
    value: jax.Array  # [*batch, heads, V]


@dataclasses.dataclass(frozen=True)
class ForgettingMemory(MatrixMemory):
    """The base of both: the recurrence."""

    input_init: initializers.Initializer = initializers.init_only(initializers.LecunNormal())

    def linear(self, params: Params, drive: Write) -> tuple[Transition, jax.Array]:
        del params
        return Diagonal(drive.forget[..., None, :]), store(drive.key, drive.value)


class GLAParams(NamedTuple):
    """Weights [in, out]."""

    w_i: jax.Array  # [D, 2H + R], keys, values, forget gate of low rank
    w_f: jax.Array  # [R, H]
    b_f: jax.Array  # [H]
    w_q: jax.Array  # [D, H]


@dataclasses.dataclass(frozen=True)
class GLA(ForgettingMemory):
    """Gated linear attention; the state is S [*batch, heads, V, K], the output [*batch, H].

    Keys are as long as values, K = V = H / heads, where the paper's are half as long. Queries are divided by sqrt(K),
    as in the authors' code. The 16th root keeps the forget gate near 1. What a head reads is the output; the paper's
    layer normalises it, multiplies it by a gate and mixes the heads. Weights start as LeCun's; in the authors' library
    as Xavier's uniform ones of gain 2^-2.5, before that normalisation. Claimed: language models on a par with
    Transformers, RetNet and Mamba, trained at 2,000 steps and as good beyond 20,000 (abstract).

    >>> cell = GLA(input_size=2, hidden_size=6, heads=2)
    >>> params = cell.init(jax.random.key(0))
    >>> cell.initial_state(params, (5,)).shape
    (5, 2, 3, 3)

    Args:
      input_size: D.
      hidden_size: H.
      heads: number of memories; a divisor of H.
      input_init: initialiser of each block of w_i, and of w_q and w_f.
      gate_rank: R, the rank of the forget gate's weights; at most D are used.

    Raises:
      ValueError: if a size is not a positive integer, or heads does not divide hidden_size.
    """

    gate_rank: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.integer_at_least(1, self.gate_rank, "GLA: gate_rank")

    def init(self, key: jax.Array) -> GLAParams:
        key_k, key_v, key_r, key_f, key_q = jax.random.split(key, 5)
        inputs, units = self.input_size, self.hidden_size
        rank = min(self.gate_rank, inputs)
        blocks = [(key_k, units), (key_v, units), (key_r, rank)]
        return GLAParams(
            w_i=jnp.concatenate([self.input_init(k, (inputs, size)) for k, size in blocks], axis=1),
            w_f=self.input_init(key_f, (rank, units)),
            b_f=jnp.zeros(units),
            w_q=self.input_init(key_q, (inputs, units)),
        )

    def project(self, params: GLAParams, x: jax.Array) -> Write:
        units = self.hidden_size
        key, value, low_rank = jnp.split(x @ params.w_i, [units, 2 * units], axis=-1)
        forget = jnp.exp(jax.nn.log_sigmoid(affine(low_rank, params.w_f, params.b_f)) / 16)
        return Write(self.by_head(forget), self.by_head(key), self.by_head(value))

    def output(self, params: GLAParams, state: jax.Array, x: jax.Array) -> jax.Array:
        return merge(read(state, self.by_head(x @ params.w_q))) * self.head_size**-0.5


class HGRN2Params(NamedTuple):
    """Weights [in, out]."""

    w_i: jax.Array  # [D, 2H], forget gate, values
    w_q: jax.Array  # [D, H]


@dataclasses.dataclass(frozen=True)
class HGRN2(ForgettingMemory):
    """HGRN2, whose keys are what the gate forgets; the state is S [*batch, heads, V, K], the output [*batch, H].

    The paper calls the query, SiLU(x_t W_q), an output gate. Its lower bounds of the forget gate are learned, one for
    each layer, and rise from 0 in the lowest one; here the bound is a number. The normalisation of the output and the
    layer that mixes the heads are no part of the cell. Claimed: better than HGRN, of vector states, in language
    modelling, image classification and the Long Range Arena (abstract of the first version).

    >>> cell = HGRN2(input_size=2, hidden_size=6, heads=2)
    >>> params = cell.init(jax.random.key(0))
    >>> cell.output(params, cell.initial_state(params, (5,)), jnp.ones((5, 2))).shape
    (5, 6)

    Args:
      input_size: D.
      hidden_size: H.
      heads: number of memories; a divisor of H.
      input_init: initialiser of each block of w_i, and of w_q.
      lower_bound: smallest value of the forget gate.

    Raises:
      ValueError: if a size is not a positive integer, heads does not divide hidden_size, or lower_bound is not in
        [0, 1).
    """

    lower_bound: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.rate(self.lower_bound, "HGRN2: lower_bound")

    def init(self, key: jax.Array) -> HGRN2Params:
        key_i, key_q = jax.random.split(key)
        shape = (self.input_size, self.hidden_size)
        return HGRN2Params(initializers.stack_gates(self.input_init, key_i, 2, shape), self.input_init(key_q, shape))

    def project(self, params: HGRN2Params, x: jax.Array) -> Write:
        gate, value = map(self.by_head, jnp.split(x @ params.w_i, 2, axis=-1))
        span = 1 - self.lower_bound
        return Write(self.lower_bound + span * jax.nn.sigmoid(gate), span * jax.nn.sigmoid(-gate), value)

    def output(self, params: HGRN2Params, state: jax.Array, x: jax.Array) -> jax.Array:
        return merge(read(state, self.by_head(jax.nn.silu(x @ params.w_q))))
