"""The Jacobians J_t = ds_t/ds_{t-1} along a trajectory, and the singular values of their products.

    ds_T/ds_{T-k} = J_T J_{T-1} ... J_{T-k+1},      s_t = step(params, s_{t-1}, project(params, x_t))

The state's floating-point components are one real vector of n coordinates (`coordinates.ravel`), two for each complex
number; integer components (a counter) are left out. An LSTM of H units has n = 2H.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import arrays, integers, parameters
from rnn_jax.cell import Cell, Params, State
from rnn_jax.coordinates import ravel
from rnn_jax.diagnostics import product
from rnn_jax.masking import select
from rnn_jax.trees import floats, refill
from rnn_jax.unrolling import unroll
from rnn_jax.wrapper import Wrapper


def step_jacobians(cell: Cell, params: Params, xs: jax.Array) -> jax.Array:
    """Computes J_t for every t = 1..T, separately for each sequence.

    >>> import jax, jax.numpy as jnp, rnn_jax
    >>> cell = rnn_jax.LSTM(2, 3)
    >>> step_jacobians(cell, cell.init(jax.random.key(0)), jnp.zeros((5, 4, 2))).shape
    (5, 4, 6, 6)

    Args:
      cell: cell whose step is differentiable; static.
      params: parameters of the cell.
      xs: inputs [T, *batch, input_size].

    Returns:
      Jacobians [T, *batch, n, n], row i and column j is ds_{t,i}/ds_{t-1,j}; in single precision at least.

    Raises:
      TypeError, ValueError: as `rnn_jax.unroll`.
    """
    return _step_jacobians(cell, params, arrays.native(xs, "step_jacobians"))


def jacobian_singular_values(cell: Cell, params: Params, xs: jax.Array, lags: Sequence[int]) -> jax.Array:
    """Computes ln sigma_i(ds_T/ds_{T-k}) for each lag k: the growth of small differences over the last k steps.

    The product is never formed, so values such as e^-1000 are as accurate as the factors allow. A forward sweep of QR
    decompositions over the last max(lags) steps yields directions Q_0 along which the product is graded (without it
    triangular factors lose digits). A backward sweep over the transposed factors multiplies for all lags at once,

        (J_T ... J_{T-k+1})^T Q_0 = Q_k R_k ... R_1 = Q_k D_k U_k

    and Jacobi rotations compute the singular values of D_k U_k (see `rnn_jax.diagnostics.product`). The error of each
    ln sigma is of the order of the machine epsilon times the condition number of a J_t, summed over the k factors;
    parts of one J_t below epsilon times its norm are rounding errors. The cost is 2 max(lags) QR decompositions [n, n]
    per sequence.

    Args:
      cell: cell whose step is differentiable; static.
      params: parameters of the cell.
      xs: inputs [T, *batch, input_size].
      lags: numbers of steps k, from 0 (the identity) to T.

    Returns:
      Natural logarithms [lags, *batch, n], descending. -inf for zero rows or columns of a J_t: units that are dead
      (ReLU) or not read. A singular value that is zero for other reasons comes out as a rounding error.

    Raises:
      TypeError: if `lags` are not integers, or as `rnn_jax.unroll`.
      ValueError: if a lag is not from 0 to T, or as `rnn_jax.unroll`.
    """
    ks, xs = np.asarray(lags), arrays.native(xs, "jacobian_singular_values")
    if ks.ndim != 1 or not ks.size or not np.issubdtype(ks.dtype, np.integer):
        raise TypeError(f"jacobian_singular_values: lags must be a sequence of integers, got {lags!r}")
    ks = integers.int32(ks, "jacobian_singular_values: lags")
    steps = jnp.shape(xs)[0] if jnp.ndim(xs) else 0
    wrong = ks[(ks < 0) | (ks > steps)]
    if wrong.size:
        raise ValueError(f"jacobian_singular_values: lags must be from 0 to T = {steps}, got {wrong[0]}")
    return _jacobian_singular_values(cell, params, xs, jnp.asarray(ks), int(ks.max()))


def jacobian_norm_bound(cell: Cell, params: Params, xs: jax.Array) -> jax.Array:
    """Computes the logarithm of an upper bound on the norm of the Jacobian over k steps.

        ln ||ds_T/ds_{T-k}||_2  <=  sum_{t=T-k+1..T} ln ||J_t||_2

    The bound is tight if all J_t have the same leading singular vectors (a linear cell with a normal matrix), and too
    high if these rotate from step to step. The logarithm of the norm itself is the first of
    `jacobian_singular_values`. Pascanu, Mikolov & Bengio 2013, "On the difficulty of training recurrent neural
    networks", arXiv:1211.5063.

    Args:
      cell: cell whose step is differentiable; static.
      params: parameters of the cell.
      xs: inputs [T, *batch, input_size].

    Returns:
      Bounds [T, *batch], row k - 1 for lag k = 1..T; -inf for lags that include a J_t that is zero.

    Raises:
      TypeError, ValueError: as `rnn_jax.unroll`.
    """
    return _jacobian_norm_bound(cell, params, arrays.native(xs, "jacobian_norm_bound"))


@functools.partial(jax.jit, static_argnames="cell")
def _step_jacobians(cell: Cell, params: Params, xs: jax.Array) -> jax.Array:
    before = states_before(cell, params, xs)
    jacobians = jax.vmap(vmap_batch(functools.partial(step_jacobian, cell, params), xs.ndim - 2))
    return jacobians(before, xs)


@functools.partial(jax.jit, static_argnames=("cell", "longest"))
def _jacobian_singular_values(cell: Cell, params: Params, xs: jax.Array, lags: jax.Array, longest: int) -> jax.Array:
    before = states_before(cell, params, xs)

    def log_singular_values(before: State, xs: jax.Array) -> jax.Array:
        eye = identity_like(cell, params, before, xs)

        def align(q: jax.Array, at: Any) -> tuple[jax.Array, None]:
            return jnp.linalg.qr(product.matmul(step_jacobian(cell, params, *at), q))[0], None

        def multiply(carry: Any, at: Any) -> tuple[Any, None]:
            k, q, (graded, rank), by_lag = carry
            jacobian = step_jacobian(cell, params, *at)
            q, r = jnp.linalg.qr(product.matmul(jacobian.T, q))
            current = product.multiply(r, graded), jnp.minimum(rank, product.rank_bound(jacobian))
            by_lag = select(lags == k + 1, jax.tree.map(lambda leaf: leaf[None], current), by_lag)
            return (k + 1, q, current, by_lag), None

        q_0, _ = jax.lax.scan(align, eye, (before, xs))
        identity = product.Graded(jnp.zeros_like(eye[0]), eye), jnp.asarray(len(eye))
        by_lag = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, lags.shape + leaf.shape), identity)
        start: Any = (jnp.zeros_like(lags[0]), q_0, identity, by_lag)
        (*_, (graded, ranks)), _ = jax.lax.scan(multiply, start, (before, xs), reverse=True)
        return jax.vmap(product.truncate_rank)(jax.vmap(product.log_singular_values)(graded), ranks)

    before, xs = jax.tree.map(lambda leaf: leaf[xs.shape[0] - longest :], (before, xs))
    return vmap_batch(log_singular_values, xs.ndim - 2, axis=1)(before, xs)


@functools.partial(jax.jit, static_argnames="cell")
def _jacobian_norm_bound(cell: Cell, params: Params, xs: jax.Array) -> jax.Array:
    def log_norm(state: State, x: jax.Array) -> jax.Array:
        return jnp.log(jnp.linalg.norm(step_jacobian(cell, params, state, x), ord=2))

    log_norms = vmap_batch(log_norm, xs.ndim - 2)
    logs = jax.lax.map(lambda at: log_norms(*at), (states_before(cell, params, xs), xs))
    return jnp.cumsum(logs[::-1], axis=0)


@dataclasses.dataclass(frozen=True)
class _AllStates(Wrapper):
    """`cell` with its state as output."""

    def output(self, params: Params, state: State, x: Any) -> State:
        del params, x
        return state


def states_before(cell: Cell, params: Params, xs: jax.Array, state: State | None = None) -> State:
    """Returns s_0..s_{T-1}, every leaf [T, *batch, ...]; checks its arguments as `unroll` does."""
    parameters.check(cell, params)
    _, states = unroll(_AllStates(cell), params, xs, state, key=None)
    first = cell.initial_state(params, xs.shape[1:-1]) if state is None else state
    return jax.tree.map(lambda s_0, s: jnp.concatenate([s_0[None], s[:-1]])[: len(s)], first, states)


def step_jacobian(cell: Cell, params: Params, state: State, x: jax.Array) -> jax.Array:
    """Returns J_t [n, n] of one sequence, given s_{t-1} and x_t."""
    step, flat = flat_step(cell, params, state, x)
    jacobian = jax.jacrev(step)(flat)
    return jacobian.astype(jnp.promote_types(jacobian.dtype, jnp.float32))  # QR is not defined for bfloat16


def flat_step(
    cell: Cell, params: Params, state: State, x: jax.Array
) -> tuple[Callable[[jax.Array], jax.Array], jax.Array]:
    """Returns the step of one sequence as a function of the state's real coordinates [n], and those of s_{t-1}."""
    flat, unravel = ravel(floats(state))

    def step(flat: jax.Array) -> jax.Array:
        after = cell.step(params, refill(state, unravel(flat)), cell.project(params, x))
        return ravel(floats(after))[0]

    return step, flat


def identity_like(cell: Cell, params: Params, before: State, xs: jax.Array) -> jax.Array:
    """Returns the identity [n, n] in the dtype of a sequence's Jacobians."""
    one_step = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), (before, xs))
    jacobian = jax.eval_shape(functools.partial(step_jacobian, cell, params), *one_step)
    return jnp.eye(len(jacobian), dtype=jacobian.dtype)


def vmap_batch(function: Callable[..., jax.Array], dims: int, axis: int = 0) -> Callable[..., jax.Array]:
    """Applies `jax.vmap` for each of `dims` batch axes, which start at `axis` in arguments and results."""
    for _ in range(dims):
        function = jax.vmap(function, in_axes=axis, out_axes=axis)
    return function
