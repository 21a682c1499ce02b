"""Text from a language model: each prompt is read, and then every token is drawn from what the model says of it."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import checks, masking
from rnn_jax.cell import State
from rnn_jax.models.language import LanguageModel
from rnn_jax.models.readout import ReadoutParams
from rnn_jax.models.sampling import Strategy

NO_END = -1  # no token is this


class Generated(NamedTuple):
    """Prompts and what was drawn after them; `rnn_jax.data.unpad(*generated)` gives the sequences."""

    tokens: jax.Array  # int32 [max_length, B], zero beyond a sequence's length
    lengths: jax.Array  # int32 [B], prompt and END counted in


class _Writing(NamedTuple):
    place: jax.Array  # of the token to be read next
    state: State
    tokens: jax.Array
    lengths: jax.Array
    done: jax.Array  # [B]: the sequence gets no more


def generate(
    model: LanguageModel,
    params: ReadoutParams,
    strategy: Strategy,
    key: jax.Array,
    prompts: Any,
    lengths: Any = None,
    *,
    count: int,
    end: int | None = None,
    max_length: int = 1024,
) -> Generated:
    """Continues every prompt by `count` tokens, or to the first `end` among them.

    x_{n+1} ~ strategy(logits(x_1 .. x_n)), the state stepped once a token: each costs the same whatever stands before
    it. One program serves prompts of all lengths and all counts, of one batch size and one `max_length`, which costs
    memory but no time. A sequence does not depend on those beside it.

    Args:
      model: its cell can be stepped.
      params: of the model.
      strategy: how a token is chosen, as `Greedy()` or `Nucleus(0.9)`; hashable.
      key: of all draws; the same key gives the same text.
      prompts: ids [P, B], each prompt at the beginning of its column.
      lengths: of the prompts, integers [B] from 1 to P; None means P.
      count: tokens to draw.
      end: a token that ends its sequence, such as `Vocabulary.END`; None: no token does.
      max_length: the most tokens of a sequence.

    Returns:
      The sequences, prompts and all. Where the logits are NaN, as those of a network that has diverged are, the token
      is -1, and the last of its sequence.

    Raises:
      TypeError: where ids or lengths are not integers, or the cell cannot be stepped.
      ValueError: where a shape does not fit, a number is out of its range, a prompt holds no token or one that is not
        in the vocabulary, or prompt and count are more than `max_length`. Traced prompts are not checked.
    """
    for name, value in (("count", count), ("max_length", max_length)):
        checks.integer_at_least(1, value, f"generate: {name}")
    if end is not None:
        checks.integer_at_least(0, end, "generate: end")
        if end >= model.size:
            raise ValueError(f"generate: end must be a token, in [0, {model.size}), got {end}")
    tokens, lengths = _checked(model, prompts, lengths, count, max_length)
    # As arrays: other numbers are not another program.
    stop = jnp.asarray(NO_END if end is None else end, jnp.int32)
    return _generate(model, strategy, params, key, tokens, lengths, jnp.asarray(count, jnp.int32), stop)


@functools.partial(jax.jit, static_argnames=("model", "strategy"))
def _generate(
    model: LanguageModel,
    strategy: Strategy,
    params: ReadoutParams,
    key: jax.Array,
    tokens: jax.Array,
    prompt_lengths: jax.Array,
    count: jax.Array,
    end: jax.Array,
) -> Generated:
    max_length, batch_size = tokens.shape
    tokens = masking.blank(tokens, masking.before_end(prompt_lengths, max_length))
    # A key a sequence and place: what is drawn does not depend on how many others there are.
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(batch_size))

    def unfinished(writing: _Writing) -> jax.Array:
        return (writing.place < max_length - 1) & ~jnp.all(writing.done)

    def write(writing: _Writing) -> _Writing:
        state, logits = model.step(params, writing.state, writing.tokens[writing.place])
        place = writing.place + 1
        drawn = jax.vmap(jax.random.categorical)(
            jax.vmap(jax.random.fold_in, (0, None))(keys, place), strategy(logits)
        ).astype(jnp.int32)
        drawn = jnp.where(jnp.any(jnp.isnan(logits), axis=-1), -1, drawn)
        new = (place >= prompt_lengths) & ~writing.done
        lengths = writing.lengths + new
        ended = new & ((drawn == end) | (drawn < 0))
        return _Writing(
            place,
            state,
            writing.tokens.at[place].set(jnp.where(new, drawn, writing.tokens[place])),
            lengths,
            writing.done | ended | (lengths >= prompt_lengths + count),
        )

    state = model.network.cell.initial_state(params.cell, (batch_size,))
    start = _Writing(jnp.array(0), state, tokens, prompt_lengths, jnp.zeros(batch_size, bool))
    finished = jax.lax.while_loop(unfinished, write, start)
    return Generated(finished.tokens, finished.lengths)


def _checked(
    model: LanguageModel, prompts: Any, lengths: Any, count: int, max_length: int
) -> tuple[jax.Array, jax.Array]:
    """The prompts as int32 [max_length, B], and their lengths."""
    traced = isinstance(prompts, jax.core.Tracer) or isinstance(lengths, jax.core.Tracer)
    xp: Any = jnp if traced else np  # padded by NumPy: each shape would be a program of its own
    prompts = xp.asarray(prompts)
    if prompts.ndim != 2 or not prompts.shape[1]:
        raise ValueError(f"generate: prompts must be [P, B] with B of at least 1, got shape {list(prompts.shape)}")
    steps, batch_size = prompts.shape
    lengths = xp.full(batch_size, steps) if lengths is None else xp.asarray(lengths)
    for name, ids in (("prompts", prompts), ("lengths", lengths)):
        if not xp.issubdtype(ids.dtype, xp.integer):
            raise TypeError(f"generate: {name} must be integers, got {ids.dtype}")
    if lengths.shape != (batch_size,):
        raise ValueError(f"generate: lengths must be [{batch_size}], as prompts has columns, got {list(lengths.shape)}")
    if not traced:
        _check_prompts(model, prompts, lengths, count, max_length)
    kept = min(steps, max_length)
    tokens = xp.pad(prompts[:kept].astype(xp.int32), ((0, max_length - kept), (0, 0)))
    return jnp.asarray(tokens), jnp.asarray(lengths, jnp.int32)


def _check_prompts(model: LanguageModel, prompts: np.ndarray, lengths: np.ndarray, count: int, max_length: int) -> None:
    strange = (lengths < 1) | (lengths > len(prompts))
    if np.any(strange):
        raise ValueError(
            f"generate: prompts must hold 1 to P = {len(prompts)} tokens each (begin an empty one with BEGIN), got "
            f"lengths {lengths.tolist()}"
        )
    inside = np.arange(len(prompts))[:, None] < lengths[None]
    unknown = inside & ((prompts < 0) | (prompts >= model.size))
    if np.any(unknown):
        place, column = np.argwhere(unknown)[0]
        raise ValueError(
            f"generate: prompts must hold tokens in [0, {model.size}), got {prompts[place, column]} at step {place} of "
            f"prompt {column}"
        )
    if (longest := int(lengths.max()) + count) > max_length:
        raise ValueError(
            f"generate: prompt and count together must be at most max_length = {max_length} tokens, got {longest}"
        )
