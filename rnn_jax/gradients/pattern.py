"""Sparsity pattern of an influence matrix: which parameter affects which component of the state, in dense blocks."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import flatten_util

from rnn_jax.gradients.online import FlatCell

# Number of random points at which a derivative must be zero to count as no dependence: a ReLU is off at half of them.
SAMPLES = 16


@dataclasses.dataclass(frozen=True, eq=False)
class Blocks:
    """The kept entries of a matrix [S, P], stored by groups of parameters that affect the same components of the state.

    There are G groups of at most K components and Q parameters. A smaller group is filled up by repeating an index,
    with `kept` False there.
    """

    states: np.ndarray  # [G, K], indices of components
    parameters: np.ndarray  # [G, Q], indices of parameters
    kept: np.ndarray  # [G, K, Q], booleans
    immediate: np.ndarray  # [G, K, Q], booleans: entries that a single step can make nonzero
    color: np.ndarray  # [S]: components of one color share no parameter within a step

    def zeros(self, dtype: Any) -> jax.Array:
        """Returns a zero matrix [G, K, Q]."""
        return jnp.zeros(self.kept.shape, dtype)

    def gather_jacobian(self, vjp: Callable[[jax.Array], jax.Array], dtype: Any) -> jax.Array:
        """Returns the `immediate` entries of a Jacobian J [S, P], given v -> v^T J; one call for each color."""
        colors = np.arange(self.color.max() + 1)
        rows = jax.vmap(vjp)(jnp.asarray(colors[:, None] == self.color, dtype))
        entries = rows[self.color[self.states][:, :, None], self.parameters[:, None, :]]
        return jnp.where(self.immediate, entries, 0)

    def matmul(self, matrix: jax.Array, influence: jax.Array) -> jax.Array:
        """Returns the kept entries of matrix [S, S] @ influence."""
        inner = matrix[self.states[:, :, None], self.states[:, None, :]]
        return jnp.where(self.kept, inner @ influence, 0)

    def contract(self, state_bar: jax.Array, influence: jax.Array, size: int) -> jax.Array:
        """Returns state_bar [S] @ influence as a vector [P], P = `size`."""
        theta_bar = jnp.einsum("gk,gkq->gq", state_bar[self.states], influence)
        return jnp.zeros(size, theta_bar.dtype).at[self.parameters].add(theta_bar)


def blocks(flat: FlatCell, x: Any, steps: int | None) -> Blocks:
    """Returns the entries of ds_t/dtheta that `steps` steps can make nonzero; if None, those within a unit.

    For a split cell, "within a unit" excludes every path through the recurrent product.

    Args:
      flat: the cell.
      x: input of one step; only shapes and dtypes are used.
      steps: number of steps n, or None.
    """
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), x)
    leaves, tree = jax.tree.flatten(shapes)
    return _blocks(flat.cell.cell, tree, tuple((leaf.shape, leaf.dtype) for leaf in leaves), steps)


@functools.lru_cache(maxsize=64)
def _blocks(cell: Any, tree: Any, leaves: Any, steps: int | None) -> Blocks:
    with jax.ensure_compile_time_eval():
        shapes = jax.tree.unflatten(tree, [jax.ShapeDtypeStruct(*leaf) for leaf in leaves])
        d_theta, d_state, d_initial = _dependences(cell, shapes, steps is None)
        # After a reset the influence is that of the initial state, propagated by one step.
        immediate = d_theta | d_initial | _product(d_state, d_initial)
        kept, previous, n = immediate, None, 1
        while (steps is None or n < steps) and (previous is None or np.any(kept != previous)):
            kept, previous, n = kept | _product(d_state, kept), kept, n + 1
        return _pack(kept, immediate)


def _dependences(cell: Any, shapes: Any, within_unit: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns which entries of dstep/dtheta, dstep/ds and ds_0/dtheta are nonzero at any of `SAMPLES` random points."""
    params = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(cell.init, jax.random.key(0)))
    flat = FlatCell.create(cell, params)
    theta = flatten_util.ravel_pytree(params)[0]
    state = flat.initial(theta)

    @jax.jit
    def derivatives(key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        keys = jax.random.split(key, 3)
        at = [jax.random.normal(k, leaf.shape, leaf.dtype) for k, leaf in zip(keys, (theta, state), strict=False)]
        x = _random_input(keys[2], shapes)
        d_theta, d_state = jax.jacrev(flat.step, argnums=(0, 1))(*at, x)
        if within_unit:
            d_state = jax.jacrev(flat.activate, argnums=1)(*at, x)
        return d_theta, d_state, jax.jacrev(flat.initial)(at[0])

    samples = [derivatives(key) for key in jax.random.split(jax.random.key(0), SAMPLES)]
    d_theta, d_state, d_initial = (
        np.any([np.asarray(d) != 0 for d in each], axis=0) for each in zip(*samples, strict=True)
    )
    return d_theta, d_state, d_initial


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns the product of two boolean matrices."""
    return (a.astype(np.float32) @ b.astype(np.float32)) > 0


def _random_input(key: jax.Array, shapes: Any) -> Any:
    """Returns random floats, with the flags of a step inside a sequence."""

    def draw(leaf: Any) -> jax.Array:
        if jnp.issubdtype(leaf.dtype, jnp.floating):
            return jax.random.normal(key, leaf.shape, leaf.dtype)
        return jnp.ones(leaf.shape, leaf.dtype)

    x = jax.tree.map(draw, shapes)
    return x._replace(reset=jnp.zeros_like(x.reset))


def _pack(kept: np.ndarray, immediate: np.ndarray) -> Blocks:
    """Groups the columns of `kept` [S, P] that are equal."""
    columns, group = np.unique(kept.T, axis=0, return_inverse=True)
    members = [np.flatnonzero(group.ravel() == g) for g in range(len(columns)) if columns[g].any()]
    supports = [np.flatnonzero(column) for column in columns if column.any()]
    states, state_used = _padded(supports)
    parameters, parameter_used = _padded(members)
    used = state_used[:, :, None] & parameter_used[:, None, :]
    return Blocks(
        states=states,
        parameters=parameters,
        kept=used,
        immediate=used & immediate[states[:, :, None], parameters[:, None, :]],
        color=_colors(_product(immediate, immediate.T)),
    )


def _padded(lists: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Returns lists of indices padded to the longest [G, n], and booleans that are False in the padding."""
    longest = max(map(len, lists), default=0)
    indices = np.array([np.pad(each, (0, longest - len(each)), mode="edge") for each in lists], int)
    used = np.array([np.arange(longest) < len(each) for each in lists], bool)
    return indices.reshape(-1, longest), used.reshape(-1, longest)


def _colors(conflicts: np.ndarray) -> np.ndarray:
    """Greedy graph coloring: each vertex gets the first color that no neighbour has."""
    color = np.full(len(conflicts), -1)
    for i, row in enumerate(conflicts):
        taken = set(color[row].tolist())
        color[i] = next(c for c in range(len(conflicts)) if c not in taken)
    return color
