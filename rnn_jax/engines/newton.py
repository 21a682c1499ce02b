"""Parallel in time, for any cell: Newton's method on all steps at once.

    F(s)_t = s_t - step(s_{t-1}, d_t) = 0, t = 1..T;      e_t = J_t e_{t-1} - F(s)_t,   s <- s + e

with J_t the derivative of the cell's step at the present guess of s_{t-1}. An iteration is one recurrence, linear in e,
which is solved in 2 log2(T) rounds (`rnn_jax.engines.associative`).
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import checks
from rnn_jax.cell import Cell, Params, State
from rnn_jax.engines import helped, lockstep
from rnn_jax.engines.chunks import in_chunks, joined
from rnn_jax.engines.newton_linear import KINDS, Steps, delay, kind, solve, solve_chunks, units
from rnn_jax.masking import select
from rnn_jax.static import Static


class Solution(NamedTuple):
    """All states, and what it took to solve for them."""

    states: State  # s_1..s_T
    iterations: jax.Array  # of Newton's method, of the slowest sequence
    residuals: jax.Array  # [max_iterations + 1], largest residual before each iteration; NaN after the last
    looped: jax.Array  # number of steps that the loop ran


@dataclasses.dataclass(frozen=True)
class Newton(Static):
    """For a cell that contracts, bare or in wrappers, and long sequences on hardware with much parallelism.

    If the largest Lyapunov exponent of the network is negative, the number of iterations hardly grows with T: 4 for a
    GRU of 8 units at its initialisation. Near 0 they are tens; if it is positive, a network in chaos, Newton's method
    fixes some steps an iteration, and does not pay. Whatever it does, the results are those of `Scan`: a sequence that
    has not converged after `max_iterations`, or is not finite, is run by the loop, and a warning is logged.

    An iteration that does not lower a sequence's mean residual is rejected, and tried again with J_t / (1 + damping),
    which a rejection multiplies by 4 (from 0 to 0.1) and a success divides by 4: a sequence that contracts is never
    damped. Each sequence has its own iterations; one that has converged stays as it is.

    The gradient is that of the equation, not of the iterations, one such recurrence in reverse time. Any order of
    differentiation works, forward mode, too.

    An iteration takes memory of T n^2 and products of 3 T matrices [n, n], with n the real components of the state, 2 H
    of an LSTM. Of K components in each of H units, "blocks" keeps T K^2 H entries, and "diagonal" T n; if others are
    not zero, leaving them out costs iterations, not accuracy (quasi-Newton).

    Lim et al. 2024 (DEER, arXiv:2309.12252); Gonzalez et al. 2024 (quasi-DEER, ELK, arXiv:2407.19115); Danieli et al.
    2025 (ParaRNN, arXiv:2510.21450); on what decides, Gonzalez et al. 2025, arXiv:2508.16817.

    >>> from rnn_jax import GRU, unroll
    >>> cell = GRU(2, 3)
    >>> final_state, ys = unroll(cell, cell.init(jax.random.key(0)), jnp.ones((10, 2)), engine=Newton())
    >>> ys.shape
    (10, 3)

    Args:
      jacobian: entries of J_t that are kept, "full", "blocks" or "diagonal"; None means those that are nonzero at
        random points.
      tolerance: largest difference between a state and one step from the state before it, relative to the largest
        component; None means 16 times the rounding error of the dtype.
      max_iterations: number of iterations after which the loop runs what has not converged.
      damping: damping of the first iteration.
      chunk: number of steps that are solved at once, chunk after chunk, for memory of chunk n^2; None means all.

    Raises:
      ValueError: if an argument is not one of these; if jacobian is "blocks", and the state has components of different
        sizes.
    """

    jacobian: Literal["diagonal", "blocks", "full"] | None = None
    tolerance: float | None = None
    max_iterations: int = 50
    damping: float = 0.0
    chunk: int | None = None

    def __post_init__(self) -> None:
        if self.jacobian is not None and self.jacobian not in KINDS:
            raise ValueError(f"Newton: jacobian must be None or one of {', '.join(KINDS)}, got {self.jacobian!r}")
        if self.tolerance is not None:
            checks.positive(self.tolerance, "Newton: tolerance")
        checks.integer_at_least(1, self.max_iterations, "Newton: max_iterations")
        if self.damping != 0:
            checks.positive(self.damping, "Newton: damping")
        if self.chunk is not None:
            checks.integer_at_least(1, self.chunk, "Newton: chunk")

    def __call__(self, cell: Cell, params: Params, state: State, inputs: Any) -> tuple[State, State]:
        final, solution = self.solve(cell, params, state, inputs)
        return final, solution.states

    def from_states(self, states: State) -> Callable[..., tuple[State, State]]:
        """Returns this engine with a trajectory as its first guess, such as that of a training step before.

        >>> from rnn_jax import GRU, unroll
        >>> cell, xs = GRU(2, 3), jnp.ones((10, 2))
        >>> params = cell.init(jax.random.key(0))
        >>> _, states = Newton()(cell, params, cell.initial_state(params), xs)
        >>> final_state, ys = unroll(cell, params, xs, engine=Newton().from_states(states))

        Args:
          states: s_1..s_T as the engine returns them, leaves [T, *batch, ...].

        Returns:
          An engine for one cell and such a batch. It holds arrays, so it is no static argument of `jax.jit`.
        """

        def engine(cell: Cell, params: Params, state: State, inputs: Any) -> tuple[State, State]:
            final, solution = self.solve(cell, params, state, inputs, states)
            return final, solution.states

        return engine

    def solve(
        self, cell: Cell, params: Params, state: State, inputs: Any, guess: State | None = None
    ) -> tuple[State, Solution]:
        """Returns the last state and the solution, whose statistics are [chunks] if the engine has chunks.

        Raises:
          ValueError: if `guess` is not a trajectory of the state; or as the engine.
        """
        steps = jax.tree.leaves(inputs)[0].shape[0]
        _check_guess(guess, state, steps)
        solution = _solve(self, cell, params, state, inputs, guess)
        return jax.tree.map(lambda leaf: leaf[-1], solution.states) if steps else state, solution


# The chunks are inside: JAX has no reverse mode of reverse mode for a custom derivative in a scan (jax 0.10.2).
@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _solve(engine: Newton, cell: Cell, params: Params, state: State, inputs: Any, guess: State | None) -> Solution:
    """Solves for all states, chunk after chunk; the gradient by `guess` is zero."""

    def body(state: State, part: Any) -> tuple[State, Solution]:
        drives, guess = part
        problem = _Problem(engine, cell, params, state, drives)
        solution = problem.finish(problem.iterate(guess))
        return jax.tree.map(lambda leaf: leaf[-1], solution.states), solution

    parts = in_chunks(body, state, (cell.project(params, inputs), guess), engine.chunk)
    statistics = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *(part[1:] for part in parts))
    if engine.chunk is None and len(statistics[0]):
        statistics = jax.tree.map(lambda leaf: leaf[0], statistics)
    return Solution(joined([part.states for part in parts]), *statistics)


@_solve.defjvp
def _tangents(engine: Newton, cell: Cell, primals: Any, tangents: Any) -> tuple[Solution, Solution]:
    """Differentiates s_t = step(s_{t-1}, d_t): ds_t = J_t ds_{t-1} + y_t, y_t what does not come through s_{t-1}."""
    params, state, inputs, _ = primals
    solution = _solve(engine, cell, *primals)
    steps = Steps(cell, params, _before(state, solution.states), cell.project(params, inputs))

    def direct(params: Params, state: State, inputs: Any) -> jax.Array:
        before = _before(state, solution.states)
        return steps.vectors(cell.step(params, before, cell.project(params, inputs)))

    y = jax.jvp(direct, (params, state, inputs), tangents[:3])[1]
    solver = functools.partial(
        solve_chunks, steps, _kept(engine, steps), max_iterations=engine.max_iterations, size=engine.chunk
    )
    e = jax.lax.custom_linear_solve(
        lambda e: e - steps.jvp(delay(e)),
        y,
        solve=lambda _, y: solver(y),
        transpose_solve=lambda _, y: solver(y, transposed=True),
    )
    zeros = jax.tree.map(_zero_tangent, solution)
    return solution, zeros._replace(states=steps.states(zeros.states, e))


class _Guess(NamedTuple):
    states: State  # s_1..s_T
    after: State  # step(s_{t-1}) for t = 1..T
    residuals: jax.Array  # [T, *batch], their relative difference


class _Progress(NamedTuple):
    iterations: jax.Array
    guess: _Guess
    damping: jax.Array  # [*batch]
    residuals: jax.Array  # [max_iterations + 1]


@dataclasses.dataclass(frozen=True, eq=False)
class _Problem:
    """The equations of T steps."""

    engine: Newton
    cell: Cell
    params: Params
    state: State  # s_0
    drives: Any

    def iterate(self, guess: State | None) -> _Progress:
        """Iterates until every sequence has converged, is not finite, or has had all iterations."""
        if guess is None:
            count = jax.tree.leaves(self.drives)[0].shape[0]
            constant = jax.tree.map(lambda s: jnp.broadcast_to(s, (count, *s.shape)), self.state)
            guess = Steps(self.cell, self.params, constant, self.drives).after()
        first = self._examine(guess)
        residuals = jnp.full(self.engine.max_iterations + 1, jnp.nan, first.residuals.dtype)
        residuals = residuals.at[0].set(jnp.max(first.residuals))
        damping = jnp.full(first.residuals.shape[1:], self.engine.damping, first.residuals.dtype)

        def goes_on(at: _Progress) -> jax.Array:
            return (at.iterations < self.engine.max_iterations) & lockstep.any(jnp.any(self._is_active(at.guess)))

        start = _Progress(jnp.zeros((), int), first, damping, residuals)
        return jax.lax.while_loop(goes_on, self._improve, start)

    def finish(self, at: _Progress) -> Solution:
        """Runs the loop for sequences that have not converged.

        It begins at their first step, though k iterations make k steps right: right within rounding, which a chaotic
        network turns into other states.
        """
        count = len(at.guess.residuals)
        rows = jnp.any(~self._is_small(at.guess.residuals), axis=0)
        start = lockstep.least(jnp.where(jnp.any(rows), 0, count))
        start = helped.warned(start, type(self.cell).__name__, self.engine.max_iterations, count)

        def step(t: jax.Array, state: State) -> State:
            return self.cell.step(self.params, state, jax.tree.map(lambda leaf: leaf[t], self.drives))

        states = lockstep.finish(step, self.state, at.guess.after, rows, start)
        return Solution(states, at.iterations, at.residuals, count - start)

    def _improve(self, at: _Progress) -> _Progress:
        old = at.guess
        steps = self._steps(old.states)
        x, after = steps.vectors(old.states), steps.vectors(old.after)
        x = x + solve(steps, _kept(self.engine, steps), after - x, at.damping)
        new = self._examine(steps.states(_counted(self.state, steps.before, old.after), x))
        better = jnp.mean(new.residuals, axis=0) < jnp.mean(old.residuals, axis=0)
        less, more = jnp.where(at.damping <= _LEAST, 0, at.damping / 4), jnp.maximum(4 * at.damping, _LEAST)
        rows = better & self._is_active(old)
        guess = _Guess(*(select(rows[None], yes, no) for yes, no in zip(new, old, strict=True)))
        k = at.iterations + 1
        residuals = at.residuals.at[k].set(jnp.max(guess.residuals))
        return _Progress(k, guess, jnp.where(better, less, more), residuals)

    def _steps(self, states: State) -> Steps:
        return Steps(self.cell, self.params, _before(self.state, states), self.drives)

    def _examine(self, states: State) -> _Guess:
        steps = self._steps(states)
        after = steps.after()
        return _Guess(states, after, _residuals(steps, states, after))

    def _is_active(self, guess: _Guess) -> jax.Array:
        """Returns whether a sequence is still to be improved, [*batch]; one that is not finite is left to the loop."""
        converged = jnp.all(self._is_small(guess.residuals), axis=0)
        return ~converged & jnp.isfinite(jnp.mean(guess.residuals, axis=0))

    def _is_small(self, residuals: jax.Array) -> jax.Array:
        return residuals <= (self.engine.tolerance or 16 * float(jnp.finfo(residuals.dtype).eps))


_LEAST = 0.1  # the least damping above 0


def _kept(engine: Newton, steps: Steps) -> str:
    kept = engine.jacobian or kind(steps)
    if kept == "blocks" and units(steps) is None:
        raise ValueError(
            f"Newton: jacobian must be 'diagonal' or 'full' for a {type(steps.cell).__name__}, whose state has "
            "components of different sizes, got 'blocks'"
        )
    return kept


def _check_guess(guess: State | None, state: State, steps: int) -> None:
    def described(tree: Any) -> Any:
        return jax.tree.map(lambda leaf: f"{leaf.dtype}{list(leaf.shape)}", tree)

    expected = jax.tree.map(lambda s: jax.ShapeDtypeStruct((steps, *s.shape), s.dtype), state)
    if guess is not None and described(guess) != described(expected):
        raise ValueError(
            f"Newton.from_states: states must be {described(expected)}, [T, *batch, ...] each, got {described(guess)}; "
            "pass those that the engine returned for such a batch"
        )


def _before(first: State, states: State) -> State:
    return jax.tree.map(lambda f, s: jnp.concatenate([f[None], s])[: len(s)], first, states)


def _residuals(steps: Steps, states: State, after: State) -> jax.Array:
    """Returns |after_t - s_t|, relative to |after_t|, or to its mean over time if that is larger and below 1."""
    x, y = steps.vectors(states), steps.vectors(after)
    size = jnp.max(jnp.abs(y), axis=-1)
    size = jnp.maximum(size, jnp.minimum(jnp.mean(size, axis=0, keepdims=True), 1) + jnp.finfo(x.dtype).eps)
    residuals = jnp.max(jnp.abs(y - x), axis=-1) / size
    for leaf, new in zip(jax.tree.leaves(states), jax.tree.leaves(after), strict=True):
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            axes = tuple(range(residuals.ndim, leaf.ndim))
            residuals = jnp.maximum(residuals, jnp.any(leaf != new, axis=axes))
    return residuals


def _counted(first: State, before: State, after: State) -> State:
    """Returns states whose integers are changed at each step as by the guess, which is right for a counter at once."""

    def count(first: jax.Array, before: jax.Array, after: jax.Array) -> jax.Array:
        if not jnp.issubdtype(after.dtype, jnp.integer):
            return after
        return first[None] + jnp.cumsum(after - before, axis=0, dtype=after.dtype)

    return jax.tree.map(count, first, before, after)


def _zero_tangent(leaf: jax.Array) -> Any:
    return jnp.zeros_like(leaf) if jnp.issubdtype(leaf.dtype, jnp.inexact) else np.zeros(leaf.shape, jax.dtypes.float0)
