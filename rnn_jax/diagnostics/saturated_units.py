"""Saturation of a cell's nonlinearities: gates stuck open or closed, tanh units at a bound, dead ReLUs.

The step's program (its jaxpr) is evaluated equation by equation, which yields the output of every pointwise
nonlinearity of any cell.
"""

import collections
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core
from jax.extend.core.primitives import (
    broadcast_in_dim_p,
    convert_element_type_p,
    custom_jvp_call_p,
    custom_vjp_call_p,
    jit_p,
    log1p_p,
    logistic_p,
    max_p,
    remat_p,
    reshape_p,
    tanh_p,
)

from rnn_jax import arrays
from rnn_jax.cell import Cell, Params, State
from rnn_jax.diagnostics.jacobians import states_before

MARGIN = 0.05  # distance from a bound below which a value counts as saturated
_Outputs = collections.OrderedDict[str, jax.Array]  # of nonlinearities, by name
_BOUNDS = {"logistic": (0.0, 1.0), "tanh": (-1.0, 1.0), "max": (0.0, np.inf)}


class Saturation(NamedTuple):
    """Saturated shares of the values, and dead share of the units, of one nonlinearity."""

    low: jax.Array  # share of values within 0.05 of the lower bound; for a ReLU, of exact zeros
    high: jax.Array  # share of values within 0.05 of the upper bound; 0 for a ReLU, which has none
    dead: jax.Array  # share of units that are low, or high, at all steps of all sequences


def saturation(cell: Cell, params: Params, xs: jax.Array) -> dict[str, Saturation]:
    """Measures how many values of each nonlinearity are at a bound, where the derivative is almost zero.

    The nonlinearities are JAX's `logistic` (0 to 1), `tanh` (-1 to 1) and `max` with zero (a ReLU) of values that
    depend on the state or the input, in `step`, `project` and the functions that these call. One operation is one
    entry, even if it computes several gates at once. Loops and conditionals inside a step are skipped, and compositions
    of other operations (1 / (1 + exp(-x)), a ReLU by `jnp.where`) are not recognised.

    >>> import jax, jax.numpy as jnp, rnn_jax
    >>> cell = rnn_jax.GRU(2, 3)
    >>> list(saturation(cell, cell.init(jax.random.key(0)), jnp.zeros((5, 4, 2))))  # gates r and z, candidate
    ['logistic', 'logistic 2', 'tanh']

    Args:
      cell: the cell; static.
      params: parameters of the cell.
      xs: inputs [T, *batch, input_size]; all steps are counted.

    Returns:
      Shares by nonlinearity, in the order of computation: `logistic`, `logistic 2`, `tanh`, `max`, ... For an `LSTM`
      they are gates f and i, the candidate, gate o as `logistic 3`, and the cell state's `tanh 2`.

    Raises:
      TypeError: as `rnn_jax.unroll`.
      ValueError: if `xs` has no steps or no sequences, or as `rnn_jax.unroll`.
    """
    xs = arrays.native(xs, "saturation")
    if jnp.ndim(xs) and not np.prod(jnp.shape(xs)[:-1]):
        raise ValueError(f"saturation: xs must hold at least one step of one sequence, got shape {jnp.shape(xs)}")
    return dict(_saturation(cell, params, xs))


@functools.partial(jax.jit, static_argnames="cell")
def _saturation(cell: Cell, params: Params, xs: jax.Array) -> collections.OrderedDict[str, Saturation]:
    before = states_before(cell, params, xs)
    batch = xs.shape[1:-1]
    count = int(np.prod(batch))

    def at_step(at: Any) -> collections.OrderedDict[str, tuple[jax.Array, ...]]:
        state, x = jax.tree.map(lambda leaf: jnp.reshape(leaf, (count, *leaf.shape[len(batch) :])), at)
        values = jax.vmap(functools.partial(_nonlinearities, cell, params))(state, x)
        return collections.OrderedDict((name, _at_bounds(name, value)) for name, value in values.items())

    by_step = jax.lax.map(at_step, (before, xs))
    return collections.OrderedDict(
        (name, Saturation(jnp.mean(low), jnp.mean(high), jnp.mean(jnp.all(stay_low, 0) | jnp.all(stay_high, 0))))
        for name, (low, high, stay_low, stay_high) in by_step.items()
    )


