"""Lyapunov exponents: the rates, per step, at which small differences between states grow or decay."""

import functools

import jax
import jax.numpy as jnp

from rnn_jax import arrays, checks
from rnn_jax.cell import Cell, Params, State
from rnn_jax.coordinates import ravel
from rnn_jax.diagnostics import product
from rnn_jax.diagnostics.jacobians import flat_step, identity_like, states_before, step_jacobian, vmap_batch
from rnn_jax.trees import floats


def lyapunov_spectrum(cell: Cell, params: Params, xs: jax.Array, warmup: int, state: State | None = None) -> jax.Array:
    """Computes all n Lyapunov exponents of each sequence's trajectory by QR decompositions.

        J_t Q_{t-1} = Q_t R_t,      lambda_i = mean over t > warmup of ln |R_t,ii|

    Q_0 is the identity; J_t = ds_t/ds_{t-1} has the real coordinates of `rnn_jax.diagnostics.step_jacobians`. If the
    largest exponent lambda_1 is positive, the network is chaotic and its gradients grow without bound; if it is
    negative, gradients eventually vanish at that rate. Method: Benettin et al. 1980. Recurrent networks: Engelken, Wolf
    & Abbott 2023 (arXiv:2006.02427); Vogt, Puelma Touzel, Shlizerman & Lajoie 2022 (arXiv:2006.14123).

    An exponent that differs from the next one by d needs about 1/d steps to align; then its error falls as 1/steps or
    1/sqrt(steps). To estimate the error, compare with a run of twice the length. Each step is a QR decomposition
    [n, n].

    >>> import jax, jax.numpy as jnp, rnn_jax
    >>> cell = rnn_jax.LinearRNN(1, 2)
    >>> params = cell.init(jax.random.key(0))._replace(w_h=jnp.diag(jnp.array([0.5, 0.9])))
    >>> jnp.round(lyapunov_spectrum(cell, params, jnp.zeros((20, 1, 1)), warmup=10), 3)  # ln 0.9, ln 0.5
    Array([[-0.105, -0.693]], dtype=float32)

    Args:
      cell: cell whose step is differentiable; static.
      params: parameters of the cell.
      xs: inputs [T, *batch, input_size]; zeros for the autonomous network.
      warmup: number of first steps that are not averaged, in which the state reaches its attractor and Q_t aligns.
      state: s_0, every leaf [*batch, ...]; None means `cell.initial_state`, which may be a fixed point of a network
        without inputs and biases. Of a ReLU network it is the kink, where JAX's slope is 0: give a small random state.

    Returns:
      Exponents [*batch, n] in nats per step, descending; -inf for directions that a step maps to zero, as dead units.

    Raises:
      TypeError: as `rnn_jax.unroll`.
      ValueError: if `warmup` is not less than T, or as `rnn_jax.unroll`.
    """
    return _lyapunov_spectrum(cell, params, _inputs(xs, warmup, "lyapunov_spectrum"), warmup, state)


def largest_lyapunov_exponent(
    cell: Cell, params: Params, xs: jax.Array, warmup: int, state: State | None = None
) -> jax.Array:
    """Computes the largest Lyapunov exponent of each sequence's trajectory from one tangent vector.

        v_t = J_t v_{t-1} / ||J_t v_{t-1}||,      lambda_1 = mean over t > warmup of ln ||J_t v_{t-1}||

    v_0 is a fixed random direction, and J_t v one `jax.jvp` of the step: the first of `lyapunov_spectrum` at the cost
    of about two steps each, for states and sequences for which the whole spectrum is too dear.

    >>> import jax, jax.numpy as jnp, rnn_jax
    >>> cell = rnn_jax.LinearRNN(1, 2)
    >>> params = cell.init(jax.random.key(0))._replace(w_h=jnp.diag(jnp.array([0.5, 0.9])))
    >>> jnp.round(largest_lyapunov_exponent(cell, params, jnp.zeros((20, 1, 1)), warmup=10), 3)  # ln 0.9
    Array([-0.105], dtype=float32)

    Args:
      cell: cell whose step is differentiable; static.
      params: parameters of the cell.
      xs: inputs [T, *batch, input_size]; zeros for the autonomous network.
      warmup: number of first steps that are not averaged, in which v_t aligns.
      state: s_0, as for `lyapunov_spectrum`.

    Returns:
      Exponents [*batch] in nats per step; -inf if some steps map every direction to zero, NaN if the states overflow.

    Raises:
      TypeError: as `rnn_jax.unroll`.
      ValueError: if `warmup` is not less than T, or as `rnn_jax.unroll`.
    """
    xs = _inputs(xs, warmup, "largest_lyapunov_exponent")
    return jnp.mean(growth_rates(cell, params, xs, state)[warmup:], axis=0)


