"""Recurrences that are linear in their state, s_t = transition_t(s_{t-1}) + b_t: the transitions, as explicit types.

Shapes alone do not say whether [H, H] acts as a matrix or entry by entry. Every leaf of a transition has the leading
dimensions of the state it acts on, [*leading, ...] ([*batch] in a step, [T, *batch] for all steps at once), each in
full or of size one: so a matrix that is the same at all steps and in all rows is kept once, [1, 1, H, H].

The recurrence is associative: two steps are one, of transition `later.after(earlier)` and b `later.apply(b_earlier) +
b_later` (Blelloch 1990, "Prefix sums and their applications").
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

State = Any


class Diagonal(NamedTuple):
    """s -> a * s, entry by entry."""

    a: Any  # a pytree like the state, leaves [*leading, ...]

    def apply(self, state: State) -> State:
        return jax.tree.map(jnp.multiply, self.a, state)

    def after(self, earlier: "Diagonal") -> "Diagonal":
        """The two of them as one."""
        return Diagonal(jax.tree.map(jnp.multiply, self.a, earlier.a))

    def transpose(self) -> "Diagonal":
        """The adjoint: transposed, not conjugated, as JAX's cotangents are."""
        return self

    def keep(self, shares: Any) -> "Diagonal":
        """A share of each leaf stands still: s -> share * s + (1 - share) * transition(s)."""
        return Diagonal(jax.tree.map(lambda share, a: blend(share, jnp.ones_like(a), a), shares, self.a))


class Dense(NamedTuple):
    """s -> s W, for a state that is one array [*leading, H]."""

    w: jax.Array  # [*leading, H, H]

    def apply(self, state: jax.Array) -> jax.Array:
        return (state[..., None, :] @ self.w)[..., 0, :]

    def after(self, earlier: "Dense") -> "Dense":
        """The two of them as one."""
        return Dense(earlier.w @ self.w)

    def transpose(self) -> "Dense":
        """The adjoint."""
        return Dense(jnp.swapaxes(self.w, -1, -2))

    def keep(self, shares: Any) -> "Dense":
        """A share of the state stands still: s -> share * s + (1 - share) * transition(s)."""
        columns = shares if jnp.ndim(shares) == 0 else shares[..., None, :]
        return Dense(
            blend(columns, jnp.broadcast_to(jnp.eye(self.w.shape[-1], dtype=self.w.dtype), self.w.shape), self.w)
        )


class Cut(NamedTuple):
    """s -> 0 where the flag is set, else transition(s).

    Not the same as a transition of zeros: what comes before a reset may be NaN or infinite.
    """

    transition: "Transition"
    flags: jax.Array  # [*leading]

    def apply(self, state: State) -> State:
        return jax.tree.map(
            lambda s: jnp.where(spread(self.flags, s), jnp.zeros_like(s), s), self.transition.apply(state)
        )

    def after(self, earlier: "Cut") -> "Cut":
        """The two of them as one."""
        both: Any = self.transition
        return Cut(both.after(earlier.transition), self.flags | earlier.flags)

    def transpose(self) -> "Cut":
        """The adjoint."""
        return Cut(self.transition.transpose(), self.flags)


# What a cell's `linear` returns; all steps of a sequence have one type.
Transition = Diagonal | Dense


def blend(share: Any, old: jax.Array, new: jax.Array) -> jax.Array:
    """Returns share * old + (1 - share) * new; of flags, which select, the one not selected may be anything."""
    if jnp.result_type(share) == jnp.bool_:
        return jnp.where(share, old, new)
    return share * old + (1 - share) * new


def spread(flags: jax.Array, leaf: jax.Array) -> jax.Array:
    """Flags [*leading] as [*leading, 1, ...], to be set beside a leaf [*leading, ...]."""
    return jnp.reshape(flags, flags.shape + (1,) * (leaf.ndim - flags.ndim))
