"""Whether a recurrence can be solved in parallel over time, which its Lyapunov exponent decides.

A residual of step j moves the state of step t by about ||J_t ... J_{j+1}|| times it, so Newton's method, which solves
all steps at once, turns residuals into errors that are larger by up to

    kappa = max_t sum_{j <= t} ||J_t ... J_{j+1} v||      v the direction of the largest Lyapunov exponent lambda_1

With J_t growing evenly it is sum_{k < T} e^(lambda_1 k): 1 / (1 - e^lambda_1) if lambda_1 < 0, T at 0, about
e^(lambda_1 T) above. That sum is 1 / sqrt(mu) of Gonzalez et al. 2025 (arXiv:2508.16817): mu is their bound on the
Polyak-Lojasiewicz constant of the problem, and they show that Newton is in O(log T) iterations within the basin of
quadratic convergence, a residual below 2 mu / L with L the curvature of the step, if lambda_1 < 0. They give no number
of iterations. The one used here,

    iterations = min(T, kappa + log2 log2(1 / eps))

is for kappa steps of memory, as every iteration makes at least one more step exact and older errors are forgotten, and
for the quadratic end, in which the number of correct bits doubles. It leaves out L: a nearly linear step needs fewer.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import arrays
from rnn_jax.cell import Cell, Params, State
from rnn_jax.diagnostics.lyapunov import growth_rates
from rnn_jax.diagnostics.newton import newton_iterations
from rnn_jax.engines import Newton

WARMUP = 5  # the first fifth of a sequence does not count in its exponent


class Parallelizability(NamedTuple):
    """Result of `parallelizability`; of several sequences, the worst of each number.

    Attributes:
      exponent: largest Lyapunov exponent, in nats per step.
      amplification: kappa, the largest ratio of an error to the residuals that it comes from.
      predicted: number of Newton iterations that follows from kappa; rather too high.
      measured: number of Newton iterations until all sequences had converged.
      looped: number of steps that Newton left to the loop; 0 if all sequences converged.
      verdict: what that means for the choice of an engine, in one sentence.
    """

    exponent: float
    amplification: float
    predicted: int
    measured: int
    looped: int
    verdict: str


def parallelizability(
    cell: Cell, params: Params, xs: jax.Array, state: State | None = None, *, engine: Newton = Newton()
) -> Parallelizability:
    """Measures whether Newton's method solves all steps at once, beside what the Lyapunov exponent predicts.

    It takes one sequential run with a tangent vector, and one run by `Newton`.

    >>> import jax, rnn_jax
    >>> cell, xs = rnn_jax.GRU(2, 4), jax.random.normal(jax.random.key(1), (500, 2))
    >>> result = parallelizability(cell, cell.init(jax.random.key(0)), xs)
    >>> result.exponent < 0, result.measured < result.predicted < 20, result.looped
    (True, True, 0)

    Args:
      cell: cell whose step is differentiable; static.
      params: parameters of the cell.
      xs: inputs [T, *batch, input_size], of the length that is to be run.
      state: s_0, every leaf [*batch, ...]; None means `cell.initial_state`.
      engine: engine to measure.

    Raises:
      TypeError, ValueError: as `rnn_jax.unroll`; also if there are no steps.
    """
    xs = arrays.native(xs, "parallelizability")
    steps = jnp.shape(xs)[0] if jnp.ndim(xs) else 0
    if not steps:
        raise ValueError(f"parallelizability: xs must have at least one step, got shape {jnp.shape(xs)}")
    rates = growth_rates(cell, params, xs, state)
    result = newton_iterations(cell, params, xs, state, engine=engine)
    exponent = float(jnp.max(jnp.mean(rates[steps // WARMUP :], axis=0)))
    with np.errstate(over="ignore"):
        amplification = float(np.exp(np.max(np.asarray(_log_amplification(rates), np.float64))))
    predicted = predicted_iterations(amplification, steps, rates.dtype)
    measured, looped = int(np.sum(result.iterations)), int(np.sum(result.looped))
    verdict = _verdict(exponent, measured, looped, steps)
    return Parallelizability(exponent, amplification, predicted, measured, looped, verdict)


def predicted_iterations(amplification: float, steps: int, dtype: jax.typing.DTypeLike = jnp.float32) -> int:
    """Returns the number of Newton iterations over T = `steps` for an amplification kappa; T if it is not a number."""
    quadratic = math.log2(-math.log2(jnp.finfo(dtype).eps))
    return steps if math.isnan(amplification) else math.ceil(min(steps, amplification + quadratic))


@jax.jit
def _log_amplification(rates: jax.Array) -> jax.Array:
    """Returns ln of sum_{j <= t} exp(sum_{j < i <= t} rates_i), the largest over t, [*batch]."""

    def add(carry: tuple[jax.Array, jax.Array], rate: jax.Array) -> tuple[tuple[jax.Array, jax.Array], None]:
        log_sum, largest = carry
        log_sum = jnp.logaddexp(0, rate + log_sum)
        return (log_sum, jnp.maximum(largest, log_sum)), None  # a maximum over all steps at once loses NaN on a CPU

    none = jnp.full_like(rates[0], -jnp.inf)
    return jax.lax.scan(add, (none, none), rates)[0][1]


def _verdict(exponent: float, measured: int, looped: int, steps: int) -> str:
    if math.isnan(exponent):
        return "not parallel over time: the states are not finite"
    rate = f"largest Lyapunov exponent {exponent:+.3g}"
    if looped:
        left = f"Newton left {looped:,} of {steps:,} steps to the loop"
        return f"not parallel over time: {left} ({rate}); use Hoisted(), whose loop is all that runs"
    # An iteration solves a linear recurrence: up and down a tree over T.
    if measured * 2 * math.log2(max(2, steps)) >= steps:
        return f"parallel over time, but {measured} iterations are no shorter than {steps:,} steps ({rate})"
    growth = "; with more steps it would not converge" if exponent > 0 else ""
    return f"parallel over time: {measured} Newton iterations in place of {steps:,} steps ({rate}{growth})"