def _inputs(xs: jax.Array, warmup: int, caller: str) -> jax.Array:
    checks.integer_at_least(0, warmup, f"{caller}: warmup")
    xs = arrays.native(xs, caller)
    steps = jnp.shape(xs)[0] if jnp.ndim(xs) else 0
    if warmup >= steps:
        raise ValueError(f"{caller}: warmup must be less than the T = {steps} steps of xs, got {warmup}")
    return xs


@functools.partial(jax.jit, static_argnames=("cell", "warmup"))
def _lyapunov_spectrum(cell: Cell, params: Params, xs: jax.Array, warmup: int, state: State | None) -> jax.Array:
    def spectrum(before: State, xs: jax.Array) -> jax.Array:
        def advance(q: jax.Array, at: tuple[State, jax.Array]) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
            jacobian = step_jacobian(cell, params, *at)
            q, r = jnp.linalg.qr(product.matmul(jacobian, q))
            return q, (jnp.log(jnp.abs(jnp.diagonal(r))), product.rank_bound(jacobian))

        _, (logs, ranks) = jax.lax.scan(advance, identity_like(cell, params, before, xs), (before, xs))
        exponents = -jnp.sort(-jnp.mean(logs[warmup:], axis=0))
        return product.truncate_rank(exponents, jnp.min(ranks[warmup:]))[None]

    return vmap_batch(spectrum, xs.ndim - 2, axis=1)(states_before(cell, params, xs, state), xs)[0]


@functools.partial(jax.jit, static_argnames="cell")
def growth_rates(cell: Cell, params: Params, xs: jax.Array, state: State | None = None) -> jax.Array:
    """Returns ln ||J_t v_{t-1}|| [T, *batch] of `largest_lyapunov_exponent`; checks its arguments as `unroll` does."""

    def rates(before: State, xs: jax.Array) -> jax.Array:
        coordinates = ravel(floats(jax.tree.map(lambda leaf: leaf[0], before)))[0]

        def advance(v: jax.Array, at: tuple[State, jax.Array]) -> tuple[jax.Array, jax.Array]:
            step, flat = flat_step(cell, params, *at)
            after = jax.jvp(step, (flat,), (v.astype(flat.dtype),))[1].astype(v.dtype)
            norm = jnp.linalg.norm(after)
            # The slope of a ReLU at infinity is finite, but the trajectory has ended.
            rate = jnp.where(jnp.all(jnp.isfinite(flat)), jnp.log(norm), jnp.nan)
            return jnp.where(norm > 0, after / norm, v), rate

        dtype = jnp.promote_types(coordinates.dtype, jnp.float32)  # the norm of a bfloat16 vector is too coarse
        v_0 = jax.random.normal(jax.random.key(0), coordinates.shape, dtype)
        return jax.lax.scan(advance, v_0 / jnp.linalg.norm(v_0), (before, xs))[1]

    return vmap_batch(rates, xs.ndim - 2, axis=1)(states_before(cell, params, xs, state), xs)
