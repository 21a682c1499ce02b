"""The Jacobians J_t = ds_t/ds_{t-1} along a trajectory, and what their products do over k steps.

    ds_T/ds_{T-k} = J_T J_{T-1} ... J_{T-k+1},      s_t = step(params, s_{t-1}, project(params, x_t))

The state's floating-point components are one real vector of n coordinates (`coordinates.ravel`), a complex number two
of them; components of integers (a counter) are none. So an LSTM of H units has n = 2H.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax.cell import Cell, Params, State
from rnn_jax.diagnostics import product
from rnn_jax.diagnostics.coordinates import ravel
from rnn_jax.masking import select
from rnn_jax.trees import floats, refill
from rnn_jax.unrolling import unroll
from rnn_jax.wrapper import Wrapper


def step_jacobians(cell: Cell, params: Params, xs: jax.Array) -> jax.Array:
    """J_t for every t = 1..T, of every sequence on its own.

    Args:
      cell: any cell whose step is differentiable; static.
      params: its parameters.
      xs: inputs [T, *batch, input_size].

    Returns:
      [T, *batch, n, n]: row i, column j is ds_{t,i}/ds_{t-1,j}; at least of single precision.

    Raises:
      TypeError, ValueError: as `rnn_jax.unroll`.
    """
    return _step_jacobians(cell, params, xs)


def jacobian_singular_values(cell: Cell, params: Params, xs: jax.Array, lags: Sequence[int]) -> jax.Array:
    """Ln sigma_i(ds_T/ds_{T-k}) for each k of `lags`: how much of what was known k steps before the end is left.

    No product is multiplied out, so that values of e^-1000 are as good as the factors allow. A sweep of QR forward over
    the last max(lags) steps finds directions Q_0 along which the product is graded (without it, triangular factors lose
    digits), a sweep back on the transposed factors multiplies for all lags at once,

        (J_T ... J_{T-k+1})^T Q_0 = Q_k R_k ... R_1 = Q_k D_k U_k

    and Jacobi rotations finish (see `rnn_jax.diagnostics.product`, which says why). The error of each ln sigma is of
    the order of the machine epsilon times the condition number of a J_t, in the k factors together; what in *one* J_t
    is smaller than epsilon times its norm is rounding. The cost is 2 max(lags) QR decompositions [n, n] a sequence.

    Args:
      cell: any cell whose step is differentiable; static.
      params: its parameters.
      xs: inputs [T, *batch, input_size].
      lags: numbers of steps from 0 (the identity) to T.

    Returns:
      Natural logarithms [lags, *batch, n], descending. -inf for the zeros that stand in a J_t as rows or columns: units
      that are dead (ReLU) or not read. A zero that comes about by other means shows as rounding errors do.

    Raises:
      TypeError: where `lags` are not integers; else as `rnn_jax.unroll`.
      ValueError: where a lag is not from 0 to T; else as `rnn_jax.unroll`.
    """
    wanted = np.asarray(lags)
    if wanted.ndim != 1 or not wanted.size or not np.issubdtype(wanted.dtype, np.integer):
        raise TypeError(f"jacobian_singular_values: lags must be a sequence of integers, got {lags!r}")
    steps = jnp.shape(xs)[0] if jnp.ndim(xs) else 0
    wrong = wanted[(wanted < 0) | (wanted > steps)]
    if wrong.size:
        raise ValueError(f"jacobian_singular_values: lags must be from 0 to T = {steps}, got {wrong[0]}")
    return _jacobian_singular_values(cell, params, xs, jnp.asarray(wanted), int(wanted.max()))


def jacobian_norm_bound(cell: Cell, params: Params, xs: jax.Array) -> jax.Array:
    """The bound of Pascanu, Mikolov & Bengio 2013 (arXiv:1211.5063) on how much k steps can keep, as a logarithm.

        ln ||ds_T/ds_{T-k}||_2  <=  sum_{t=T-k+1..T} ln ||J_t||_2

    Equal where all J_t have the same leading singular vectors (a linear cell with a normal matrix); else too high by
    what turning from step to step loses. The norm itself is e to the first of `jacobian_singular_values`.

    Args:
      cell: any cell whose step is differentiable; static.
      params: its parameters.
      xs: inputs [T, *batch, input_size].

    Returns:
      [T, *batch], its row k - 1 the bound for lag k = 1..T; -inf from a J_t on that is zero.

    Raises:
      TypeError, ValueError: as `rnn_jax.unroll`.
    """
    return _jacobian_norm_bound(cell, params, xs)


@functools.partial(jax.jit, static_argnames="cell")
def _step_jacobians(cell: Cell, params: Params, xs: jax.Array) -> jax.Array:
    before = states_before(cell, params, xs)
    of_all = jax.vmap(over_batch(functools.partial(step_jacobian, cell, params), xs.ndim - 2))
    return of_all(before, xs)


@functools.partial(jax.jit, static_argnames=("cell", "most"))
def _jacobian_singular_values(cell: Cell, params: Params, xs: jax.Array, lags: jax.Array, most: int) -> jax.Array:
    before = states_before(cell, params, xs)

    def of_sequence(before: State, xs: jax.Array) -> jax.Array:
        eye = identity_like(cell, params, before, xs)

        def align(q: jax.Array, at: Any) -> tuple[jax.Array, None]:
            return jnp.linalg.qr(product.matmul(step_jacobian(cell, params, *at), q))[0], None

        def multiply(carry: Any, at: Any) -> tuple[Any, None]:
            k, q, (so_far, rank), kept = carry
            jacobian = step_jacobian(cell, params, *at)
            q, r = jnp.linalg.qr(product.matmul(jacobian.T, q))
            now = product.multiply(r, so_far), jnp.minimum(rank, product.rank_bound(jacobian))
            kept = select(lags == k + 1, jax.tree.map(lambda leaf: leaf[None], now), kept)
            return (k + 1, q, now, kept), None

        last, _ = jax.lax.scan(align, eye, (before, xs))
        one = product.Graded(jnp.zeros_like(eye[0]), eye), jnp.asarray(len(eye))
        kept = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, lags.shape + leaf.shape), one)
        start: Any = (jnp.zeros_like(lags[0]), last, one, kept)
        (*_, kept), _ = jax.lax.scan(multiply, start, (before, xs), reverse=True)
        return jax.vmap(product.of_rank)(jax.vmap(product.log_singular_values)(kept[0]), kept[1])

    before, xs = jax.tree.map(lambda leaf: leaf[xs.shape[0] - most :], (before, xs))
    return over_batch(of_sequence, xs.ndim - 2, axis=1)(before, xs)


@functools.partial(jax.jit, static_argnames="cell")
def _jacobian_norm_bound(cell: Cell, params: Params, xs: jax.Array) -> jax.Array:
    def log_norm(state: State, x: jax.Array) -> jax.Array:
        return jnp.log(jnp.linalg.norm(step_jacobian(cell, params, state, x), ord=2))

    of_step = over_batch(log_norm, xs.ndim - 2)
    logs = jax.lax.map(lambda at: of_step(*at), (states_before(cell, params, xs), xs))
    return jnp.cumsum(logs[::-1], axis=0)


@dataclasses.dataclass(frozen=True)
class _AllStates(Wrapper):
    """`cell`, with its states for outputs."""

    def output(self, params: Params, state: State, x: Any) -> State:
        del params, x
        return state


def states_before(cell: Cell, params: Params, xs: jax.Array, state: State | None = None) -> State:
    """s_0..s_{T-1}, every leaf [T, *batch, ...]; refuses what `unroll` refuses."""
    _, states = unroll(_AllStates(cell), params, xs, state)
    first = cell.initial_state(params, xs.shape[1:-1]) if state is None else state
    return jax.tree.map(lambda s_0, s: jnp.concatenate([s_0[None], s[:-1]])[: len(s)], first, states)


def step_jacobian(cell: Cell, params: Params, state: State, x: jax.Array) -> jax.Array:
    """J_t [n, n] of one sequence, at s_{t-1} and x_t."""
    flat, back = ravel(floats(state))

    def step(flat: jax.Array) -> jax.Array:
        after = cell.step(params, refill(state, back(flat)), cell.project(params, x))
        return ravel(floats(after))[0]

    jacobian = jax.jacrev(step)(flat)
    return jacobian.astype(jnp.promote_types(jacobian.dtype, jnp.float32))  # QR knows no bfloat16


def identity_like(cell: Cell, params: Params, before: State, xs: jax.Array) -> jax.Array:
    """The identity [n, n] for the Jacobians of one sequence, of any number of steps."""
    one_step = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), (before, xs))
    jacobian = jax.eval_shape(functools.partial(step_jacobian, cell, params), *one_step)
    return jnp.eye(len(jacobian), dtype=jacobian.dtype)


def over_batch(function: Callable[..., jax.Array], dims: int, axis: int = 0) -> Callable[..., jax.Array]:
    """`function` of one sequence's arrays, vmapped over `dims` axes of a batch that begin at `axis`, in and out."""
    for _ in range(dims):
        function = jax.vmap(function, in_axes=axis, out_axes=axis)
    return function
