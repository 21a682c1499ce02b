"""Generation of text: a language model reads each prompt, then draws token after token from its prediction."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import checks, integers, masking, parameters
from rnn_jax.cell import State
from rnn_jax.models.language import LanguageModel
from rnn_jax.models.readout import ReadoutParams
from rnn_jax.models.sampling import Strategy

NO_END = -1  # equals no token


class Generated(NamedTuple):
    """Prompts and the tokens drawn after them; `rnn_jax.data.unpad(*generated)` returns a list without padding."""

    tokens: jax.Array  # int32 [max_length, B], zero beyond a sequence's length
    lengths: jax.Array  # int32 [B], prompt and END included


class _Progress(NamedTuple):
    place: jax.Array  # step of the token to be read next
    state: State
    tokens: jax.Array  # [max_length, B]
    lengths: jax.Array  # [B]
    done: jax.Array  # booleans [B]


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
    """Continues every prompt by `count` tokens, or up to the first `end` among them.

        x_{n+1} ~ strategy(logits(x_1 .. x_n))

    The state is stepped once per token, so each token costs the same, however many precede it. One compiled program
    serves prompts of all lengths and all counts, for one batch size and one `max_length`; a larger `max_length` costs
    memory but no time. A sequence does not depend on the others of its batch. For an example see `LanguageModel`.

    Args:
      model: language model with a cell that can be stepped.
      params: parameters of the model.
      strategy: choice of a token, such as `Greedy()` or `Nucleus(0.9)`; hashable.
      key: random key of all draws; the same key gives the same text.
      prompts: ids [P, B], each prompt at the start of its column.
      lengths: number of tokens of each prompt, integers [B] from 1 to P; None means P.
      count: number of tokens to draw.
      end: token that ends a sequence, such as `Vocabulary.END`; None: no token does.
      max_length: largest number of tokens of a sequence.

    Returns:
      The sequences, prompts included. NaN logits, as of a network that has diverged, give the token -1, and end the
      sequence.

    Raises:
      TypeError: if ids or lengths are not integers, or the cell cannot be stepped.
      ValueError: if a shape does not fit, a number is out of range, a prompt is empty or has a token that is not in the
        vocabulary, or prompt and count exceed `max_length` in total. Traced prompts are not checked.
    """
    parameters.check(model, params)
    for name, value in (("count", count), ("max_length", max_length)):
        checks.integer_at_least(1, value, f"generate: {name}")
    if end is not None:
        checks.integer_at_least(0, end, "generate: end")
        if end >= model.size:
            raise ValueError(f"generate: end must be a token, in [0, {model.size}), got {end}")
    tokens, lengths = _checked(model, prompts, lengths, count, max_length)
    # As arrays, so that other numbers need no other program.
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
    # One key per sequence and place: a draw does not depend on the number of other draws.
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(batch_size))

    def unfinished(progress: _Progress) -> jax.Array:
        return (progress.place < max_length - 1) & ~jnp.all(progress.done)

    def write(progress: _Progress) -> _Progress:
        state, logits = model.step(params, progress.state, progress.tokens[progress.place])
        place = progress.place + 1
        drawn = _draw(strategy, logits, keys, place)
        new = (place >= prompt_lengths) & ~progress.done
        lengths = progress.lengths + new
        ended = new & ((drawn == end) | (drawn < 0))
        tokens = progress.tokens.at[place].set(jnp.where(new, drawn, progress.tokens[place]))
        return _Progress(place, state, tokens, lengths, progress.done | ended | (lengths >= prompt_lengths + count))

    state = model.network.cell.initial_state(params.cell, (batch_size,))
    start = _Progress(jnp.array(0), state, tokens, prompt_lengths, jnp.zeros(batch_size, bool))
    finished = jax.lax.while_loop(unfinished, write, start)
    return Generated(finished.tokens, finished.lengths)


def _draw(strategy: Strategy, logits: jax.Array, keys: jax.Array, place: jax.Array) -> jax.Array:
    """Returns a token for each sequence, int32 [B]; -1 if its logits [B, V] are NaN."""
    keys = jax.vmap(jax.random.fold_in, (0, None))(keys, place)
    drawn = jax.vmap(jax.random.categorical)(keys, strategy(logits)).astype(jnp.int32)
    return jnp.where(jnp.any(jnp.isnan(logits), axis=-1), -1, drawn)


def _checked(
    model: LanguageModel, prompts: Any, lengths: Any, count: int, max_length: int
) -> tuple[jax.Array, jax.Array]:
    """Returns the prompts as int32 [max_length, B], and their lengths."""
    traced = isinstance(prompts, jax.core.Tracer) or isinstance(lengths, jax.core.Tracer)
    xp: Any = jnp if traced else np  # jnp would compile the padding for every shape
    prompts = xp.asarray(integers.int32(prompts, "generate: prompts"))
    if prompts.ndim != 2 or not prompts.shape[1]:
        raise ValueError(f"generate: prompts must be [P, B] with B of at least 1, got shape {list(prompts.shape)}")
    steps, batch_size = prompts.shape
    lengths = xp.full(batch_size, steps) if lengths is None else integers.int32(lengths, "generate: lengths")
    lengths = xp.asarray(lengths)
    if lengths.shape != (batch_size,):
        raise ValueError(f"generate: lengths must be [{batch_size}], as prompts has columns, got {list(lengths.shape)}")
    if not traced:
        _check_prompts(model, prompts, lengths, count, max_length)
    kept = min(steps, max_length)
    tokens = xp.pad(prompts[:kept], ((0, max_length - kept), (0, 0)))
    return jnp.asarray(tokens), jnp.asarray(lengths, jnp.int32)


def _check_prompts(model: LanguageModel, prompts: np.ndarray, lengths: np.ndarray, count: int, max_length: int) -> None:
    invalid = (lengths < 1) | (lengths > len(prompts))
    if np.any(invalid):
        raise ValueError(
            f"generate: prompts must hold 1 to P = {len(prompts)} tokens each (start an empty one with BEGIN), got "
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
            f"generate: prompt and count must have at most max_length = {max_length} tokens in total, got {longest}"
        )
