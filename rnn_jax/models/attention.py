"""Attention: a memory of vectors read by a query, as a mean whose weights say where the query looks.

e_j = score(q, m_j),   alpha = softmax over j of e,   c = sum_j alpha_j m_j

What of the score does not depend on the query, the keys, is computed once for a memory (`prepare`). Memories differ in
length: what lies beyond one's own gets the weight 0, and reaches no context and no gradient, NaN included. A memory of
no vectors gives the context 0.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import checks, initializers, masking


class Memory(NamedTuple):
    """What a query looks at: M vectors for each sequence of a batch."""

    values: jax.Array  # m_j [M, *batch, F], zero beyond a memory's length
    keys: jax.Array  # [M, *batch, K], what the score reads of them
    valid: jax.Array  # booleans [M, *batch]: before the memory's end


@dataclasses.dataclass(frozen=True)
class Attention:
    """What all forms share; a form says what its keys are, and the scores of a query on them.

    Args:
      query_size: H, features of a query, such as a decoder's state.
      memory_size: F, features of a memory's vectors, such as an encoder's outputs.

    Raises:
      ValueError: where a size is not a positive integer, or the form cannot have it.
    """

    query_size: int
    memory_size: int

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            checks.integer_at_least(1, getattr(self, field.name), f"{type(self).__name__}: {field.name}")

    def init(self, key: jax.Array) -> Any:
        """Draws the parameters, in JAX's default float type."""
        raise NotImplementedError

    def keys(self, params: Any, values: jax.Array) -> jax.Array:
        """What the score reads of vectors [..., F]: [..., K]."""
        raise NotImplementedError

    def scores(self, params: Any, query: jax.Array, keys: jax.Array) -> jax.Array:
        """[*lead, M, *batch] of queries [*lead, *batch, H] on keys [M, *batch, K]."""
        raise NotImplementedError

    def prepare(self, params: Any, values: Any, lengths: Any = None) -> Memory:
        """A memory, its keys computed.

        Args:
          params: from `init`.
          values: [M, *batch, F], floating point.
          lengths: of the memories, integers [*batch] from 0 to M; None means M. Traced ones cannot be checked.

        Raises:
          TypeError: where values are not floating point, or lengths not integers.
          ValueError: where a shape does not fit, or a length is not in [0, M].
        """
        who = type(self).__name__
        shape, dtype = jnp.shape(values), jnp.result_type(values)
        if len(shape) < 2 or shape[-1] != self.memory_size:
            raise ValueError(f"{who}: a memory must be [M, *batch, {self.memory_size}], got shape {list(shape)}")
        if not jnp.issubdtype(dtype, jnp.floating):
            raise TypeError(f"{who}: a memory must be floating point, got {dtype}")
        valid = jnp.ones(shape[:-1], bool)
        if lengths is not None:
            valid = masking.before_end(_checked(lengths, shape, who), shape[0])
        values = masking.blank(jnp.asarray(values), valid)
        return Memory(values, self.keys(params, values), valid)

    def __call__(self, params: Any, query: jax.Array, memory: Memory) -> tuple[jax.Array, jax.Array]:
        """The context of every query, and where it looked.

        Args:
          params: from `init`.
          query: q [*lead, *batch, H]; leading axes, such as steps or beams, look at the same memory.
          memory: from `prepare`, of this batch.

        Returns:
          The context c [*lead, *batch, F], and the weights alpha [*lead, M, *batch], with the sum 1 or, of a memory of
          no vectors, 0.
        """
        lead = query.ndim - memory.values.ndim + 1
        scores = self.scores(params, query, memory.keys)
        valid = jnp.broadcast_to(memory.valid, scores.shape)
        # The largest score is taken off: of no scores, it is 0. The sum is then 1 at the least, but of no scores.
        largest = jnp.max(scores, axis=lead, keepdims=True, initial=-jnp.inf, where=valid)
        shifted = jnp.where(valid, scores - jax.lax.stop_gradient(jnp.where(jnp.isfinite(largest), largest, 0)), 0)
        terms = jnp.where(valid, jnp.exp(shifted), 0)
        total = jnp.sum(terms, axis=lead, keepdims=True)
        weights = terms / jnp.where(total > 0, total, 1)
        values = jnp.reshape(memory.values, (1,) * lead + memory.values.shape)
        return jnp.sum(weights[..., None] * values, axis=lead), weights