def _at_bounds(name: str, values: jax.Array) -> tuple[jax.Array, ...]:
    """Returns, for values [B, ...] of one step, the shares low and high, and whether all of a unit's are [units]."""
    lower, upper = _BOUNDS[name.split()[0]]
    flat = jnp.reshape(values, (len(values), -1))
    low = flat <= (lower if name.startswith("max") else lower + MARGIN)
    high = flat >= upper - MARGIN
    return jnp.mean(low), jnp.mean(high), jnp.all(low, 0), jnp.all(high, 0)


class _Value(NamedTuple):
    value: Any
    varies: bool  # depends on the state or the input, not on parameters alone
    zero: bool = False  # is a constant zero


def _nonlinearities(cell: Cell, params: Params, state: State, x: jax.Array) -> _Outputs:
    """Returns the outputs of the nonlinearities of one step of one sequence, by name."""

    def step(params: Params, state: State, x: jax.Array) -> State:
        return cell.step(params, state, cell.project(params, x))

    program = jax.make_jaxpr(step)(params, state, x)
    values = [_Value(leaf, varies=False) for leaf in jax.tree.leaves(params)]
    values += [_Value(leaf, varies=True) for leaf in jax.tree.leaves((state, x))]
    outputs: _Outputs = collections.OrderedDict()
    _run(program, values, outputs)
    return outputs


def _run(program: Any, values: list[_Value], nonlinearities: _Outputs) -> list[_Value]:
    """Evaluates a closed jaxpr, returns its outputs, and adds those of its nonlinearities by name."""
    known = dict(zip(program.jaxpr.invars, values, strict=True))
    for var, const in zip(program.jaxpr.constvars, program.consts, strict=True):
        known[var] = _constant(const)

    def read(atom: Any) -> _Value:
        return _constant(atom.val) if isinstance(atom, core.Literal) else known[atom]

    for eqn in program.jaxpr.eqns:
        outputs = _run_equation(eqn, [read(atom) for atom in eqn.invars], nonlinearities)
        known.update(zip(eqn.outvars, outputs, strict=True))
    return [read(atom) for atom in program.jaxpr.outvars]


def _constant(value: Any) -> _Value:
    known = not isinstance(value, jax.core.Tracer) and jnp.issubdtype(jnp.result_type(value), jnp.number)
    return _Value(value, varies=False, zero=known and not np.any(value))


def _run_equation(eqn: Any, inputs: list[_Value], nonlinearities: _Outputs) -> list[_Value]:
    called = _called(eqn)
    if called is not None:
        # JAX's softplus is a maximum smoothed by a log1p, and not a ReLU.
        smooth = eqn.primitive is custom_jvp_call_p and any(inner.primitive is log1p_p for inner in called.jaxpr.eqns)
        return _run(called, inputs, collections.OrderedDict() if smooth else nonlinearities)
    outputs = eqn.primitive.bind(*[one.value for one in inputs], **eqn.params)
    outputs = outputs if eqn.primitive.multiple_results else [outputs]
    varies = any(one.varies for one in inputs)
    name = _name(eqn, inputs)
    if varies and name:
        number = 1 + sum(other.split()[0] == name for other in nonlinearities)
        nonlinearities[name if number == 1 else f"{name} {number}"] = outputs[0]
    still_zero = eqn.primitive in (broadcast_in_dim_p, convert_element_type_p, reshape_p) and inputs[0].zero
    return [_Value(output, varies, still_zero) for output in outputs]


def _called(eqn: Any) -> Any:
    """Returns the closed jaxpr of the function that the equation calls, or None."""
    if eqn.primitive in (custom_jvp_call_p, custom_vjp_call_p):
        return eqn.params["call_jaxpr"]
    if eqn.primitive is jit_p:
        return eqn.params["jaxpr"]
    return core.ClosedJaxpr(eqn.params["jaxpr"], ()) if eqn.primitive is remat_p else None


def _name(eqn: Any, inputs: list[_Value]) -> str | None:
    """Returns the name of the nonlinearity that an equation computes, or None."""
    if eqn.primitive is max_p and jnp.issubdtype(eqn.outvars[0].aval.dtype, jnp.floating):
        return "max" if any(one.zero for one in inputs) else None
    return {logistic_p: "logistic", tanh_p: "tanh"}.get(eqn.primitive)
