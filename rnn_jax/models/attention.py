"""Attention: the mean of a memory's vectors, weighted by their score with a query.

e_j = score(q, m_j),   alpha = softmax over j of e,   c = sum_j alpha_j m_j

The part of the score that does not depend on the query (the keys) is computed once for each memory by `prepare`.
Memories may differ in length: vectors beyond a memory's length get the weight 0, and reach no context and no gradient,
NaN included. An empty memory gives the context 0.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import checks, initializers, integers, masking
from rnn_jax.static import Static


class Memory(NamedTuple):
    """Vectors that queries attend to: M for each sequence of a batch."""

    values: jax.Array  # m_j [M, *batch, F], zero beyond a memory's length
    keys: jax.Array  # [M, *batch, K], from which the score is computed
    valid: jax.Array  # booleans [M, *batch]: before the memory's end


@dataclasses.dataclass(frozen=True)
class Attention(Static):
    """Base of all forms of attention; a form defines `init`, `keys` and, unless it is a dot product, `scores`.

    Args:
      query_size: H, number of features of a query, such as a decoder's state.
      memory_size: F, number of features of a memory's vectors, such as an encoder's outputs.

    Raises:
      ValueError: if a size is not a positive integer, or the form does not allow it.
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
        """Returns the keys [..., K] of vectors [..., F]."""
        raise NotImplementedError

    def scores(self, params: Any, query: jax.Array, keys: jax.Array) -> jax.Array:
        """Returns the scores [*lead, M, *batch] of queries [*lead, *batch, H] with keys [M, *batch, K].

        Default: their dot product.
        """
        del params
        return jnp.sum(_expand_query(query, keys) * _expand_keys(query, keys), axis=-1)

    def prepare(self, params: Any, values: Any, lengths: Any = None) -> Memory:
        """Computes the keys of a memory, and blanks its padding.

        Args:
          params: parameters from `init`.
          values: vectors [M, *batch, F], floating point.
          lengths: number of vectors of each memory, integers [*batch] from 0 to M; None means M. Traced lengths cannot
            be checked.

        Returns:
          The memory, to attend to with `__call__`.

        Raises:
          TypeError: if values are not floating point, or lengths are not integers.
          ValueError: if a shape does not fit, or a length is not in [0, M].
        """
        who = type(self).__name__
        shape, dtype = jnp.shape(values), jnp.result_type(values)
        if len(shape) < 2 or shape[-1] != self.memory_size:
            raise ValueError(f"{who}: a memory must be [M, *batch, {self.memory_size}], got shape {list(shape)}")
        if not jnp.issubdtype(dtype, jnp.floating):
            raise TypeError(f"{who}: a memory must be floating point, got {dtype}")
        valid = jnp.ones(shape[:-1], bool)
        if lengths is not None:
            valid = masking.before_end(_checked_lengths(lengths, shape, who), shape[0])
        values = masking.blank(jnp.asarray(values), valid)
        return Memory(values, self.keys(params, values), valid)

    def __call__(self, params: Any, query: jax.Array, memory: Memory) -> tuple[jax.Array, jax.Array]:
        """Attends to a memory.

        Args:
          params: parameters from `init`.
          query: queries q [*lead, *batch, H]; leading axes, such as steps or beams, share the memory.
          memory: memory of this batch, from `prepare`.

        Returns:
          The contexts c [*lead, *batch, F], and the weights alpha [*lead, M, *batch], whose sum over M is 1 (0 for an
          empty memory).
        """
        lead = query.ndim - memory.values.ndim + 1
        scores = self.scores(params, query, memory.keys)
        valid = jnp.broadcast_to(memory.valid, scores.shape)
        # Subtracting the largest score (0 if there is none) avoids overflow: the sum is then at least 1, or 0.
        largest = jnp.max(scores, axis=lead, keepdims=True, initial=-jnp.inf, where=valid)
        shifted = jnp.where(valid, scores - jax.lax.stop_gradient(jnp.where(jnp.isfinite(largest), largest, 0)), 0)
        terms = jnp.where(valid, jnp.exp(shifted), 0)
        total = jnp.sum(terms, axis=lead, keepdims=True)
        weights = terms / jnp.where(total > 0, total, 1)
        values = jnp.reshape(memory.values, (1,) * lead + memory.values.shape)
        return jnp.sum(weights[..., None] * values, axis=lead), weights


