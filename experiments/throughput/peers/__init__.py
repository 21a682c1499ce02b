"""What a library must offer to be compared: one layer of a cell, forward, and forward and backward.

Each other library has a module here, whose function `make(name)` returns its `Contestant`.
"""

import dataclasses
import functools
import importlib
import importlib.metadata
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import rnn_jax
from experiments.common.timing import Call
from experiments.throughput.problem import Data, Problem

# Name in the tables: module here, and distribution to install.
LIBRARIES = {
    "torch": ("pytorch", "torch"),
    "linen": ("flax", "flax"),
    "nnx": ("flax", "flax"),
    "haiku": ("haiku", "dm-haiku"),
    "keras": ("keras", "keras"),
}
REFERENCE = "torch"  # the others' times are multiples of its time
JAX_LIBRARIES = ("linen", "nnx", "haiku", "keras")


class Programs(NamedTuple):
    """The calls of a problem in one library."""

    forward: Call  # returns all outputs
    forward_backward: Call  # returns gradients of the loss: of the parameters, and last of the inputs
    numpy: Callable[[Any], np.ndarray]  # converts outputs, or gradients of the inputs, to time-major float32

    def outputs(self) -> np.ndarray:
        return self.numpy(self.forward())

    def input_gradients(self) -> np.ndarray:
        return self.numpy(self.forward_backward()[-1])


@dataclasses.dataclass(frozen=True)
class Contestant:
    """A library, or an engine of rnn_jax."""

    name: str  # in tables and records
    prepare: Callable[[Problem, Data], Programs]  # weights and inputs are converted to the library's layout
    # Cell that `prepare` computes, and its parameters: the problem's, except in libraries with another one.
    function: Callable[[Problem, Data], tuple[rnn_jax.Cell, Any]] = lambda problem, data: (problem.cell, data.params)


class Unavailable(Exception):
    """An installed library cannot take part; the message says why and what to do."""


def jax_programs(apply: Callable[[Any, jax.Array], jax.Array], params: Any, data: Data, batch_first: bool) -> Programs:
    """Returns the programs of a pure function from (params, xs) to outputs; transposing to batch first is not timed."""

    def transpose(a: jax.Array) -> jax.Array:
        return jnp.swapaxes(a, 0, 1) if batch_first else a

    def loss(params: Any, xs: jax.Array, loss_weights: jax.Array) -> jax.Array:
        return jnp.sum(apply(params, xs) * loss_weights)

    xs, loss_weights = transpose(data.xs), transpose(data.loss_weights)
    forward, gradient = jax.jit(apply), jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))
    return Programs(
        lambda: jax.block_until_ready(forward(params, xs)),
        lambda: jax.block_until_ready(gradient(params, xs, loss_weights))[1],
        lambda a: np.asarray(transpose(a), np.float32),
    )


def cell_programs(cell: rnn_jax.Cell, params: Any, data: Data, **options: Any) -> Programs:
    """Returns the programs of `unroll(cell, ..., **options)`, in float32 even if the data was rounded."""
    params, data = jax.tree.map(lambda a: a.astype(jnp.float32), (params, data))
    return jax_programs(lambda p, xs: rnn_jax.unroll(cell, p, xs, **options)[1], params, data, batch_first=False)


def unroll_programs(problem: Problem, data: Data, **options: Any) -> Programs:
    """Returns the programs of a problem in rnn_jax."""
    cell = problem.cell if problem.dtype == "float32" else rnn_jax.MixedPrecision(problem.cell)
    return cell_programs(cell, data.params, data, **options)


DEFAULT = Contestant("rnn_jax", unroll_programs)
SCAN = Contestant("Scan", functools.partial(unroll_programs, engine=rnn_jax.Scan()))
CHECKPOINTED = Contestant("Checkpointed", functools.partial(unroll_programs, engine=rnn_jax.Checkpointed()))


def find() -> tuple[list[Contestant], dict[str, str]]:
    """Returns the libraries that can take part, and why each of the others cannot."""
    contestants: list[Contestant] = []
    missing: dict[str, str] = {}
    for name, (module, distribution) in LIBRARIES.items():
        try:
            contestants.append(importlib.import_module(f"{__name__}.{module}").make(name))
        except ImportError as error:
            missing[name] = f'{error}; to compare with it: pip install {distribution}, or all by pip install ".[peers]"'
        except Unavailable as error:
            missing[name] = str(error)
    return contestants, missing


def versions(names: list[str]) -> dict[str, str]:
    """Returns the installed version of each distribution that `names` come from."""
    return {d: importlib.metadata.version(d) for d in sorted({LIBRARIES[name][1] for name in names})}
