"""The Mackey-Glass equation: the standard chaotic series of nonlinear forecasting."""

import numpy as np

from rnn_jax import checks

STEP = 0.1  # of the integration, in time units


def mackey_glass(
    length: int,
    *,
    tau: float = 17.0,
    beta: float = 0.2,
    gamma: float = 0.1,
    power: float = 10.0,
    spacing: float = 1.0,
    start: float = 1.2,
    discard: float = 500.0,
) -> np.ndarray:
    """Returns equally spaced values of the solution of the Mackey-Glass delay differential equation.

        dx/dt = beta x(t - tau) / (1 + x(t - tau)^power) - gamma x(t),      x(0) = start,  x(t) = 0 for t < 0

    With tau = 17 the series is weakly chaotic: its largest Lyapunov exponent is about 0.006 per time unit, so an error
    doubles in about 120 units. The integration is fourth-order Runge-Kutta with a step of 0.1, as in the usual data
    sets; the delayed value in the middle of a step is the mean of its two neighbours.

    >>> from rnn_jax import data
    >>> data.mackey_glass(4).round(3).tolist()
    [0.976, 0.975, 0.981, 0.997]

    Mackey & Glass 1977, Science 197, "Oscillation and chaos in physiological control systems". As a benchmark: Lapedes
    & Farber 1987, who forecast x(t + 6) and x(t + 84) from x(t), x(t - 6), x(t - 12), x(t - 18).

    Args:
      length: number of values, N.
      tau: delay, a multiple of 0.1 time units.
      beta: rate of production.
      gamma: rate of decay.
      power: exponent of the delayed value.
      spacing: time units between two values, a multiple of 0.1.
      start: initial value x(0).
      discard: time units dropped at the start, the transient.

    Returns:
      Values, float64 [N]; the first is x(discard).

    Raises:
      ValueError: if length is not a positive integer, a number is not positive (discard: negative), or a time is not a
        multiple of 0.1.
    """
    checks.integer_at_least(1, length, "mackey_glass: length")
    for name, value in (("beta", beta), ("gamma", gamma), ("power", power), ("start", start)):
        checks.positive(value, f"mackey_glass: {name}")
    delay, every = _steps(tau, "tau"), _steps(spacing, "spacing")
    skipped = 0 if discard == 0 else _steps(discard, "discard")

    def slope(x: float, delayed: float) -> float:
        return beta * delayed / (1 + delayed**power) - gamma * x

    count = skipped + every * (length - 1) + 1
    xs = [0.0] * delay + [start]  # xs[i] is x((i - delay) STEP)
    for i in range(count - 1):
        x, then, later = xs[-1], xs[i], xs[i + 1]
        # x jumps from 0 to `start` at t = 0: the step whose delayed interval ends there must still see zero.
        later = 0.0 if i + 1 == delay else later
        middle = (then + later) / 2
        k1 = slope(x, then)
        k2 = slope(x + STEP / 2 * k1, middle)
        k3 = slope(x + STEP / 2 * k2, middle)
        k4 = slope(x + STEP * k3, later)
        xs.append(x + STEP / 6 * (k1 + 2 * k2 + 2 * k3 + k4))
    return np.array(xs[delay + skipped :: every])


def _steps(time: float, name: str) -> int:
    checks.positive(time, f"mackey_glass: {name}")
    steps = round(time / STEP)
    if not steps or abs(steps * STEP - time) > 1e-9 * max(1.0, time):
        raise ValueError(f"mackey_glass: {name} must be a multiple of {STEP} time units, got {time}")
    return steps
