"""Search for a decoder's most probable sequence: greedily, or with a beam; every sequence of a batch on its own."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import checks
from rnn_jax.cell import State
from rnn_jax.data import Vocabulary
from rnn_jax.models.attending import AttendingCell
from rnn_jax.models.decoder import Decoder, DecoderParams

NOTHING = -1e30  # a log probability that none has; finite, so that differences are numbers


class Found(NamedTuple):
    """What a search found for each of B sequences."""

    tokens: jax.Array  # int32 [B, T], END counted in, PADDING beyond
    lengths: jax.Array  # int32 [B]: T where no END was found
    scores: jax.Array  # [B], log p(y) over the length penalty
    weights: jax.Array  # [B, T, M], where each token was looked for; M is 0 without attention


class _Alive(NamedTuple):
    """Hypotheses that go on, and those that have ended; the best first. K of each, a leading axis."""

    place: jax.Array
    state: State  # [K, B, ...]
    tokens: jax.Array  # [K, B, T]
    weights: jax.Array  # [K, B, T, M]
    log_p: jax.Array  # [K, B]
    ended: Any  # tokens, weights, scores and lengths of those that have


def greedy(decoder: Decoder, params: DecoderParams, state: State, *, max_length: int) -> Found:
    """The most probable token at every step, to END; never PADDING.

    Args:
      decoder: any.
      params: with the memory.
      state: from `Decoder.begin`, of a batch [B].
      max_length: T, the most tokens of a sequence.

    Raises:
      ValueError: where max_length is not a positive integer.
    """
    checks.integer_at_least(1, max_length, "greedy: max_length")
    return _greedy(decoder, max_length, params, state)


@functools.partial(jax.jit, static_argnames=("decoder", "max_length"))
def _greedy(decoder: Decoder, max_length: int, params: DecoderParams, state: State) -> Found:
    batch = jax.tree.leaves(state)[0].shape[0]

    def write(carry: Any, _: Any) -> tuple[Any, Any]:
        state, token, log_p, done = carry
        state, logits = decoder.step(params, state, token)
        gains = jax.nn.log_softmax(logits).at[:, Vocabulary.PADDING].set(NOTHING)
        token = jnp.where(done, Vocabulary.PADDING, jnp.argmax(gains, axis=-1).astype(jnp.int32))
        log_p = jnp.where(done, log_p, log_p + jnp.max(gains, axis=-1))
        written = (token, ~done, _weights(decoder, state) * ~done[:, None])
        return (state, token, log_p, done | (token == Vocabulary.END)), written

    begin = jnp.full(batch, Vocabulary.BEGIN, jnp.int32)
    start = (state, begin, jnp.zeros(batch, jnp.result_type(float)), jnp.zeros(batch, bool))
    (_, _, log_p, _), (tokens, new, weights) = jax.lax.scan(write, start, None, max_length)
    return Found(tokens.T, jnp.sum(new, axis=0, dtype=jnp.int32), log_p, jnp.swapaxes(weights, 0, 1))


def beam_search(
    decoder: Decoder, params: DecoderParams, state: State, *, width: int, max_length: int, alpha: float = 0.6
) -> Found:
    """The best of the sequences that stay among the `width` most probable at every length.

        score(y) = log p(y) / ((5 + |y|) / 6)^alpha,    |y| with END

    of Wu et al. 2016 (arXiv:1609.08144), section 7: without a length penalty (alpha = 0) short sequences win. What has
    ended is kept apart from what goes on, and the search ends where nothing that goes on can come to a better score.
    Of a batch it ends for all at once; a sequence does not depend on those beside it. One program for a batch size and
    a max_length.

    Args:
      decoder: any.
      params: with the memory.
      state: from `Decoder.begin`, of a batch [B].
      width: K, hypotheses that are kept; with 1 and alpha = 0 it finds what `greedy` finds.
      max_length: T, the most tokens of a sequence. One without END of that length is found only where none has ended.
      alpha: of the length penalty.

    Raises:
      ValueError: where width or max_length is not a positive integer, or alpha is not a number of at least 0.
    """
    checks.integer_at_least(1, width, "beam_search: width")
    checks.integer_at_least(1, max_length, "beam_search: max_length")
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0 <= alpha < float("inf"):
        raise ValueError(f"beam_search: alpha must be a number of at least 0, got {alpha!r}")
    return _beam_search(decoder, width, max_length, float(alpha), params, state)


@functools.partial(jax.jit, static_argnames=("decoder", "width", "max_length", "alpha"))
def _beam_search(
    decoder: Decoder, width: int, max_length: int, alpha: float, params: DecoderParams, state: State
) -> Found:
    # Beams are a leading axis, so that all of a sequence look at one memory.
    state = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (width, *leaf.shape)), state)
    batch = jax.tree.leaves(state)[0].shape[1]
    looked = jax.eval_shape(lambda s: _weights(decoder, s), state)
    tokens = jnp.full((width, batch, max_length), Vocabulary.PADDING, jnp.int32)
    weights = jnp.zeros((width, batch, max_length, looked.shape[-1]), looked.dtype)
    # All beams are the same at the start: but for the first they are impossible.
    log_p = jnp.full((width, batch), NOTHING).at[0].set(0.0)
    ended = (tokens, weights, jnp.full((width, batch), NOTHING), jnp.zeros((width, batch), jnp.int32))

    def penalty(length: Any) -> Any:
        return ((5 + length) / 6) ** alpha

    def unfinished(search: _Alive) -> jax.Array:
        # Probabilities only fall, and what they are divided by is largest at the largest length.
        reachable = search.log_p[0] / penalty(max_length)
        return (search.place < max_length) & jnp.any(reachable > search.ended[2][-1])

    def extend(search: _Alive) -> _Alive:
        place = search.place
        last = jnp.take_along_axis(search.tokens, jnp.broadcast_to(jnp.maximum(place - 1, 0), (width, batch, 1)), 2)
        last = jnp.where(place > 0, last[..., 0], Vocabulary.BEGIN)
        state, logits = decoder.step(params, search.state, last)
        log_p = search.log_p[..., None] + jax.nn.log_softmax(logits)  # [K, B, V]
        weights = search.weights.at[:, :, place].set(_weights(decoder, state))
        # One ends only where that is among the most probable ways to go on, as a greedy search ends.
        flat = jnp.reshape(jnp.moveaxis(log_p.at[..., Vocabulary.PADDING].set(2 * NOTHING), 0, 1), (batch, -1))
        least = jax.lax.top_k(flat, width)[0][:, -1]
        ending = log_p[..., Vocabulary.END]
        ending = jnp.where((ending >= least[None]) & (search.log_p > NOTHING / 2), ending / penalty(place + 1), NOTHING)
        its_tokens = search.tokens.at[:, :, place].set(Vocabulary.END)
        candidates = (its_tokens, weights, ending, jnp.full_like(search.ended[3], place + 1))
        both = jax.tree.map(lambda old, new: jnp.concatenate([old, new]), search.ended, candidates)
        ended = _chosen(both, _best(both[2], width))
        # END and PADDING go on to nothing.
        log_p = log_p.at[..., jnp.array([Vocabulary.END, Vocabulary.PADDING])].set(2 * NOTHING)
        size = log_p.shape[-1]
        flat = jnp.reshape(jnp.moveaxis(log_p, 0, 1), (batch, -1))
        values, chosen = jax.lax.top_k(flat, width)
        parents, new = (chosen // size).T, (chosen % size).T.astype(jnp.int32)
        state, tokens, weights = _chosen((state, search.tokens, weights), parents)
        return _Alive(place + 1, state, tokens.at[:, :, place].set(new), weights, values.T, ended)

    found = jax.lax.while_loop(unfinished, extend, _Alive(jnp.array(0), state, tokens, weights, log_p, ended))
    whole = (found.tokens[0], found.weights[0], found.log_p[0] / penalty(max_length), jnp.full(batch, max_length))
    best = jax.tree.map(lambda leaf: leaf[0], found.ended)
    none = best[2] <= NOTHING / 2

    def pick(unended: jax.Array, ended: jax.Array) -> jax.Array:
        return jnp.where(jnp.reshape(none, (batch,) + (1,) * (ended.ndim - 1)), unended, ended)

    tokens, weights, scores, lengths = jax.tree.map(pick, whole, best)
    inside = jnp.arange(max_length)[None] < lengths[:, None]
    return Found(tokens, lengths.astype(jnp.int32), scores, weights * inside[..., None])


def _weights(decoder: Decoder, state: State) -> jax.Array:
    """Where the last token was looked for, [*batch, M]; without attention M is 0."""
    if isinstance(decoder.cell, AttendingCell):
        return state.weights
    return jnp.zeros((*jax.tree.leaves(state)[0].shape[:-1], 0))


def _best(scores: jax.Array, count: int) -> jax.Array:
    """The places [count, B] of the best scores [N, B], the best first."""
    _, places = jax.lax.top_k(scores.T, count)
    return places.T


def _chosen(tree: Any, places: jax.Array) -> Any:
    """Of leaves [N, B, ...] those at places [K, B]."""
    columns = jnp.arange(places.shape[1])[None]
    return jax.tree.map(lambda leaf: leaf[places, jnp.broadcast_to(columns, places.shape)], tree)
