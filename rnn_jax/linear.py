"""Transitions of recurrences that are linear in their state, s_t = transition_t(s_{t-1}) + b_t, as explicit types.

Shapes alone do not decide whether [H, H] acts as a matrix or entry by entry. Every leaf of a transition has the leading
dimensions of the state it acts on, [*leading, ...] ([*batch] in a step, [T, *batch] for all steps at once), each in
full or of size one: a matrix that all steps and sequences share is kept once, [1, 1, H, H].

A matrix state [*leading, V, K] is V rows of K numbers, and V is one more leading dimension: a transition that treats
all rows alike has size one there. So `Diagonal` with a [*leading, 1, K] scales the columns of a memory, `Dense` with w
[*leading, 1, K, K] multiplies it from the right.

The recurrence is associative: two steps are one, with transition `later.after(earlier)` and b `later.apply(b_earlier) +
b_later` (Blelloch 1990, "Prefix sums and their applications").
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

State = Any


class Diagonal(NamedTuple):
    """s -> a * s, entry by entry.

    >>> Diagonal(jnp.array([0.5, 2.0])).apply(jnp.array([1.0, 1.0]))
    Array([0.5, 2. ], dtype=float32)
    """

    a: Any  # a pytree like the state, leaves [*leading, ...]

    def apply(self, state: State) -> State:
        return jax.tree.map(jnp.multiply, self.a, state)

    def after(self, earlier: "Diagonal") -> "Diagonal":
        """Returns the composition: first `earlier`, then this."""
        return Diagonal(jax.tree.map(jnp.multiply, self.a, earlier.a))

    def transpose(self) -> "Diagonal":
        """Returns the adjoint: transposed, not conjugated, as JAX's cotangents are."""
        return self

    def keep(self, shares: Any) -> "Diagonal":
        """Keeps a share of each leaf: s -> share * s + (1 - share) * transition(s)."""
        return Diagonal(jax.tree.map(lambda share, a: blend(share, jnp.ones_like(a), a), shares, self.a))


class Dense(NamedTuple):
    """s -> s W, for a state that is one array [*leading, H]."""

    w: jax.Array  # [*leading, H, H]

    def apply(self, state: jax.Array) -> jax.Array:
        return (state[..., None, :] @ self.w)[..., 0, :]

    def after(self, earlier: "Dense") -> "Dense":
        """Returns the composition: first `earlier`, then this."""
        return Dense(earlier.w @ self.w)

    def transpose(self) -> "Dense":
        """Returns the adjoint."""
        return Dense(jnp.swapaxes(self.w, -1, -2))

    def keep(self, shares: Any) -> "Dense":
        """Keeps a share of the state: s -> share * s + (1 - share) * transition(s)."""
        columns = shares if jnp.ndim(shares) == 0 else shares[..., None, :]
        identity = jnp.broadcast_to(jnp.eye(self.w.shape[-1], dtype=self.w.dtype), self.w.shape)
        return Dense(blend(columns, identity, self.w))


class DiagonalPlusRankOne(NamedTuple):
    """s -> a * s + (s . u) v: a diagonal and a matrix of rank one, for a state that is one array [*leading, K].

    Householder-like transitions, I - beta k k^T, are a = 1, u = k, v = -beta k. A step costs K products for a row; two
    steps together are no longer of rank one, so they are `Dense`.

    >>> k = jnp.array([0.6, 0.8])
    >>> DiagonalPlusRankOne(jnp.ones(2), k, -2 * k).apply(k)  # I - 2 k k^T reflects k
    Array([-0.6, -0.8], dtype=float32)
    """

    a: jax.Array  # [*leading, K] or [*leading, 1]
    u: jax.Array  # [*leading, K]
    v: jax.Array  # [*leading, K]

    def apply(self, state: jax.Array) -> jax.Array:
        # Not a sum of products: XLA's sums over one of four axes are slow on a CPU (jaxlib 0.10.2).
        return self.a * state + jnp.einsum("...k,...k->...", state, self.u)[..., None] * self.v

    def after(self, earlier: "DiagonalPlusRankOne") -> Dense:
        """Returns the composition: first `earlier`, then this."""
        by_row = DiagonalPlusRankOne(*(leaf[..., None, :] for leaf in self))
        return Dense(by_row.apply(earlier.dense().w))

    def dense(self) -> Dense:
        """Returns the same transition as a matrix."""
        product = self.u[..., :, None] * self.v[..., None, :]
        identity = jnp.broadcast_to(jnp.eye(product.shape[-1], dtype=product.dtype), product.shape)
        return Dense(self.a[..., None, :] * identity + product)

    def transpose(self) -> "DiagonalPlusRankOne":
        """Returns the adjoint."""
        return DiagonalPlusRankOne(self.a, self.v, self.u)

    def keep(self, shares: Any) -> "DiagonalPlusRankOne":
        """Keeps a share of the state: s -> share * s + (1 - share) * transition(s)."""
        a, v = blend(shares, jnp.ones_like(self.a), self.a), blend(shares, jnp.zeros_like(self.v), self.v)
        return DiagonalPlusRankOne(a, self.u, v)


class Blocks(NamedTuple):
    """A small matrix for each unit, for a state that is one array [*leading, K, H]: K components of H units.

    Units come last, as vector registers hold many of them: products of K are sums of a few whole arrays.
    """

    w: jax.Array  # [*leading, K, K, H]: the first K is read, as the rows of `Dense.w`

    def apply(self, state: jax.Array) -> jax.Array:
        return jnp.sum(state[..., :, None, :] * self.w, axis=-3)

    def after(self, earlier: "Blocks") -> "Blocks":
        """Returns the composition: first `earlier`, then this."""
        return Blocks(jnp.sum(earlier.w[..., :, :, None, :] * self.w[..., None, :, :, :], axis=-3))

    def transpose(self) -> "Blocks":
        """Returns the adjoint."""
        return Blocks(jnp.swapaxes(self.w, -2, -3))


class Cut(NamedTuple):
    """s -> 0 if the flag is set, else transition(s).

    This differs from a transition of zeros: the state before a reset may be NaN or infinite.
    """

    transition: "Transition"
    flags: jax.Array  # [*leading]

    def apply(self, state: State) -> State:
        return jax.tree.map(
            lambda s: jnp.where(spread(self.flags, s), jnp.zeros_like(s), s), self.transition.apply(state)
        )

    def after(self, earlier: "Cut") -> "Cut":
        """Returns the composition: first `earlier`, then this."""
        transition: Any = self.transition
        return Cut(transition.after(earlier.transition), self.flags | earlier.flags)

    def transpose(self) -> "Cut":
        """Returns the adjoint."""
        return Cut(self.transition.transpose(), self.flags)


# Results of a cell's `linear`; all steps of a sequence have the same type.
Transition = Diagonal | Dense | DiagonalPlusRankOne


def blend(share: Any, old: jax.Array, new: jax.Array) -> jax.Array:
    """Returns share * old + (1 - share) * new; a share of booleans selects, and the other side may be NaN."""
    if jnp.result_type(share) == jnp.bool_:
        return jnp.where(share, old, new)
    return share * old + (1 - share) * new


def spread(flags: jax.Array, leaf: jax.Array) -> jax.Array:
    """Returns flags [*leading] as [*leading, 1, ...], which broadcast against a leaf [*leading, ...]."""
    return jnp.reshape(flags, flags.shape + (1,) * (leaf.ndim - flags.ndim))
