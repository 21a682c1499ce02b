"""A loop's body in two parts: what depends on its constants alone is computed once, before the loop.

A compiler moves invariant operations out of a loop of its own, not out of the loop in a Pallas kernel. A cell's step
may reshape biases, cast or normalise weights, call other functions: nothing of this is left in the second part. What
Pallas for TPUs lacks and has another form gets that form.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
from jax.extend import core
from jax.extend.core import primitives

from rnn_jax import bfloat16

# Operations that call a function, which is put in their place.
_CALLS = (
    primitives.jit_p,
    primitives.closed_call_p,
    primitives.remat_p,
    primitives.custom_jvp_call_p,
    primitives.custom_vjp_call_p,
)
# Precisions of a product that a kernel for a TPU has: one pass of bfloat16, and float32, which is put for all others.
_PRECISIONS = (None, *((precision,) * 2 for precision in (jax.lax.Precision.DEFAULT, jax.lax.Precision.HIGHEST)))


class Parts(NamedTuple):
    """The two parts of a function of (constants, *varying): function(...) == inside(before(constants), *varying)."""

    before: Callable[[Any], list[jax.Array]]  # constants -> the values that `inside` reads
    inside: Callable[..., Any]  # (values, *varying) -> results
    values: list[Any]  # shapes of those values
    results: Any  # shapes of the results


def split(function: Callable[..., Any], constants: Any, *varying: Any) -> Parts:
    """Splits a function by its operations.

    The second part holds no other arrays and calls no functions. An operation that only repeats numbers, or depends on
    nothing, belongs to it, too: it is cheaper than to read its result from memory.

    Args:
      function: pure function of pytrees.
      constants: its first argument, or the shapes of it.
      varying: its other arguments, or their shapes.
    """
    jaxpr, results = jax.make_jaxpr(_inlined(function), return_shape=True)(constants, *varying)
    inner, count = jaxpr.jaxpr, len(jax.tree.leaves(constants))
    given = [*inner.constvars, *inner.invars[:count]]
    before, inside, crossing = _split(inner, given)

    def run_before(constants: Any) -> list[jax.Array]:
        environment = dict(zip(given, [*jaxpr.consts, *jax.tree.leaves(constants)], strict=True))
        environment = _evaluate(before, environment)
        return [environment[variable] for variable in crossing]

    def run_inside(values: list[Any], *varying: Any) -> Any:
        names = [*crossing, *inner.invars[count:]]
        environment = _evaluate(inside, dict(zip(names, [*values, *jax.tree.leaves(varying)], strict=True)))
        return jax.tree.unflatten(jax.tree.structure(results), [_read(environment, v) for v in inner.outvars])

    shapes = [jax.ShapeDtypeStruct(variable.aval.shape, variable.aval.dtype) for variable in crossing]
    return Parts(run_before, run_inside, shapes, results)


def _split(jaxpr: Any, given: list[Any]) -> tuple[list[Any], list[Any], list[Any]]:
    """Returns the equations before the loop, those inside it, and the variables that the latter take over."""
    known = set(given)
    before = []
    for eqn in jaxpr.eqns:
        if known.issuperset(_variables(eqn.invars)):
            before.append(eqn)
            known.update(eqn.outvars)
    needed, inside = set(_variables(jaxpr.outvars)), []
    for eqn in reversed(jaxpr.eqns):
        varies = not known.issuperset(_variables(eqn.invars))
        if needed.intersection(eqn.outvars) and (varies or _repeats(eqn)):
            inside.append(eqn)
            needed.difference_update(eqn.outvars)
            needed.update(_variables(eqn.invars))
    crossing = [variable for variable in [*given, *(v for eqn in before for v in eqn.outvars)] if variable in needed]
    return before, inside[::-1], crossing


def _repeats(eqn: Any) -> bool:
    if eqn.primitive.name == "broadcast_in_dim":
        return eqn.outvars[0].aval.size > eqn.invars[0].aval.size
    return not _variables(eqn.invars)


def _variables(atoms: Iterable[Any]) -> list[Any]:
    return [atom for atom in atoms if not isinstance(atom, core.Literal)]


def _inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the function with the operations of every function that it calls."""

    def inlined(*args: Any) -> Any:
        jaxpr, results = jax.make_jaxpr(function, return_shape=True)(*args)
        return jax.tree.unflatten(jax.tree.structure(results), _call(jaxpr, jax.tree.leaves(args)))

    return inlined


def _call(jaxpr: Any, args: list[Any]) -> list[Any]:
    inner, consts = getattr(jaxpr, "jaxpr", jaxpr), getattr(jaxpr, "consts", ())
    environment = dict(zip([*inner.constvars, *inner.invars], [*consts, *args], strict=True))
    environment = _evaluate(inner.eqns, environment)
    return [_read(environment, variable) for variable in inner.outvars]


def _evaluate(eqns: list[Any], environment: dict[Any, Any]) -> dict[Any, Any]:
    """Returns the values of all variables, from those that are given."""
    environment = dict(environment)
    for eqn in eqns:
        results = _apply(eqn, [_read(environment, variable) for variable in eqn.invars])
        environment.update(zip(eqn.outvars, results, strict=True))
    return environment


def _apply(eqn: Any, values: list[Any]) -> list[Any]:
    if eqn.primitive in _CALLS:
        return _call(eqn.params.get("jaxpr", eqn.params.get("call_jaxpr")), values)
    if eqn.primitive is primitives.copy_p or _keeps_shape(eqn):
        return values
    if eqn.primitive is bfloat16.product_p:
        return [bfloat16.product(*values, **eqn.params)]
    params = eqn.params
    if eqn.primitive is primitives.dot_general_p and params["precision"] not in _PRECISIONS:
        params = params | {"precision": (jax.lax.Precision.HIGHEST,) * 2}
    results = eqn.primitive.bind(*values, **params)
    return results if eqn.primitive.multiple_results else [results]


def _keeps_shape(eqn: Any) -> bool:
    """Whether an equation broadcasts to the shape that it got, which Pallas refuses for numbers (jax 0.10.2)."""
    return eqn.primitive.name == "broadcast_in_dim" and eqn.outvars[0].aval.shape == eqn.invars[0].aval.shape


def _read(environment: dict[Any, Any], atom: Any) -> Any:
    return atom.val if isinstance(atom, core.Literal) else environment[atom]
