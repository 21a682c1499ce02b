"""Lyapunov exponents: the rates, per step, at which small differences between states grow or die out."""

import functools

import jax
import jax.numpy as jnp

from rnn_jax import checks
from rnn_jax.cell import Cell, Params, State
from rnn_jax.diagnostics import product
from rnn_jax.diagnostics.jacobians import identity_like, over_batch, states_before, step_jacobian


def lyapunov_spectrum(cell: Cell, params: Params, xs: jax.Array, warmup: int, state: State | None = None) -> jax.Array:
    """All n exponents of each sequence's trajectory, by QR (Benettin et al. 1980).

        J_t Q_{t-1} = Q_t R_t,      lambda_i = mean over t > warmup of ln |R_t,ii|

    Q_0 is the identity. J_t = ds_t/ds_{t-1} is in the real coordinates of `rnn_jax.diagnostics.step_jacobians`. The
    largest exponent is above zero where the network is chaotic, its gradients growing without bound; the gradient of a
    network with lambda_1 < 0 vanishes at that rate in the end. For recurrent networks: Engelken, Wolf & Abbott 2023
    (arXiv:2006.02427); Vogt, Puelma Touzel, Shlizerman & Lajoie 2022 (arXiv:2006.14123).

    An exponent that differs from the next by d is aligned after some 1/d steps, and then fluctuates as 1/steps or
    1/sqrt(steps) do: run it twice as long to see how far to trust it. Each step is a QR decomposition [n, n].

    Args:
      cell: any cell whose step is differentiable; static.
      params: its parameters.
      xs: inputs [T, *batch, input_size]; zeros for the network left to itself.
      warmup: steps that count nothing, in which the state reaches its attractor and Q_t its directions.
      state: s_0, every leaf [*batch, ...]; None means `cell.initial_state`, from which a network without inputs and
        biases may never move.

    Returns:
      [*batch, n] in nats per step, descending. -inf for directions that a step sets to zero, as dead units do.

    Raises:
      TypeError: as `rnn_jax.unroll`.
      ValueError: where `warmup` leaves no step, or as `rnn_jax.unroll`.
    """
    checks.integer_at_least(0, warmup, "lyapunov_spectrum: warmup")
    steps = jnp.shape(xs)[0] if jnp.ndim(xs) else 0
    if warmup >= steps:
        raise ValueError(f"lyapunov_spectrum: warmup must be less than the T = {steps} steps of xs, got {warmup}")
    return _lyapunov_spectrum(cell, params, xs, warmup, state)


@functools.partial(jax.jit, static_argnames=("cell", "warmup"))
def _lyapunov_spectrum(cell: Cell, params: Params, xs: jax.Array, warmup: int, state: State | None) -> jax.Array:
    def of_sequence(before: State, xs: jax.Array) -> jax.Array:
        def turn(q: jax.Array, at: tuple[State, jax.Array]) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
            jacobian = step_jacobian(cell, params, *at)
            q, r = jnp.linalg.qr(product.matmul(jacobian, q))
            return q, (jnp.log(jnp.abs(jnp.diagonal(r))), product.rank_bound(jacobian))

        _, (logs, ranks) = jax.lax.scan(turn, identity_like(cell, params, before, xs), (before, xs))
        exponents = -jnp.sort(-jnp.mean(logs[warmup:], axis=0))
        return product.of_rank(exponents, jnp.min(ranks[warmup:]))[None]

    return over_batch(of_sequence, xs.ndim - 2, axis=1)(states_before(cell, params, xs, state), xs)[0]
