"""Keras on JAX: `SimpleRNN`, `LSTM` and `GRU`, by `stateless_call` in a compiled function."""

import dataclasses
import os
import sys
from typing import Any

import jax

from experiments.throughput.peers.contestant import Programs, Unavailable, jax_programs, same_function
from experiments.throughput.problem import Data, Problem
from rnn_jax import interop

if "keras" not in sys.modules:  # read once, when it is imported
    os.environ["KERAS_BACKEND"] = "jax"
import keras

LAYERS: dict[str, Any] = {"rnn": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM, "gru": keras.layers.GRU}


@dataclasses.dataclass(frozen=True)
class Keras:
    """Batch first. Its GRU's default, reset_after=True, is ours."""

    name: str = "keras"

    function = staticmethod(same_function)

    def prepare(self, problem: Problem, data: Data) -> Programs:
        shape = problem.shape
        # Its weights are replaced; as it draws them, by a QR decomposition, it cannot in bfloat16.
        layer = LAYERS[problem.cell_name](
            shape.hidden_size, return_sequences=True, dtype=problem.dtype, recurrent_initializer="zeros"
        )
        layer.build((shape.batch, shape.steps, shape.input_size))
        rest = [variable.value for variable in layer.non_trainable_variables]

        def apply(params: Any, xs: jax.Array) -> jax.Array:
            return layer.stateless_call(params, rest, xs)[0]

        params = list(interop.to_keras(problem.cell, data.params).values())
        return jax_programs(apply, params, data, batch_first=True)


def make() -> Keras:
    """Keras, if JAX is what it computes by."""
    if keras.backend.backend() != "jax":
        raise Unavailable(f"keras was imported with KERAS_BACKEND={keras.backend.backend()} before")
    return Keras()
