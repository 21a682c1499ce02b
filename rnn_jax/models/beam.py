"""Greedy search and beam search for a decoder's most probable sequence, separately for every sequence of a batch."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import checks, masking, parameters
from rnn_jax.cell import State
from rnn_jax.data import Vocabulary
from rnn_jax.models.attending import AttendingCell
from rnn_jax.models.decoder import Decoder, DecoderParams

IMPOSSIBLE = -1e30  # log probability of a sequence that is excluded; finite, so that differences are numbers


class SearchResult(NamedTuple):
    """Best sequence of each of B searches."""

    tokens: jax.Array  # int32 [B, T], END included, PADDING after it
    lengths: jax.Array  # int32 [B], END included; T without END
    scores: (
        jax.Array
    )  # [B], log p(y) over the length penalty; NaN, and no tokens, if logits are NaN, as after divergence
    weights: jax.Array  # [B, T, M], attention weights of each token; M is 0 without attention


class _Ended(NamedTuple):
    """The K best hypotheses that have ended, the best first."""

    tokens: jax.Array  # [K, B, T]
    weights: jax.Array  # [K, B, T, M]
    scores: jax.Array  # [K, B]
    lengths: jax.Array  # [K, B]


class _Search(NamedTuple):
    """The K most probable hypotheses that have not ended, the best first, and those that have."""

    place: jax.Array  # number of tokens of each
    state: State  # [K, B, ...]
    tokens: jax.Array  # [K, B, T]
    weights: jax.Array  # [K, B, T, M]
    log_p: jax.Array  # [K, B]
    nan: jax.Array  # booleans [B]: a logit was NaN
    ended: _Ended


def greedy(decoder: Decoder, params: DecoderParams, state: State, *, max_length: int) -> SearchResult:
    """Chooses the most probable token (never PADDING) at every step, up to END.

    Args:
      decoder: decoder to search.
      params: parameters of the decoder, with the memory if it attends.
      state: state from `Decoder.initial_state`, of a batch [B].
      max_length: T, largest number of tokens of a sequence.

    Returns:
      The sequences, with log p(y) as score.

    Raises:
      ValueError: if max_length is not a positive integer.
    """
    parameters.check(decoder, params)
    checks.integer_at_least(1, max_length, "greedy: max_length")
    return _greedy(decoder, max_length, params, state)


@functools.partial(jax.jit, static_argnames=("decoder", "max_length"))
def _greedy(decoder: Decoder, max_length: int, params: DecoderParams, state: State) -> SearchResult:
    batch = jax.tree.leaves(state)[0].shape[0]

    def write(carry: Any, _: Any) -> tuple[Any, Any]:
        state, token, log_p, done = carry
        state, logits = decoder.step(params, state, token)
        gains = jax.nn.log_softmax(logits).at[:, Vocabulary.PADDING].set(IMPOSSIBLE)
        token = jnp.where(done, Vocabulary.PADDING, jnp.argmax(gains, axis=-1).astype(jnp.int32))
        log_p = jnp.where(done, log_p, log_p + jnp.max(gains, axis=-1))
        written = (token, ~done, _weights(decoder, state, done.shape) * ~done[:, None])
        return (state, token, log_p, done | (token == Vocabulary.END)), written

    begin = jnp.full(batch, Vocabulary.BEGIN, jnp.int32)
    start = (state, begin, jnp.zeros(batch, jnp.result_type(float)), jnp.zeros(batch, bool))
    (_, _, log_p, _), (tokens, new, weights) = jax.lax.scan(write, start, None, max_length)
    lengths = jnp.sum(new, axis=0, dtype=jnp.int32)
    return _checked(SearchResult(tokens.T, lengths, log_p, jnp.swapaxes(weights, 0, 1)), jnp.isnan(log_p))


def beam_search(
    decoder: Decoder, params: DecoderParams, state: State, *, width: int, max_length: int, alpha: float = 0.6
) -> SearchResult:
    """Returns the best of the sequences that are among the `width` most probable at every length.

        score(y) = log p(y) / ((5 + |y|) / 6)^alpha,    |y| counts END

    Wu et al. 2016 (arXiv:1609.08144), section 7; without a length penalty (alpha = 0) short sequences win. Hypotheses
    that have ended are kept apart from those that continue, and the search stops when none of the latter can reach a
    better score. A batch stops as one, but its sequences do not influence each other. One program is compiled for each
    batch size and max_length.

    Args:
      decoder: decoder to search.
      params: parameters of the decoder, with the memory if it attends.
      state: state from `Decoder.initial_state`, of a batch [B].
      width: K, number of hypotheses kept; with 1 and alpha = 0 the result is that of `greedy`.
      max_length: T, largest number of tokens of a sequence. A sequence cut off there is returned only if none has
        ended.
      alpha: exponent of the length penalty.

    Returns:
      The best sequence of each search.

    Raises:
      ValueError: if width or max_length is not a positive integer, or alpha is not a number of at least 0.
    """
    parameters.check(decoder, params)
    checks.integer_at_least(1, width, "beam_search: width")
    checks.integer_at_least(1, max_length, "beam_search: max_length")
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0 <= alpha < float("inf"):
        raise ValueError(f"beam_search: alpha must be a number of at least 0, got {alpha!r}")
    return _beam_search(decoder, width, max_length, float(alpha), params, state)


@functools.partial(jax.jit, static_argnames=("decoder", "width", "max_length", "alpha"))
def _beam_search(
    decoder: Decoder, width: int, max_length: int, alpha: float, params: DecoderParams, state: State
) -> SearchResult:
    def unfinished(search: _Search) -> jax.Array:
        # Log probabilities only fall, and the penalty that divides them is largest at the largest length.
        reachable = search.log_p[0] / _penalty(max_length, alpha)
        return (search.place < max_length) & jnp.any(~search.nan & (reachable > search.ended.scores[-1]))

    def extend(search: _Search) -> _Search:
        state, logits = decoder.step(params, search.state, _last_tokens(search))
        weights = search.weights.at[:, :, search.place].set(_weights(decoder, state, search.log_p.shape))
        log_p = search.log_p[..., None] + jax.nn.log_softmax(logits)  # [K, B, V]
        nan = search.nan | jnp.any(jnp.isnan(logits), axis=(0, 2))
        search = search._replace(state=state, weights=weights, nan=nan)
        ended = _end(search, log_p, _penalty(search.place + 1, alpha))
        return _continue(search, log_p)._replace(ended=ended)

    search = jax.lax.while_loop(unfinished, extend, _start(decoder, state, width, max_length))
    return _best_sequence(search, alpha)


def _penalty(length: Any, alpha: float) -> Any:
    return ((5 + length) / 6) ** alpha


def _start(decoder: Decoder, state: State, width: int, max_length: int) -> _Search:
    # Beams are a leading axis, so that all beams of a sequence attend to one memory.
    state = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (width, *leaf.shape)), state)
    batch = jax.tree.leaves(state)[0].shape[1]
    like = jax.eval_shape(lambda s: _weights(decoder, s, (width, batch)), state)
    tokens = jnp.full((width, batch, max_length), Vocabulary.PADDING, jnp.int32)
    weights = jnp.zeros((width, batch, max_length, like.shape[-1]), like.dtype)
    # All beams are equal at the start, so only the first may be extended.
    log_p = jnp.full((width, batch), IMPOSSIBLE).at[0].set(0.0)
    ended = _Ended(tokens, weights, jnp.full((width, batch), IMPOSSIBLE), jnp.zeros((width, batch), jnp.int32))
    return _Search(jnp.array(0), state, tokens, weights, log_p, jnp.zeros(batch, bool), ended)


def _last_tokens(search: _Search) -> jax.Array:
    """Returns the last token of each hypothesis [K, B], BEGIN at the start."""
    width, batch, _ = search.tokens.shape
    places = jnp.broadcast_to(jnp.maximum(search.place - 1, 0), (width, batch, 1))
    last = jnp.take_along_axis(search.tokens, places, 2)
    return jnp.where(search.place > 0, last[..., 0], Vocabulary.BEGIN)


def _end(search: _Search, log_p: jax.Array, penalty: jax.Array) -> _Ended:
    """Returns the K best ended hypotheses, with those that END ends at this step; log_p is [K, B, V]."""
    width, batch, _ = log_p.shape
    # A hypothesis ends only if END is among its K most probable extensions, as in greedy search.
    flat = jnp.reshape(jnp.moveaxis(log_p.at[..., Vocabulary.PADDING].set(2 * IMPOSSIBLE), 0, 1), (batch, -1))
    least = jax.lax.top_k(flat, width)[0][:, -1]
    ending = log_p[..., Vocabulary.END]
    scores = jnp.where((ending >= least[None]) & (search.log_p > IMPOSSIBLE / 2), ending / penalty, IMPOSSIBLE)
    tokens = search.tokens.at[:, :, search.place].set(Vocabulary.END)
    new = _Ended(tokens, search.weights, scores, jnp.full_like(search.ended.lengths, search.place + 1))
    both = jax.tree.map(lambda old, new: jnp.concatenate([old, new]), search.ended, new)
    _, places = jax.lax.top_k(both.scores.T, width)
    ended: _Ended = _select(both, places.T)
    return ended


def _continue(search: _Search, log_p: jax.Array) -> _Search:
    """Returns the K most probable hypotheses that are one token longer; log_p is [K, B, V]."""
    width, batch, size = log_p.shape
    log_p = log_p.at[..., jnp.array([Vocabulary.END, Vocabulary.PADDING])].set(2 * IMPOSSIBLE)
    flat = jnp.reshape(jnp.moveaxis(log_p, 0, 1), (batch, -1))
    values, chosen = jax.lax.top_k(flat, width)
    parents, new = (chosen // size).T, (chosen % size).T.astype(jnp.int32)
    state, tokens, weights = _select((search.state, search.tokens, search.weights), parents)
    tokens = tokens.at[:, :, search.place].set(new)
    return _Search(search.place + 1, state, tokens, weights, values.T, search.nan, search.ended)


def _best_sequence(search: _Search, alpha: float) -> SearchResult:
    """Returns the best ended hypothesis of each sequence, or if none has ended, the most probable other one."""
    _, batch, max_length = search.tokens.shape
    best = jax.tree.map(lambda leaf: leaf[0], search.ended)
    none = best.scores <= IMPOSSIBLE / 2
    cut_off = _Ended(
        search.tokens[0],
        search.weights[0],
        search.log_p[0] / _penalty(max_length, alpha),
        jnp.full(batch, max_length),
    )

    def pick(cut_off: jax.Array, ended: jax.Array) -> jax.Array:
        return jnp.where(jnp.reshape(none, (batch,) + (1,) * (ended.ndim - 1)), cut_off, ended)

    result = jax.tree.map(pick, cut_off, best)
    inside = jnp.arange(max_length)[None] < result.lengths[:, None]
    weights = result.weights * inside[..., None]
    return _checked(SearchResult(result.tokens, result.lengths.astype(jnp.int32), result.scores, weights), search.nan)


def _checked(result: SearchResult, nan: jax.Array) -> SearchResult:
    """Returns a result without tokens, and with the score NaN, for the sequences [B] whose logits were NaN."""
    no_result = SearchResult(*(jnp.zeros_like(leaf) for leaf in result))._replace(scores=jnp.nan * result.scores)
    return masking.select(nan, no_result, result)


def _weights(decoder: Decoder, state: State, batch_shape: tuple[int, ...]) -> jax.Array:
    """Returns the attention weights of the last token [*batch, M]; M is 0 without attention."""
    if isinstance(decoder.cell, AttendingCell):
        return state.weights
    return jnp.zeros((*batch_shape, 0))


def _select(tree: Any, places: jax.Array) -> Any:
    """Returns the entries of leaves [N, B, ...] at places [K, B]."""
    columns = jnp.arange(places.shape[1])[None]
    return jax.tree.map(lambda leaf: leaf[places, jnp.broadcast_to(columns, places.shape)], tree)
