"""The error of engines with their own gradient, for which JAX has no forward mode.

A `jax.custom_vjp` function is refused in forward mode by JAX, within `jax.jit` only when the program is lowered. So the
tangents of its arguments pass through a primitive of our own, which reverse mode transposes to nothing, and which is
refused where JAX would evaluate or lower it. The program of a gradient is the same with it and without.
"""

import functools
from typing import Any, NoReturn

import jax
from jax.custom_derivatives import SymbolicZero
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir


def marked(engine: Any, arguments: Any) -> Any:
    """Returns the arguments; differentiation of a function of them in forward mode names the engine.

    Raises:
      TypeError: if they are differentiated by `jax.jvp` or `jax.jacfwd`, also within `jax.jit`.
    """
    return _marked(type(engine).__name__, arguments)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _marked(engine: str, arguments: Any) -> Any:
    return arguments


def _tangents(engine: str, primals: tuple[Any], tangents: tuple[Any]) -> tuple[Any, Any]:
    leaves, structure = jax.tree.flatten(tangents[0])
    places = [place for place, leaf in enumerate(leaves) if not isinstance(leaf, SymbolicZero)]
    # All at once: JAX evaluates an operation whose operands are all known, as zeros may be, before it transposes.
    for place, leaf in zip(places, _tangents_p.bind(*(leaves[place] for place in places), engine=engine), strict=True):
        leaves[place] = leaf
    return primals[0], jax.tree.unflatten(structure, leaves)


_marked.defjvp(_tangents, symbolic_zeros=True)


def _refuse(*_: Any, engine: str) -> NoReturn:
    raise TypeError(
        f"{engine}: differentiation must be in reverse mode (jax.grad, jax.vjp, jax.jacrev), got "
        "forward-mode (jax.jvp, jax.jacfwd); use engine=Scan()"
    )


def _transpose(cotangents: Any, *tangents: Any, engine: str) -> list[Any]:
    del engine
    return [
        cotangent if ad.is_undefined_primal(tangent) else None
        for cotangent, tangent in zip(cotangents, tangents, strict=True)
    ]


def _batch(tangents: Any, axes: Any, *, engine: str) -> tuple[Any, Any]:
    return _tangents_p.bind(*tangents, engine=engine), axes


_tangents_p = Primitive("reverse_mode_only")
_tangents_p.multiple_results = True
_tangents_p.def_impl(_refuse)
_tangents_p.def_abstract_eval(lambda *tangents, engine: tangents)
ad.primitive_transposes[_tangents_p] = _transpose
ad.primitive_jvps[_tangents_p] = _refuse
batching.primitive_batchers[_tangents_p] = _batch
mlir.register_lowering(_tangents_p, _refuse)
