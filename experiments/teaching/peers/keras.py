"""The programs in Keras, on JAX: `Sequential` of recurrent layers and a softmax, categorical cross-entropy, Adam.

Adam's step is theta <- theta - eta m / (sqrt(v) + epsilon), with v corrected for its initial zero. Keras 3 corrects eta
in place of v, so its epsilon is in effect epsilon / sqrt(1 - 0.999^n) at step n, 32 times as large at the first. `Adam`
adds epsilon as PyTorch and optax do. Keras's tanh computes in 32 bit on JAX, all else in 64 bit if JAX does.
"""

import functools
import os
import sys
from typing import Any

import jax
import numpy as np

from experiments.teaching.config import LEARNING_RATE
from experiments.teaching.measurement import Network, Unsupported
from experiments.teaching.peers import EPSILON
from experiments.teaching.programs import Setup
from rnn_jax import Cell, cells, interop

if "keras" not in sys.modules:  # it reads the variable when it is imported
    os.environ["KERAS_BACKEND"] = "jax"
import keras

if keras.backend.backend() != "jax":
    raise ImportError(f"keras was imported with KERAS_BACKEND={keras.backend.backend()} before")
keras.config.set_floatx("float64" if jax.config.read("jax_enable_x64") else "float32")

# GRU(reset_after=True) has two biases, of which rnn_jax's GRU has the second at the candidate only.
LAYERS: dict[type[Cell], Any] = {
    cells.VanillaRNN: keras.layers.SimpleRNN,
    cells.LSTM: keras.layers.LSTM,
    cells.GRUResetBefore: functools.partial(keras.layers.GRU, reset_after=False),
}


class Adam(keras.optimizers.Adam):
    """Adam that adds epsilon to the corrected v."""

    epsilon: Any

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        epsilon, step = self.epsilon, keras.ops.cast(self.iterations + 1, variable.dtype)
        correction = keras.ops.sqrt(1 - keras.ops.power(keras.ops.cast(self.beta_2, variable.dtype), step))
        self.epsilon = epsilon * correction
        super().update_step(gradient, variable, learning_rate)
        self.epsilon = epsilon


def create(setup: Setup, as_written: bool) -> Network:
    """Creates the network, batch first; as written it has Keras's own Adam.

    Raises:
      Unsupported: if Keras has no such layer.
    """
    model = keras.Sequential([keras.Input(setup.program.xs.shape[::2])])
    for place, (cell, params) in enumerate(setup.layers, 1):
        if type(cell) not in LAYERS:
            names = ", ".join(kind.__name__ for kind in LAYERS)
            raise Unsupported(f"Keras's layers with one bias a gate are {names} here, not {type(cell).__name__}")
        options = {"activation": cell.activation} if isinstance(cell, cells.VanillaRNN) else {}
        model.add(LAYERS[type(cell)](cell.hidden_size, return_sequences=place < len(setup.layers), **options))
        # Copies, as Keras's compiled steps donate their arrays.
        model.layers[-1].set_weights([np.array(array) for array in interop.to_keras(cell, params).values()])
    model.add(keras.layers.Dense(setup.program.classes, activation="softmax"))
    model.layers[-1].set_weights(setup.dense)
    optimizer = keras.optimizers.Adam(LEARNING_RATE) if as_written else Adam(LEARNING_RATE, epsilon=EPSILON)
    model.compile(optimizer, loss="categorical_crossentropy")
    unit_vectors = np.eye(setup.program.classes, dtype=np.float32)

    def step(xs: np.ndarray, labels: np.ndarray) -> float:
        return float(model.train_on_batch(np.swapaxes(xs, 0, 1), unit_vectors[labels]))

    return Network(step, lambda xs: np.asarray(model.predict_on_batch(np.swapaxes(xs, 0, 1))))
