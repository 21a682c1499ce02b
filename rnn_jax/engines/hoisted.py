"""The fast engine: its backward loop carries the adjoint and nothing else.

    lambda_t = dL/ds_t + (ds_{t+1}/ds_t)^T lambda_{t+1},      dL/dtheta = sum_t (dstep/dtheta)^T lambda_t

`jax.grad` through `lax.scan` sums dL/dW_h inside the backward loop: at each step a thin product, which reads and writes
all of dL/dW_h. Here the sums over time and the gradients of the inputs are large products after the loop (as in cuDNN:
Appleyard et al. 2016, arXiv:1604.01946). No derivative is written by hand: each line below is a `jax.vjp` of the cell's
own functions, for which all steps of all sequences are one batch. For a `SplitCell`:

    forward
        for t = 1..T:
            d_t = project(x_t),  r_t = recurrent(s_{t-1})
            s_t = activate(s_{t-1}, d_t, r_t)
        keep all s_t, and all (d_t, r_t) or none of them

    backward, over the whole sequence, or by segments from the last         _by_segments
        (d_t, r_t) of all its steps, if they are not kept
        for t = T..1:
            lambda_t = dL/ds_t + s_bar
            s_bar, d_bar_t, r_bar_t = vjp of activate with lambda_t         step.pull_advance
            s_bar += vjp of recurrent with r_bar_t                          step.pull_product
        grad_params = vjp of project, activate and recurrent with all       step.sums_over_time
            d_bar, lambda and r_bar
        grad_inputs = vjp of project with all d_bar

For any other cell `step` takes the place of `activate`, and there is no r. A name ends in `_bar` for a cotangent of the
loop's arrays, and starts with `grad_` for a gradient that JAX gets or gives.

There are two such programs: `rnn_jax.engines.cpu` and `rnn_jax.engines.accelerator`. XLA takes that of the platform for
which it compiles, on whichever machine. `rnn_jax.engines.decisions` says what each platform keeps, recomputes or stores
transposed, and why.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import checks
from rnn_jax.cell import Cell, Params, State
from rnn_jax.engines import accelerator, cpu, decisions, reverse_only
from rnn_jax.engines.scan import Scan
from rnn_jax.engines.step import Carry, Residuals, arguments, row
from rnn_jax.static import Static
from rnn_jax.trees import floats, refill


@dataclasses.dataclass(frozen=True)
class Hoisted(Static):
    """For any cell; the gain is largest for a `SplitCell`. The default engine.

    The backward loop has one product with the state in each step; gradients of parameters and inputs are computed after
    it, for all steps at once. Each step's arguments (the drive and the recurrent product, or their sum if the cell
    reads nothing else) are either kept or recomputed from the states. The memory of the backward pass is O(T) in both
    cases.

    Forward-mode differentiation (`jax.jvp`, `jax.jacfwd`) of the result, though not of its gradient, is refused: use
    `Scan` for that.

    Sequences must not depend on one another: gradients see all steps of all sequences as one batch, over which a mean
    (batch normalisation) would be another one than in a step. A step that reduces over its batch is found by its
    operations, and runs as by `Scan`.

    >>> from rnn_jax import LSTM, unroll
    >>> cell = LSTM(2, 3)
    >>> params, xs = cell.init(jax.random.key(0)), jnp.ones((10, 4, 2))
    >>> jax.grad(lambda p: unroll(cell, p, xs, engine=Hoisted())[1].sum())(params).w_h.shape
    (3, 12)

    Args:
      unroll: number of steps in one iteration of the compiled loops, as in `Scan`.
      keep: whether the arguments of every step are kept; None means if that is faster, see `decisions.keep_arguments`.

    Raises:
      TypeError: if keep is not a boolean or None; or if the result is differentiated in forward mode.
      ValueError: if unroll is not a positive integer.
    """

    unroll: int = 1
    keep: bool | None = None

    def __post_init__(self) -> None:
        checks.integer_at_least(1, self.unroll, "Hoisted: unroll")
        if not (self.keep is None or isinstance(self.keep, bool)):
            raise TypeError(f"Hoisted: keep must be True, False or None, got {self.keep!r}")

    def __call__(self, cell: Cell, params: Params, state: State, inputs: Any) -> tuple[State, State]:
        empty = not len(jax.tree.leaves(inputs)[0])  # the backward loop reads a first row
        if empty or decisions.mixes_sequences(cell, params, state, inputs):
            return Scan(self.unroll)(cell, params, state, inputs)
        return _solve(self, cell, *reverse_only.marked(self, (params, state, inputs)))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _solve(engine: Hoisted, cell: Cell, params: Params, state: State, inputs: Any) -> tuple[State, State]:
    final, states, _ = _run(engine, cell, params, state, inputs, keep=False)
    return final, states


def _run(
    engine: Hoisted, cell: Cell, params: Params, state: State, inputs: Any, keep: bool
) -> tuple[State, State, Any]:
    """Returns the last state, all states, and all steps' arguments if they are kept."""

    def on_accelerator(plan: decisions.Plan, params: Params, state: State, inputs: Any) -> tuple[State, State, Any]:
        asked = keep and engine.keep is True
        final, states, kept = accelerator.forward(plan, engine.unroll, asked, cell, params, state, inputs)
        if keep and not asked:
            kept = accelerator.no_arguments(cell, params, states, inputs)
        return final, states, kept

    on_cpu = functools.partial(cpu.forward, engine.unroll, keep, cell)
    return _by_platform(on_cpu, on_accelerator, params, state, inputs)


