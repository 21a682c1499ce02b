"""The warning that a loop had to help Newton's method, logged while a compiled program runs.

`jax.debug.callback` alone cannot be lowered for a device that is not there, for several platforms, or for export; there
the warning is left out. So it is behind a primitive of our own, which decides when it is lowered. Programs with the
callback are not kept in JAX's persistent compilation cache (jax 0.10.2).
"""

import functools
import logging
from typing import Any

import jax
from jax.extend.core import Primitive
from jax.interpreters import mlir

_warned: set[tuple[str, int]] = set()


def warned(start: jax.Array, cell: str, max_iterations: int, count: int) -> jax.Array:
    """Returns `start`, the first step that a loop runs; logs a warning, once for a cell, if it is not `count`."""
    return _warned_p.bind(start, cell=cell, max_iterations=max_iterations, count=count)


def _warn(start: Any, cell: str, max_iterations: int, count: int) -> None:
    if int(start) == count or (cell, max_iterations) in _warned:
        return
    _warned.add((cell, max_iterations))
    logging.getLogger(__name__).warning(
        f"Newton: {cell} did not converge in {max_iterations} iterations, so the loop ran all {count} steps; "
        "use Hoisted() for this cell, or a larger max_iterations; logged once"
    )


def _run(start: jax.Array, **details: Any) -> jax.Array:
    _warn(start, **details)
    return start


def _run_compiled(start: jax.Array, **details: Any) -> jax.Array:
    warn = functools.partial(_warn, **details)
    jax.lax.cond(start < details["count"], lambda: jax.debug.callback(warn, start), lambda: None)
    return start


def _lower(context: Any, start: Any, **details: Any) -> Any:
    if not _has_callbacks(context.module_context):
        return [start]
    return mlir.lower_fun(_run_compiled, multiple_results=False)(context, start, **details)


def _has_callbacks(module: Any) -> bool:
    if module.lowering_parameters.for_export or len(module.platforms) > 1:
        return False
    try:
        module.get_backend()
    except RuntimeError:  # the device is not there
        return False
    return True


_warned_p = Primitive("newton_warned")
_warned_p.def_impl(_run)
_warned_p.def_abstract_eval(lambda start, **_: start)
mlir.register_lowering(_warned_p, _lower)
