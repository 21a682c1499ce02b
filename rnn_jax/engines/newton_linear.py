"""The linear recurrence of Newton's method, e_t = J_t e_{t-1} + y_t, whose J_t are derivatives of a cell's own step.

Column j of all J_t is one `jax.jvp` of all steps at once, in direction j. If components of the state meet only within a
unit, one `jax.jvp` serves all units, and J_t is kept as a small block for each of them.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import coordinates
from rnn_jax.cell import Cell, Params, State
from rnn_jax.engines import lockstep
from rnn_jax.engines.associative import scan, select_steps
from rnn_jax.engines.chunks import in_chunks, joined
from rnn_jax.linear import Blocks, Dense, Diagonal, spread
from rnn_jax.masking import select
from rnn_jax.trees import floats, refill

# Which entries of J_t are kept: each kind holds those before it.
KINDS = ("diagonal", "blocks", "full")
# Number of random points at which a derivative must be zero to count as no dependence. At most of them it may be zero
# for other reasons: a ReLU is off at half of them, a drive's flags (a reset, padding) are set at half of them.
SAMPLES = 256


@dataclasses.dataclass(frozen=True, eq=False)
class Steps:
    """Some steps of a cell at once, each from a state of its own; leaves of `before` and `drives` are [*leading, ...].

    The floating-point components of a state are a vector [*leading, n] of real coordinates (`rnn_jax.coordinates`).
    """

    cell: Cell
    params: Params
    before: State
    drives: Any

    def after(self) -> State:
        """Returns the states after the steps."""
        return self.cell.step(self.params, self.before, self.drives)

    def vectors(self, states: State) -> jax.Array:
        """Returns the vectors of states [*leading, ...], in single precision at least."""
        vectors = self._over_leading(lambda leaves: coordinates.ravel(leaves)[0])(floats(states))
        return vectors.astype(jnp.promote_types(vectors.dtype, jnp.float32))

    def states(self, like: State, vectors: jax.Array) -> State:
        """Returns the states of vectors; integer components are those of `like`."""
        unravel = coordinates.ravel(floats(self.cell.initial_state(self.params)))[1]
        return refill(like, self._over_leading(unravel)(vectors))

    def jvp(self, tangents: jax.Array) -> jax.Array:
        """Returns J_t times the tangent [n] of each step."""
        return jax.jvp(self._vectors_after, (self.vectors(self.before),), (tangents,))[1]

    def vjp(self, cotangents: jax.Array) -> jax.Array:
        """Returns J_t^T times the cotangent [n] of each step."""
        return jax.vjp(self._vectors_after, self.vectors(self.before))[1](cotangents)[0]

    def at(self, t: jax.Array | int) -> "Steps":
        """Returns step t alone."""
        before, drives = jax.tree.map(
            lambda leaf: jax.lax.dynamic_index_in_dim(leaf, t, keepdims=False), (self.before, self.drives)
        )
        return Steps(self.cell, self.params, before, drives)

    @property
    def row(self) -> tuple[Params, State, Any]:
        """Shapes of the parameters, and of the state and the drive of one step of one sequence."""
        state = jax.eval_shape(self.cell.initial_state, self.params)
        leading = jax.tree.leaves(self.before)[0].ndim - jax.tree.leaves(state)[0].ndim
        drive = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[leading:], leaf.dtype), self.drives)
        return jax.eval_shape(lambda p: p, self.params), state, drive

    def _vectors_after(self, before: jax.Array) -> jax.Array:
        return self.vectors(self.cell.step(self.params, self.states(self.before, before), self.drives))

    def _over_leading(self, function: Callable[..., Any]) -> Callable[..., Any]:
        before, (_, state, _) = jax.tree.leaves(self.before)[0], self.row
        for _ in range(before.ndim - jax.tree.leaves(state)[0].ndim):
            function = jax.vmap(function)
        return function


def kind(steps: Steps) -> str:
    """Returns the smallest of `KINDS` that holds all nonzero entries of J_t, at random points."""
    leaves, tree = jax.tree.flatten(steps.row)
    return _kind(steps.cell, tree, tuple((leaf.shape, leaf.dtype) for leaf in leaves))


def units(steps: Steps) -> tuple[int, int] | None:
    """Returns the number of components (real coordinates) and of units, [K, H]; None if components differ in size."""
    return _units(steps.row[1])


def solve(
    steps: Steps, kept: str, y: jax.Array, damping: jax.Array | None = None, transposed: bool = False
) -> jax.Array:
    """Returns e of e_t = J_t e_{t-1} + y_t, e_0 = 0; transposed, of e_t = J_{t+1}^T e_{t+1} + y_t, e_{T+1} = 0.

    Args:
      steps: all T steps.
      kept: one of `KINDS`: entries of J_t that are kept, the others count as zero.
      y: vectors [T, *batch, n].
      damping: number [*batch] by which J_t is divided, less one; None means 0.
      transposed: whether to solve the adjoint equation.
    """
    product = steps.vjp if transposed else steps.jvp
    exact = KINDS.index(kept) >= KINDS.index(kind(steps))
    later = select_steps(_transition(product, kept, exact, units(steps), y), slice(1, None))
    if damping is not None:
        later = jax.tree.map(lambda w: w / (1 + spread(damping[None], w)), later)
    order = slice(None, None, -1 if transposed else 1)
    shape = (*y.shape[:-1], *(units(steps) or ())) if kept == "blocks" else y.shape
    e = scan(select_steps(later, order), jnp.reshape(y, shape)[order])
    return jnp.reshape(e[order], y.shape)


def solve_exactly(steps: Steps, kept: str, y: jax.Array, max_iterations: int, transposed: bool = False) -> jax.Array:
    """Returns the solution of `solve` with every entry of J_t, whichever are kept.

        e <- e + solve(y + J e - e)

    until the residual is of the order of rounding errors. A sequence that does not come there is run by a loop.
    """
    if kept == "full":
        return solve(steps, kept, y, transposed=transposed)
    tolerance, count = 100 * jnp.finfo(y.dtype).eps, len(y)

    def residual(e: jax.Array) -> tuple[jax.Array, jax.Array]:
        earlier = advance(e) if transposed else delay(e)
        through = advance(steps.vjp(e)) if transposed else steps.jvp(earlier)
        scale = jnp.max(jnp.maximum(jnp.maximum(jnp.abs(y), jnp.abs(e)), jnp.abs(earlier)), axis=-1)
        difference = y + through - e
        return difference, jnp.all(jnp.max(jnp.abs(difference), axis=-1) <= tolerance * scale, axis=0)

    def refine(at: tuple[Any, ...]) -> tuple[Any, ...]:
        k, e, difference, done = at
        e = select(done[None], e, e + solve(steps, kept, difference, transposed=transposed))
        return k + 1, e, *residual(e)

    e = solve(steps, kept, y, transposed=transposed)
    first = (jnp.zeros((), int), e, *residual(e))
    _, e, _, done = jax.lax.while_loop(
        lambda at: (at[0] < max_iterations) & lockstep.any(~jnp.all(at[3])), refine, first
    )

    def step(t: jax.Array, previous: jax.Array) -> jax.Array:
        if transposed:
            later = jnp.minimum(count - t, count - 1)  # at t = 0, `previous` is zero
            return y[count - 1 - t] + steps.at(later).vjp(previous)
        return y[t] + steps.at(t).jvp(previous)

    order = slice(None, None, -1 if transposed else 1)
    start = jnp.where(jnp.all(done), count, 0)
    return lockstep.finish(step, jnp.zeros_like(e[0]), e[order], ~done, lockstep.least(start))[order]


def solve_chunks(
    steps: Steps, kept: str, y: jax.Array, max_iterations: int, size: int | None, transposed: bool = False
) -> jax.Array:
    """Returns the solution of `solve_exactly`, chunk after chunk of `size` steps, from the end if transposed."""

    def body(carry: jax.Array, part: Any) -> tuple[jax.Array, jax.Array]:
        before, drives, y = part
        chunk = Steps(steps.cell, steps.params, before, drives)
        y = y.at[-1].add(carry) if transposed else y.at[0].add(chunk.at(0).jvp(carry))
        e = solve_exactly(chunk, kept, y, max_iterations, transposed)
        return chunk.at(0).vjp(e[0]) if transposed else e[-1], e

    if size is None and len(y):
        return solve_exactly(steps, kept, y, max_iterations, transposed)
    first = jnp.zeros(y.shape[1:], y.dtype)
    return joined(in_chunks(body, first, (steps.before, steps.drives, y), size, reverse=transposed))


def delay(vectors: jax.Array) -> jax.Array:
    """Returns vectors one step later, the first zero."""
    return jnp.concatenate([jnp.zeros_like(vectors[:1]), vectors[:-1]])


def advance(vectors: jax.Array) -> jax.Array:
    """Returns vectors one step earlier, the last zero: the transpose of `delay`."""
    return jnp.concatenate([vectors[1:], jnp.zeros_like(vectors[:1])])


def _transition(
    product: Callable[[jax.Array], jax.Array], kept: str, exact: bool, split: tuple[int, int] | None, like: jax.Array
) -> Any:
    """Returns the transitions of all steps, given their product with vectors `like`; if `exact`, nothing is cut."""
    size = like.shape[-1]
    if kept == "full":
        return Dense(_columns(product, jnp.eye(size, dtype=like.dtype), like, axis=-2))
    components, count = split if split and kept == "blocks" else (1, size)
    inner = jnp.eye(components, dtype=like.dtype)
    if exact:
        directions = jnp.reshape(
            jnp.broadcast_to(inner[..., None], (components, components, count)), (components, size)
        )
        entries = _columns(product, directions, like, axis=-2)
        entries = jnp.reshape(entries, (*like.shape[:-1], components, components, count))
    else:
        entries = jax.lax.map(functools.partial(_entries_of_unit, product, inner, count, like), jnp.arange(count))
        entries = jnp.moveaxis(entries, 0, -1)
    return Diagonal(entries[..., 0, 0, :]) if kept == "diagonal" else Blocks(entries)


def _columns(product: Callable[[jax.Array], jax.Array], directions: jax.Array, like: jax.Array, axis: int) -> jax.Array:
    def column(direction: jax.Array) -> jax.Array:
        return product(jnp.broadcast_to(jnp.expand_dims(direction, range(like.ndim - 1)), like.shape))

    return jax.vmap(column, out_axes=axis)(directions)


def _entries_of_unit(
    product: Callable[[jax.Array], jax.Array], inner: jax.Array, count: int, like: jax.Array, unit: jax.Array
) -> jax.Array:
    """Returns the block [*leading, K, K] of one unit."""
    one = jax.nn.one_hot(unit, count, dtype=like.dtype)
    directions = jnp.reshape(inner[..., None] * jnp.expand_dims(one, (0, 1)), (len(inner), like.shape[-1]))
    columns = _columns(product, directions, like, axis=-2)
    columns = jnp.reshape(columns, (*columns.shape[:-1], len(inner), count))
    return jax.lax.dynamic_index_in_dim(columns, unit, axis=-1, keepdims=False)


def _units(state: State) -> tuple[int, int] | None:
    parts = [leaf for leaf in floats(state) for _ in range(2 if jnp.iscomplexobj(leaf) else 1)]
    sizes = {leaf.size for leaf in parts}
    return (len(parts), sizes.pop()) if len(sizes) == 1 else None


@functools.lru_cache(maxsize=256)
def _kind(cell: Cell, tree: Any, leaves: Any) -> str:
    """Tangents of some units alone, chosen at random, must not reach the other ones; so must those of coordinates."""
    rng = np.random.default_rng(0)
    params, state, drive = jax.tree.unflatten(tree, [jax.ShapeDtypeStruct(*leaf) for leaf in leaves])
    params = jax.tree.map(lambda leaf: _draw(rng, leaf.shape, leaf.dtype, 0.1), params)
    before, drives = jax.tree.map(lambda leaf: _draw(rng, (SAMPLES, *leaf.shape), leaf.dtype), (state, drive))

    @jax.jit
    def reached(params: Params, before: State, drives: Any, tangents: jax.Array) -> jax.Array:
        return Steps(cell, params, before, drives).jvp(tangents) != 0

    with jax.ensure_compile_time_eval():
        steps = Steps(cell, params, before, drives)
        like = jax.eval_shape(steps.vectors, before)

        def stays(groups: int) -> bool:
            chosen = np.tile(rng.random((SAMPLES, groups)) < 0.5, like.shape[-1] // groups)
            tangents = np.where(chosen, rng.normal(size=like.shape), 0).astype(like.dtype)
            return not np.any(np.asarray(reached(params, before, drives, tangents)) & ~chosen)

        if stays(like.shape[-1]):
            return "diagonal"
        split = _units(state)
        return "blocks" if split and stays(split[1]) else "full"


def _draw(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any, scale: float = 1.0) -> Any:
    if dtype == jnp.bool_:
        return rng.random(shape) < 0.5
    if not jnp.issubdtype(dtype, jnp.inexact):
        return np.ones(shape, dtype)
    imaginary = 1j * rng.normal(size=shape) if jnp.issubdtype(dtype, jnp.complexfloating) else 0
    return (scale * (rng.normal(size=shape) + imaginary)).astype(dtype)
