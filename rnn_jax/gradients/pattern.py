"""Which parameter moves which component of the state: found by trying, and packed into small dense blocks."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import flatten_util

from rnn_jax.gradients.online import Vectors

DRAWS = 16  # random points at which a derivative must vanish to count as no dependence: a ReLU is off at half of them


@dataclasses.dataclass(frozen=True, eq=False)
class Blocks:
    """The kept entries of an [S, P] matrix, by groups of parameters that move the same components of the state.

    G groups of at most K components and Q parameters. Where a group has fewer, its places repeat the first and `kept`
    is False.
    """

    states: np.ndarray  # [G, K]
    parameters: np.ndarray  # [G, Q]
    kept: np.ndarray  # [G, K, Q]
    fresh: np.ndarray  # [G, K, Q]: the entries that a single step can fill
    color: np.ndarray  # [S]: components of one color share no parameter within a step

    def zeros(self, dtype: Any) -> jax.Array:
        """An empty matrix, [G, K, Q]."""
        return jnp.zeros(self.kept.shape, dtype)

    def of_pulls(self, pull: Callable[[jax.Array], jax.Array], dtype: Any) -> jax.Array:
        """The `fresh` entries of a Jacobian J [S, P] from v -> v^T J, of as many v as there are colors."""
        colors = np.arange(self.color.max() + 1)
        rows = jax.vmap(pull)(jnp.asarray(colors[:, None] == self.color, dtype))
        found = rows[self.color[self.states][:, :, None], self.parameters[:, None, :]]
        return jnp.where(self.fresh, found, 0)

    def times(self, matrix: jax.Array, influence: jax.Array) -> jax.Array:
        """The kept entries of matrix [S, S] @ influence."""
        inner = matrix[self.states[:, :, None], self.states[:, None, :]]
        return jnp.where(self.kept, inner @ influence, 0)

    def read(self, of_state: jax.Array, influence: jax.Array, size: int) -> jax.Array:
        """of_state [S] @ influence, [P]."""
        found = jnp.einsum("gk,gkq->gq", of_state[self.states], influence)
        return jnp.zeros(size, found.dtype).at[self.parameters].add(found)


def blocks(vectors: Vectors, x: Any, steps: int | None) -> Blocks:
    """The entries of ds_t/dtheta that can be filled within `steps` steps; None means those within a unit.

    Of a split cell, "within a unit" leaves out what goes through the recurrent product.

    Args:
      vectors: the cell.
      x: a step's input; its shapes and dtypes are read.
      steps: n of the n-step approximation.
    """
    described = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), x)
    leaves, tree = jax.tree.flatten(described)
    return _blocks(vectors.cell.cell, tree, tuple((leaf.shape, leaf.dtype) for leaf in leaves), steps)


@functools.lru_cache(maxsize=64)
def _blocks(cell: Any, tree: Any, leaves: Any, steps: int | None) -> Blocks:
    with jax.ensure_compile_time_eval():
        described = jax.tree.unflatten(tree, [jax.ShapeDtypeStruct(*leaf) for leaf in leaves])
        return _pack(*_dependences(cell, described, steps))


def _dependences(cell: Any, described: Any, steps: int | None) -> tuple[np.ndarray, np.ndarray]:
    """The kept entries, and those that a single step can fill: booleans [S, P]."""
    params = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(cell.init, jax.random.key(0)))
    vectors = Vectors.of(cell, params)
    theta = flatten_util.ravel_pytree(params)[0]
    state = vectors.initial(theta)

    @jax.jit
    def derivatives(key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        keys = jax.random.split(key, 3)
        at = [jax.random.normal(k, leaf.shape, leaf.dtype) for k, leaf in zip(keys, (theta, state), strict=False)]
        x = _random_input(keys[2], described)
        of_theta, of_state = jax.jacrev(vectors.step, argnums=(0, 1))(*at, x)
        if steps is None:
            of_state = jax.jacrev(vectors.activate, argnums=1)(*at, x)
        return of_theta, of_state, jax.jacrev(vectors.initial)(at[0])

    found = [derivatives(key) for key in jax.random.split(jax.random.key(0), DRAWS)]
    of_theta, of_state, of_initial = (
        np.any([np.asarray(d) != 0 for d in each], axis=0) for each in zip(*found, strict=True)
    )
    # A reset fills in the initial state's, moved by one step.
    fresh = of_theta | of_initial | _product(of_state, of_initial)
    kept, before = fresh, None
    turns = 1
    while (steps is None or turns < steps) and (before is None or np.any(kept != before)):
        kept, before, turns = kept | _product(of_state, kept), kept, turns + 1
    return kept, fresh


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a.astype(np.float32) @ b.astype(np.float32)) > 0


def _random_input(key: jax.Array, described: Any) -> Any:
    """Random floats; flags as of a step inside a sequence."""

    def draw(leaf: Any) -> jax.Array:
        if jnp.issubdtype(leaf.dtype, jnp.floating):
            return jax.random.normal(key, leaf.shape, leaf.dtype)
        return jnp.ones(leaf.shape, leaf.dtype)

    x = jax.tree.map(draw, described)
    return x._replace(reset=jnp.zeros_like(x.reset))


def _pack(kept: np.ndarray, fresh: np.ndarray) -> Blocks:
    columns, group = np.unique(kept.T, axis=0, return_inverse=True)
    members = [np.flatnonzero(group.ravel() == g) for g in range(len(columns)) if columns[g].any()]
    supports = [np.flatnonzero(column) for column in columns if column.any()]
    states, state_there = _padded(supports)
    parameters, parameter_there = _padded(members)
    there = state_there[:, :, None] & parameter_there[:, None, :]
    return Blocks(
        states=states,
        parameters=parameters,
        kept=there,
        fresh=there & fresh[states[:, :, None], parameters[:, None, :]],
        color=_colors(_product(fresh, fresh.T)),
    )


def _padded(lists: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    longest = max(map(len, lists), default=0)
    places = np.array([np.pad(each, (0, longest - len(each)), mode="edge") for each in lists], int).reshape(-1, longest)
    there = np.array([np.arange(longest) < len(each) for each in lists], bool).reshape(-1, longest)
    return places, there


def _colors(conflicts: np.ndarray) -> np.ndarray:
    """Greedy: the first color that no neighbour has."""
    color = np.full(len(conflicts), -1)
    for i, row in enumerate(conflicts):
        taken = set(color[row].tolist())
        color[i] = next(c for c in range(len(conflicts)) if c not in taken)
    return color
