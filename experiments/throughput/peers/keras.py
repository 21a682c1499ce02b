"""Keras on JAX: `SimpleRNN`, `LSTM` and `GRU`, batch first, by `stateless_call` in a compiled function."""

import os
import sys
from typing import Any

import jax

from experiments.throughput.peers import Contestant, Programs, Unavailable, jax_programs
from experiments.throughput.problem import Data, Problem
from rnn_jax import interop

if "keras" not in sys.modules:  # Keras reads it once, when it is imported
    os.environ["KERAS_BACKEND"] = "jax"
import keras

LAYERS: dict[str, Any] = {"rnn": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM, "gru": keras.layers.GRU}


def prepare(problem: Problem, data: Data) -> Programs:
    """Returns the programs of a problem; the GRU's default, reset_after=True, is that of rnn_jax."""
    shape = problem.shape
    # The weights are replaced; Keras' own initialiser, a QR decomposition, fails in bfloat16.
    options = {"return_sequences": True, "dtype": problem.dtype, "recurrent_initializer": "zeros"}
    layer = LAYERS[problem.cell_name](shape.hidden_size, **options)
    layer.build((shape.batch, shape.steps, shape.input_size))
    rest = [variable.value for variable in layer.non_trainable_variables]

    def apply(params: Any, xs: jax.Array) -> jax.Array:
        return layer.stateless_call(params, rest, xs)[0]

    return jax_programs(apply, list(interop.to_keras(problem.cell, data.params).values()), data, batch_first=True)


def make(name: str) -> Contestant:
    """Returns Keras, if JAX is its backend."""
    if keras.backend.backend() != "jax":
        raise Unavailable(f"keras was imported with KERAS_BACKEND={keras.backend.backend()} before")
    return Contestant(name, prepare)
