"""Keras on JAX: `SimpleRNN`, `LSTM` and `GRU`, batch first, and an Adam that adds epsilon where others do.

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

from experiments import peers
from experiments.peers.programs import Data, Programs, jax_programs
from rnn_jax import Cell, Stack, cells, interop, training
from rnn_jax.models import Classifier

if "keras" not in sys.modules:  # it reads the variable when it is imported
    os.environ["KERAS_BACKEND"] = "jax"
import keras

if keras.backend.backend() != "jax":
    raise peers.Unavailable(f"keras was imported with KERAS_BACKEND={keras.backend.backend()} before")
keras.config.set_floatx("float64" if jax.config.read("jax_enable_x64") else "float32")

LAYERS: dict[type[Cell], Any] = {
    cells.VanillaRNN: keras.layers.SimpleRNN,
    cells.LSTM: keras.layers.LSTM,
    cells.GRU: keras.layers.GRU,
    cells.GRUResetBefore: functools.partial(keras.layers.GRU, reset_after=False),
}
# GRU(reset_after=True) trains two biases, of which rnn_jax's GRU has the second at the candidate only.
ONE_BIAS = {kind: layer for kind, layer in LAYERS.items() if kind is not cells.GRU}


def recurrent(cell: Cell, params: Any, return_sequences: bool) -> Any:
    """Returns the Keras layer of a cell with these parameters.

    Raises:
      Unsupported: if Keras has no such layer.
    """
    options: dict[str, Any] = {"activation": cell.activation} if isinstance(cell, cells.VanillaRNN) else {}
    # The weights are replaced; Keras' own initialiser, a QR decomposition, fails in bfloat16.
    options |= {"dtype": str(params.w_i.dtype), "recurrent_initializer": "zeros", "return_sequences": return_sequences}
    layer = peers.find("Keras's layers", LAYERS, cell)(cell.hidden_size, **options)
    layer.build((None, None, cell.input_size))
    # Copies, as Keras's compiled steps donate their arrays.
    layer.set_weights([np.array(array) for array in interop.to_keras(cell, params).values()])
    return layer


def programs(cell: Cell, data: Data) -> Programs:
    """Returns the layer of a cell with the parameters in `data`, by `stateless_call` in a compiled function."""
    layer = recurrent(cell, data.params, return_sequences=True)
    rest = [variable.value for variable in layer.non_trainable_variables]

    def apply(weights: Any, xs: jax.Array) -> jax.Array:
        return layer.stateless_call(weights, rest, xs)[0]

    return jax_programs(apply, [variable.value for variable in layer.trainable_variables], data, batch_first=True)


class Adam(keras.optimizers.Adam):
    """Adam that adds epsilon to the corrected v."""

    epsilon: Any

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        epsilon, step = self.epsilon, keras.ops.cast(self.iterations + 1, variable.dtype)
        correction = keras.ops.sqrt(1 - keras.ops.power(keras.ops.cast(self.beta_2, variable.dtype), step))
        self.epsilon = epsilon * correction
        super().update_step(gradient, variable, learning_rate)
        self.epsilon = epsilon


def classifier(trainer: training.Trainer[Classifier], state: training.TrainState, as_written: bool) -> peers.Network:
    """Creates recurrent layers and a softmax, trained by Adam.

    Args:
      trainer: trainer, whose model has a cell or a `Stack` of cells and no encoder.
      state: initial parameters of one seed.
      as_written: whether Keras's own Adam trains it.

    Raises:
      Unsupported: if Keras has no such layer with one bias a gate.
    """
    cell, params, classes = trainer.model.cell, state.params, trainer.model.classes
    layers = [*zip(cell.layers, params.cell, strict=True)] if isinstance(cell, Stack) else [(cell, params.cell)]
    model = keras.Sequential([keras.Input((None, cell.input_size))])
    for place, (each, weights) in enumerate(layers, 1):
        peers.find("Keras's layers with one bias a gate", ONE_BIAS, each)
        model.add(recurrent(each, weights, return_sequences=place < len(layers)))
    model.add(keras.layers.Dense(classes, activation="softmax"))
    model.layers[-1].set_weights([np.array(params.readout["params"][name]) for name in ("kernel", "bias")])
    assert isinstance(trainer.optimizer, training.Adam)
    rate = trainer.optimizer.learning_rate
    optimizer = keras.optimizers.Adam(rate) if as_written else Adam(rate, epsilon=1e-8)  # optax's and PyTorch's epsilon
    model.compile(optimizer, loss="categorical_crossentropy")
    unit_vectors = np.eye(classes, dtype=np.float32)

    def step(xs: np.ndarray, labels: np.ndarray) -> float:
        return float(model.train_on_batch(np.swapaxes(xs, 0, 1), unit_vectors[labels]))

    return peers.Network(step, lambda xs: np.asarray(model.predict_on_batch(np.swapaxes(xs, 0, 1))))
