"""What engines share that solve states and adjoints by themselves: everything else that a gradient needs.

    lambda_t = dL/ds_t + (ds_{t+1}/ds_t)^T lambda_{t+1},      dL/dtheta = sum_t (ds_t/dtheta)^T lambda_t

However the lambda_t were found, the gradients of parameters and inputs are one `jax.vjp` of the cell's own functions,
which take all steps at once as one more leading dimension. Nothing is derived by hand.
"""

import functools
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from rnn_jax.cell import Cell, Params, State
from rnn_jax.engines.hoisted import floats


class Solver(Protocol):
    """An engine that hands its two solvers to `solve`; hashable, as a frozen dataclass is."""

    def states(self, cell: Cell, params: Params, state: State, inputs: Any) -> tuple[State, Any]:
        """All states s_1..s_T from s_0 and inputs [T, *batch, ...], and whatever `adjoints` wants kept."""
        ...

    def adjoints(self, cell: Cell, params: Params, before: State, inputs: Any, kept: Any, of_states: State) -> State:
        """All lambda_t.

        Args:
          cell: of `states`.
          params: of `states`.
          before: s_0..s_{T-1}: step t is at before_t and inputs_t.
          inputs: of `states`.
          kept: by `states`.
          of_states: dL/ds_t, through no later state; zero for components of integers, and theirs are not read.
        """
        ...


def solve(solver: Solver, cell: Cell, params: Params, state: State, inputs: Any) -> tuple[State, State]:
    """The last state and all states, as an engine returns them, with their gradient.

    Forward-mode differentiation is refused by JAX, though not of the gradient.
    """
    if not jax.tree.leaves(inputs)[0].shape[0]:
        return state, jax.tree.map(lambda leaf: jnp.zeros((0, *leaf.shape), leaf.dtype), state)
    states = _solve(solver, cell, params, state, inputs)
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


def _backward(solver: Solver, cell: Cell, residuals: _Residuals, of_states: Any) -> tuple[Any, Any, Any]:
    params, state, states, inputs, kept = residuals
    before = jax.tree.map(lambda first, all_: jnp.concatenate([first[None], all_[:-1]]), state, states)
    of_states = jax.tree.map(
        lambda of, s: jnp.zeros_like(s) if of.dtype == jax.dtypes.float0 else of, of_states, states
    )
    adjoints = solver.adjoints(cell, params, before, inputs, kept, of_states)

    def step(params: Params, state: State, inputs: Any) -> list[jax.Array]:
        return floats(cell.step(params, state, cell.project(params, inputs)))

    of_params, of_inputs = jax.vjp(lambda p, x: step(p, before, x), params, inputs)[1](floats(adjoints))
    first = jax.tree.map(lambda leaf: leaf[0], (adjoints, inputs))
    (of_state,) = jax.vjp(lambda s: step(params, s, first[1]), state)[1](floats(first[0]))
    return of_params, of_state, of_inputs


_solve.defvjp(_forward, _backward)