class AdditiveParams(NamedTuple):
    """Weights [in, out] of `Additive`."""

    w_query: jax.Array  # W_a [H, A]
    w_memory: jax.Array  # U_a [F, A]
    v: jax.Array  # v_a [A]


@dataclasses.dataclass(frozen=True)
class Additive(Attention):
    """Attention with score(q, m) = v . tanh(q W_a + m U_a).

    Bahdanau, Cho & Bengio 2015 (arXiv:1409.0473), appendix A.1.2.

    Args:
      query_size: H, number of features of a query.
      memory_size: F, number of features of a memory's vectors.
      size: A, number of hidden units of the score; the paper has as many as the decoder.

    Raises:
      ValueError: if a size is not a positive integer.
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
        hidden = jnp.tanh(_expand_query(query @ params.w_query, keys) + _expand_keys(query, keys))
        return jnp.sum(hidden * jnp.reshape(params.v, (1,) * (hidden.ndim - 1) + params.v.shape), axis=-1)


class GeneralParams(NamedTuple):
    """Weights [in, out] of `General`."""

    w_memory: jax.Array  # W_a transposed: [F, H]


@dataclasses.dataclass(frozen=True)
class General(Attention):
    """Attention with score(q, m) = q . (m W).

    Luong, Pham & Manning 2015 (arXiv:1508.04025), section 3.1, "general". Arguments and errors as `Attention`.
    """

    def init(self, key: jax.Array) -> GeneralParams:
        return GeneralParams(initializers.LecunNormal()(key, (self.memory_size, self.query_size)))

    def keys(self, params: GeneralParams, values: jax.Array) -> jax.Array:
        return values @ params.w_memory


@dataclasses.dataclass(frozen=True)
class Dot(Attention):
    """Attention with score(q, m) = q . m, without parameters; H must equal F.

    Luong, Pham & Manning 2015 (arXiv:1508.04025), section 3.1, "dot". Arguments and errors as `Attention`.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.query_size != self.memory_size:
            raise ValueError(
                f"Dot: query_size and memory_size must be equal, got {self.query_size} and {self.memory_size}; General "
                "allows two sizes"
            )

    def init(self, key: jax.Array) -> tuple[()]:
        del key
        return ()

    def keys(self, params: tuple[()], values: jax.Array) -> jax.Array:
        del params
        return values


def _expand_query(query: jax.Array, keys: jax.Array) -> jax.Array:
    """Returns queries [*lead, *batch, K] as [*lead, 1, *batch, K]."""
    return jnp.expand_dims(query, query.ndim - keys.ndim + 1)


def _expand_keys(query: jax.Array, keys: jax.Array) -> jax.Array:
    """Returns keys [M, *batch, K] with an axis of size 1 for each leading axis of the queries."""
    return jnp.reshape(keys, (1,) * (query.ndim - keys.ndim + 1) + keys.shape)


def _checked_lengths(lengths: Any, shape: tuple[int, ...], who: str) -> jax.Array:
    lengths = integers.int32(lengths, f"{who}: a memory's lengths")
    if lengths.shape != shape[1:-1]:
        raise ValueError(
            f"{who}: a memory's lengths must be {list(shape[1:-1])}, its batch shape, got shape {list(lengths.shape)}"
        )
    if not isinstance(lengths, jax.core.Tracer):
        known = np.asarray(lengths)
        if np.any(invalid := (known < 0) | (known > shape[0])):
            raise ValueError(f"{who}: a memory's lengths must be from 0 to M = {shape[0]}, got {known[invalid][0]}")
    return jnp.asarray(lengths)
