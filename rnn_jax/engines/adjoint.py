"""The gradient of an engine that solves states and adjoints itself.

    lambda_t = dL/ds_t + (ds_{t+1}/ds_t)^T lambda_{t+1},      dL/dtheta = sum_t (ds_t/dtheta)^T lambda_t

Given the lambda_t, the gradients of parameters and inputs are one `jax.vjp` of the cell's own functions, which take all
steps at once as one more leading dimension. No derivative is written by hand.
"""

import functools
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from rnn_jax.cell import Cell, Params, State
from rnn_jax.engines import reverse_only
from rnn_jax.trees import floats


class Solver(Protocol):
    """An engine with the two solvers that `solve` needs; hashable, as a frozen dataclass is."""

    def states(self, cell: Cell, params: Params, state: State, inputs: Any) -> tuple[State, Any]:
        """Returns all states s_1..s_T, from s_0 and inputs [T, *batch, ...], and whatever `adjoints` needs kept."""
        ...

    def adjoints(self, cell: Cell, params: Params, before: State, inputs: Any, kept: Any, grad_states: State) -> State:
        """Returns all lambda_t.

        Args:
          cell: cell of `states`.
          params: parameters of `states`.
          before: s_0..s_{T-1}: step t is at before_t and inputs_t.
          inputs: inputs of `states`.
          kept: second result of `states`.
          grad_states: dL/ds_t, through no later state; zero for integer components, whose lambda_t are not read.
        """
        ...


def solve(solver: Solver, cell: Cell, params: Params, state: State, inputs: Any) -> tuple[State, State]:
    """Returns the last state and all states, as an engine does, with their gradient.

    Forward-mode differentiation of them, though not of the gradient, is refused.

    Raises:
      TypeError: if they are differentiated in forward mode.
    """
    if not jax.tree.leaves(inputs)[0].shape[0]:
        return state, jax.tree.map(lambda leaf: jnp.zeros((0, *leaf.shape), leaf.dtype), state)
    states = _solve(solver, cell, *reverse_only.marked(solver, (params, state, inputs)))
    return jax.tree.map(lambda leaf: leaf[-1], states), states


class _Residuals(NamedTuple):
    params: Params
    state: State  # s_0
    states: State  # s_1..s_T
    inputs: Any
    kept: Any


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _solve(solver: Solver, cell: Cell, params: Params, state: State, inputs: Any) -> State:
    return solver.states(cell, params, state, inputs)[0]


def _forward(solver: Solver, cell: Cell, params: Params, state: State, inputs: Any) -> tuple[State, _Residuals]:
    states, kept = solver.states(cell, params, state, inputs)
    return states, _Residuals(params, state, states, inputs, kept)


def _backward(solver: Solver, cell: Cell, residuals: _Residuals, grad_states: Any) -> tuple[Any, Any, Any]:
    params, state, states, inputs, kept = residuals
    before = jax.tree.map(lambda first, all_: jnp.concatenate([first[None], all_[:-1]]), state, states)
    grad_states = jax.tree.map(
        lambda grad, s: jnp.zeros_like(s) if grad.dtype == jax.dtypes.float0 else grad, grad_states, states
    )
    adjoints = solver.adjoints(cell, params, before, inputs, kept, grad_states)

    def step(params: Params, state: State, inputs: Any) -> list[jax.Array]:
        return floats(cell.step(params, state, cell.project(params, inputs)))

    grad_params, grad_inputs = jax.vjp(lambda p, x: step(p, before, x), params, inputs)[1](floats(adjoints))
    lambda_1, x_1 = jax.tree.map(lambda leaf: leaf[0], (adjoints, inputs))
    (grad_state,) = jax.vjp(lambda s: step(params, s, x_1), state)[1](floats(lambda_1))
    return grad_params, grad_state, grad_inputs


_solve.defvjp(_forward, _backward)