def _by_platform(on_cpu: Callable[..., Any], on_accelerator: Callable[..., Any], *arguments: Any) -> Any:
    """Calls one of two functions, the second with a plan first, by the platform that the program is compiled for.

    That may be another than the one it is traced on; equal plans are traced once.
    """
    plans = decisions.plans()
    if not plans:
        return on_cpu(*arguments)
    functions = {plan: functools.partial(on_accelerator, plan) for plan in plans.values()}
    by_name = {platform: functions[plan] for platform, plan in plans.items()}
    return jax.lax.platform_dependent(*arguments, default=on_cpu, **by_name)


def _forward(engine: Hoisted, cell: Cell, params: Params, state: State, inputs: Any) -> tuple[Any, Residuals]:
    keep = _keeps(engine, cell, params, state, inputs)
    final, states, kept = _run(engine, cell, params, state, inputs, keep)
    return (final, states), Residuals(params, state, states, inputs, kept)


def _keeps(engine: Hoisted, cell: Cell, params: Params, state: State, inputs: Any) -> bool:
    if engine.keep is not None:
        return engine.keep
    return decisions.keep_arguments(cell, params, _one_step(cell, params, state, inputs), inputs)


def _one_step(cell: Cell, params: Params, state: State, inputs: Any) -> Any:
    """Returns the shapes of one step's arguments."""
    return jax.eval_shape(lambda p, s, xs: arguments(cell, p, s, cell.project(p, row(xs, 0))), params, state, inputs)


def _backward(engine: Hoisted, cell: Cell, residuals: Residuals, cotangents: Any) -> tuple[Any, Any, Any]:
    """Returns the gradients of params, state and inputs, from those of the two results of `_solve`."""
    params, state, states, inputs, _ = residuals
    grad_final, grad_states = (floats(grad, like) for grad, like in zip(cotangents, (state, states), strict=True))
    carry = Carry(grad_final, jax.tree.map(jnp.zeros_like, floats(params)))

    def on_cpu(residuals: Residuals, *grads: Any) -> Any:
        solve = functools.partial(cpu.backward, engine.unroll, cell)
        return (solve if residuals.kept is not None else _by_segments(solve, decisions.SEGMENT))(residuals, *grads)

    def on_accelerator(plan: decisions.Plan, residuals: Residuals, *grads: Any) -> Any:
        if engine.keep is None:
            residuals = residuals._replace(kept=None)
        solve = functools.partial(accelerator.backward, plan, engine.unroll, cell)
        steps = len(jax.tree.leaves(inputs)[0])
        length = decisions.accelerator_segment(_one_step(cell, params, state, inputs), inputs)
        whole = residuals.kept is not None or length >= steps
        return (solve if whole else _by_segments(solve, length))(residuals, *grads)

    (grad_state, grad_params), grad_inputs = _by_platform(on_cpu, on_accelerator, residuals, grad_states, carry)
    gradients = ((params, grad_params), (state, grad_state), (inputs, grad_inputs))
    grad_params, grad_state, grad_inputs = (refill(jax.tree.map(_no_tangent, of), grads) for of, grads in gradients)
    return grad_params, grad_state, grad_inputs


_solve.defvjp(_forward, _backward)


def _by_segments(solve: Callable[..., Any], longest: int) -> Callable[..., tuple[Carry, list[jax.Array]]]:
    """Returns a function that computes the results of `solve` for all steps segment by segment, the last one first."""

    def solve_all(residuals: Residuals, grad_states: list[jax.Array], carry: Carry) -> Any:
        params, state, states, inputs, _ = residuals

        def segment(results: Any, start: jax.Array, length: int) -> Any:
            carry, grad_inputs = results
            previous = row(states, jnp.maximum(start - 1, 0))
            first = jax.tree.map(lambda s, s_0: jnp.where(start > 0, s, s_0), previous, state)
            cut = functools.partial(jax.lax.dynamic_slice_in_dim, start_index=start, slice_size=length)
            part_states, part_inputs, part_grad_states = jax.tree.map(cut, (states, inputs, grad_states))
            part = Residuals(params, first, part_states, part_inputs, None)
            carry, part_grad_inputs = solve(part, part_grad_states, carry)
            put = functools.partial(jax.lax.dynamic_update_slice_in_dim, start_index=start, axis=0)
            return carry, list(map(put, grad_inputs, part_grad_inputs))

        results = (carry, jax.tree.map(jnp.zeros_like, floats(inputs)))
        steps = len(jax.tree.leaves(inputs)[0])
        length = min(longest, steps)
        whole = steps - steps % length
        if whole < steps:
            results = segment(results, jnp.array(whole), steps - whole)
        starts = jnp.arange(0, whole, length)
        results, _ = jax.lax.scan(lambda r, start: (segment(r, start, length), None), results, starts, reverse=True)
        return results

    return solve_all


def _no_tangent(leaf: jax.Array) -> Any:
    """Returns JAX's cotangent of an integer array; arrays of floats are refilled and pass unchanged."""
    return leaf if jnp.issubdtype(leaf.dtype, jnp.inexact) else np.zeros(leaf.shape, jax.dtypes.float0)