class AdditiveParams(NamedTuple):
    """Weights [in, out]."""

    w_query: jax.Array  # W_a [H, A]
    w_memory: jax.Array  # U_a [F, A]
    v: jax.Array  # v_a [A]


@dataclasses.dataclass(frozen=True)
class Additive(Attention):
    """score(q, m) = v . tanh(q W_a + m U_a); Bahdanau, Cho & Bengio 2015 (arXiv:1409.0473), appendix A.1.2.

    Args:
      query_size: H.
      memory_size: F.
      size: A, hidden units of the score; in the paper as many as the decoder has.

    Raises:
      ValueError: where a size is not a positive integer.
    """

    size: int

    def init(self, key: jax.Array) -> AdditiveParams:
        key_query, key_memory, key_v = jax.random.split(key, 3)
        draw = initializers.LecunNormal()
        return AdditiveParams(
            draw(key_query, (self.query_size, self.size)),
            draw(key_memory, (self.memory_size, self.size)),
            draw(key_v, (self.size, 1))[:, 0],
        )

    def keys(self, params: AdditiveParams, values: jax.Array) -> jax.Array:
        return values @ params.w_memory

    def scores(self, params: AdditiveParams, query: jax.Array, keys: jax.Array) -> jax.Array:
        hidden = jnp.tanh(_spread(query @ params.w_query, keys) + _spread_keys(query, keys))
        return jnp.sum(hidden * jnp.reshape(params.v, (1,) * (hidden.ndim - 1) + params.v.shape), axis=-1)


class GeneralParams(NamedTuple):
    """Weights [in, out]."""

    w_memory: jax.Array  # W_a, transposed as the paper writes it: [F, H]


@dataclasses.dataclass(frozen=True)
class General(Attention):
    """score(q, m) = q . (m W); Luong, Pham & Manning 2015 (arXiv:1508.04025), section 3.1, "general"."""

    def init(self, key: jax.Array) -> GeneralParams:
        return GeneralParams(initializers.LecunNormal()(key, (self.memory_size, self.query_size)))

    def keys(self, params: GeneralParams, values: jax.Array) -> jax.Array:
        return values @ params.w_memory

    def scores(self, params: GeneralParams, query: jax.Array, keys: jax.Array) -> jax.Array:
        del params
        return jnp.sum(_spread(query, keys) * _spread_keys(query, keys), axis=-1)


@dataclasses.dataclass(frozen=True)
class Dot(Attention):
    """score(q, m) = q . m; Luong et al. 2015, "dot". It has no parameters, and H must be F."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.query_size != self.memory_size:
            raise ValueError(
                f"Dot: query_size and memory_size must be one, got {self.query_size} and {self.memory_size}; General "
                "takes two"
            )

    def init(self, key: jax.Array) -> tuple[()]:
        del key
        return ()

    def keys(self, params: tuple[()], values: jax.Array) -> jax.Array:
        del params
        return values

    def scores(self, params: tuple[()], query: jax.Array, keys: jax.Array) -> jax.Array:
        del params
        return jnp.sum(_spread(query, keys) * _spread_keys(query, keys), axis=-1)


def _spread(query: jax.Array, keys: jax.Array) -> jax.Array:
    """Queries [*lead, *batch, K] as [*lead, 1, *batch, K]."""
    return jnp.expand_dims(query, query.ndim - keys.ndim + 1)


def _spread_keys(query: jax.Array, keys: jax.Array) -> jax.Array:
    """Keys [M, *batch, K] with an axis of one for each of the queries' leading axes."""
    return jnp.reshape(keys, (1,) * (query.ndim - keys.ndim + 1) + keys.shape)


def _checked(lengths: Any, shape: tuple[int, ...], who: str) -> jax.Array:
    traced = isinstance(lengths, jax.core.Tracer)
    lengths = lengths if traced else np.asarray(lengths)
    if not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise TypeError(f"{who}: a memory's lengths must be integers, got {lengths.dtype}")
    if lengths.shape != shape[1:-1]:
        raise ValueError(
            f"{who}: a memory's lengths must be {list(shape[1:-1])}, its batch shape, got shape {list(lengths.shape)}"
        )
    if not traced and np.any(strange := (lengths < 0) | (lengths > shape[0])):
        raise ValueError(f"{who}: a memory's lengths must be from 0 to M = {shape[0]}, got {lengths[strange][0]}")
    return jnp.asarray(lengths)
