"""Loops over iterations whose number is that of the slowest sequence, also of those that `jax.vmap` runs together.

Under `jax.vmap` a `lax.cond` or `lax.while_loop` whose predicate differs between its members runs both branches, or
copies all it carries in every iteration. These predicates are one for all members.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.masking import select


@jax.custom_batching.custom_vmap
def any(flag: jax.Array) -> jax.Array:
    """Returns whether a flag is set for any member of the enclosing `jax.vmap`s; without one, the flag."""
    return flag


@any.def_vmap
def _(size: int, batched: list[bool], flag: jax.Array) -> tuple[jax.Array, bool]:
    del size
    return any(jnp.any(flag, axis=0) if batched[0] else flag), False


@jax.custom_batching.custom_vmap
def least(number: jax.Array) -> jax.Array:
    """Returns the least of a number over the members of the enclosing `jax.vmap`s; without one, the number."""
    return number


@least.def_vmap
def _(size: int, batched: list[bool], number: jax.Array) -> tuple[jax.Array, bool]:
    del size
    return least(jnp.min(number, axis=0) if batched[0] else number), False


def finish(
    step: Callable[[jax.Array, Any], Any], first: Any, trajectory: Any, rows: jax.Array, start: jax.Array
) -> Any:
    """Returns a trajectory whose steps from `start` on are run one after the other, for some sequences.

    Args:
      step: function of t and the value before step t that returns the one after it.
      first: value before step 0, leaves [*batch, ...].
      trajectory: values after the steps, leaves [T, *batch, ...]; right before `start`.
      rows: whether a sequence is run, [*batch]; the others stay as they are.
      start: first step that is run; T for none.
    """

    def body(at: tuple[Any, ...]) -> tuple[Any, ...]:
        t, value, trajectory = at
        value = select(rows, step(t, value), jax.tree.map(lambda leaf: leaf[t], trajectory))
        return t + 1, value, jax.tree.map(lambda leaf, row: leaf.at[t].set(row), trajectory, value)

    steps = jax.tree.leaves(trajectory)[0].shape[0]
    before = jax.tree.map(lambda f, leaf: jnp.where(start > 0, leaf[start - 1], f), first, trajectory)
    return jax.lax.while_loop(lambda at: at[0] < steps, body, (start, before, trajectory))[2]
