"""The error of engines with their own gradient, for which JAX has no forward mode."""

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def named(engine: Any) -> Iterator[None]:
    """Names the engine, and what to do, if JAX refuses `jax.jvp` or `jax.jacfwd` of what is computed inside.

    Within `jax.jit` JAX refuses later, when nothing of this library runs, by its own message: "can't apply forward-mode
    autodiff (jvp) to a custom_vjp function".
    """
    try:
        yield
    except TypeError as error:
        if "forward-mode" not in str(error):
            raise
        raise TypeError(
            f"{type(engine).__name__}: differentiation must be in reverse mode (jax.grad, jax.vjp, jax.jacrev), got "
            "forward-mode (jax.jvp, jax.jacfwd); use engine=Scan()"
        ) from error
