"""What a library must offer to be compared: one layer of a cell, run forward, and forward and backward."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from experiments.throughput.problem import Data, Problem
from experiments.throughput.timing import Call
from rnn_jax import Cell


class Programs(NamedTuple):
    """One problem in one library: its calls as they are timed, and what they compute as NumPy arrays, time-major."""

    forward: Call  # all outputs
    forward_backward: Call  # the loss, and its gradients by parameters and by inputs
    outputs: Callable[[], np.ndarray]  # [T, B, H]
    input_gradients: Callable[[], np.ndarray]  # [T, B, D]


class Contestant(Protocol):
    """A library, or one of our engines.

    Attributes:
      name: in tables and records.
    """

    @property
    def name(self) -> str: ...

    def prepare(self, problem: Problem, data: Data) -> Programs:
        """The programs of a problem, with the weights and inputs of `data` in the library's own layout."""
        ...

    def function(self, problem: Problem, data: Data) -> tuple[Cell, Any]:
        """The cell, and its parameters, that `prepare` computes: the problem's, but where the library has another."""
        ...


class Unavailable(Exception):
    """A library that is there cannot take part; the message says why and what to do."""


def same_function(problem: Problem, data: Data) -> tuple[Cell, Any]:
    """`Contestant.function` of a library that has the problem's cell."""
    return problem.cell, data.params


def jax_programs(apply: Callable[[Any, jax.Array], jax.Array], params: Any, data: Data, batch_first: bool) -> Programs:
    """The programs of a library that computes by JAX.

    Args:
      apply: (params, xs) -> outputs; pure.
      params: as `apply` takes them.
      data: the inputs and the loss.
      batch_first: `apply` takes [B, T, D] and gives [B, T, H]; they are turned outside of what is timed.
    """

    def turn(a: jax.Array) -> jax.Array:
        return jnp.swapaxes(a, 0, 1) if batch_first else a

    def loss(params: Any, xs: jax.Array, loss_weights: jax.Array) -> jax.Array:
        return jnp.sum(apply(params, xs) * loss_weights)

    xs, loss_weights = turn(data.xs), turn(data.loss_weights)
    forward, forward_backward = jax.jit(apply), jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))

    def run_forward() -> Any:
        return jax.block_until_ready(forward(params, xs))

    def run_forward_backward() -> Any:
        return jax.block_until_ready(forward_backward(params, xs, loss_weights))

    return Programs(
        run_forward,
        run_forward_backward,
        lambda: np.asarray(turn(run_forward()), np.float32),
        lambda: np.asarray(turn(run_forward_backward()[1][1]), np.float32),
    )
