"""A layer with given weights, inputs and loss as calls that can be compared and timed: forward, and with gradients."""

import functools
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from rnn_jax import Cell, mesh


class Data(NamedTuple):
    """Arrays, all of one dtype, of which every library gets copies in its own layout."""

    params: Any  # of a cell of rnn_jax
    xs: jax.Array  # [T, B, D]
    loss_weights: jax.Array  # [T, B, H]; the loss is sum(outputs * loss_weights)


class Layer(NamedTuple):
    """A layer of a JAX library: a pure function from (params, xs) to outputs, with its parameters or their shapes."""

    apply: Callable[[Any, jax.Array], Any]
    params: Any
    batch_first: bool = False

    def loss_and_gradients(self, params: Any, xs: jax.Array, loss_weights: Any) -> Any:
        """Returns the loss, sum(outputs * loss_weights), and its gradients of the parameters and the inputs."""

        def loss(params: Any, xs: jax.Array) -> jax.Array:
            outputs = self.apply(params, xs)
            return jax.tree.reduce(operator.add, jax.tree.map(lambda y, w: jnp.sum(y * w), outputs, loss_weights))

        return jax.value_and_grad(loss, argnums=(0, 1))(params, xs)

    def arguments(self, batch: int, steps: int, input_size: int, dtype: str) -> tuple[Any, Any, Any]:
        """Returns shapes of the arguments of `loss_and_gradients`, to compile it."""
        leading = (batch, steps) if self.batch_first else (steps, batch)
        xs = jax.ShapeDtypeStruct((*leading, input_size), dtype)
        return self.params, xs, jax.eval_shape(self.apply, self.params, xs)

    def summed_gradients(self, params: Any, xs: jax.Array, loss_weights: Any) -> Any:
        """Returns the same from a device's part of the batch: loss and gradients of the parameters are summed."""
        loss, (of_params, of_xs) = self.loss_and_gradients(params, xs, loss_weights)
        loss, of_params = jax.lax.psum((loss, of_params), "data")
        return loss, (of_params, of_xs)


class Programs(NamedTuple):
    """The calls of a layer in one library; they return when their work is done."""

    forward: Callable[[], Any]  # returns all outputs
    forward_backward: Callable[[], Any]  # returns gradients of the loss: of the parameters, and last of the inputs
    numpy: Callable[[Any], np.ndarray]  # converts outputs, or gradients of the inputs, to time-major float32
    other: tuple[Cell, Any] | None = None  # cell and parameters that a library computes in place of those given
    layer: Layer | None = None  # of a JAX library

    def outputs(self) -> np.ndarray:
        return self.numpy(self.forward())

    def input_gradients(self) -> np.ndarray:
        return self.numpy(self.forward_backward()[-1])


Prepare = Callable[[Cell, Data], Programs]  # converts weights and inputs to a library's layout


def differences(programs: Programs, reference: Programs) -> dict[str, float]:
    """Returns the largest difference over the reference's largest value, of outputs and of gradients of the inputs."""
    result = {}
    for what in ("outputs", "input_gradients"):
        actual, expected = getattr(programs, what)(), getattr(reference, what)()
        result[what] = float(np.max(np.abs(actual - expected)) / np.max(np.abs(expected)))
    return result


def jax_programs(
    apply: Callable[[Any, jax.Array], Any], params: Any, data: Data, batch_first: bool = False
) -> Programs:
    """Returns the programs of a pure function from (params, xs) to outputs; transposing to batch first is not timed.

    On a mesh they split the batch over its devices.
    """

    def transpose(a: jax.Array) -> jax.Array:
        return jnp.swapaxes(a, 0, 1) if batch_first else a

    layer = Layer(apply, params, batch_first)
    xs, loss_weights = transpose(data.xs), transpose(data.loss_weights)
    gradients: Callable[..., Any] = layer.loss_and_gradients
    if mesh.size("data") > 1:
        axis = 0 if batch_first else 1
        part, whole = PartitionSpec(*[None] * axis, "data"), PartitionSpec()
        split = functools.partial(jax.shard_map, mesh=jax.sharding.get_mesh(), check_vma=False)
        apply = split(apply, in_specs=(whole, part), out_specs=part)
        gradients = split(layer.summed_gradients, in_specs=(whole, part, part), out_specs=(whole, (whole, part)))
        params, (xs, loss_weights) = (
            mesh.place_whole(params),
            (mesh.place_batch(np.asarray(a), axis) for a in (xs, loss_weights)),
        )
    forward, gradient = jax.jit(apply), jax.jit(gradients)
    return Programs(
        lambda: jax.block_until_ready(forward(params, xs)),
        lambda: jax.block_until_ready(gradient(params, xs, loss_weights))[1],
        lambda a: np.asarray(transpose(a), np.float32),
        layer=layer,
    )
