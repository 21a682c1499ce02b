"""The programs in Keras, on JAX: `Sequential` of recurrent layers and a softmax, categorical cross-entropy, Adam.

Adam divides by sqrt(v) + epsilon, with v corrected for its beginning at zero: theta <- theta - eta m / (sqrt(v) +
epsilon). Keras 3 corrects the step in place of v, and does not correct epsilon with it: its epsilon is in effect
epsilon / sqrt(1 - 0.999^n) at step n, 32 times as large at the first. `Adam` puts it where PyTorch and optax have it.
Where JAX computes in 64 bit so does this, but for Keras's tanh, which has 32 bit on JAX.
"""

import dataclasses
import os
import sys
from typing import Any

import jax
import numpy as np

from experiments.teaching.peers import EPSILON, Unavailable
from experiments.teaching.program import Form, Learner, Lesson
from rnn_jax import Cell, cells, interop

if "keras" not in sys.modules:  # read once, when it is imported
    os.environ["KERAS_BACKEND"] = "jax"
import keras


class Adam(keras.optimizers.Adam):
    """Adam with epsilon beside the corrected v."""

    epsilon: Any

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        given, step = self.epsilon, keras.ops.cast(self.iterations + 1, variable.dtype)
        corrected = keras.ops.sqrt(1 - keras.ops.power(keras.ops.cast(self.beta_2, variable.dtype), step))
        self.epsilon = given * corrected
        super().update_step(gradient, variable, learning_rate)
        self.epsilon = given


@dataclasses.dataclass(frozen=True)
class Keras:
    """Keras, batch first.

    Args:
      name: in the tables.
      as_written: with Keras's own Adam, its epsilon 1e-7 and where it stands.
    """

    name: str
    as_written: bool = False

    def refusal(self, lesson: Lesson) -> str | None:
        for cell, _ in lesson.layers:
            if type(cell) not in LAYERS:
                return (
                    f"Keras's layers with one bias a gate are {', '.join(kind.__name__ for kind in LAYERS)} here, "
                    f"not {type(cell).__name__}"
                )
        return None

    def begin(self, lesson: Lesson) -> Learner:
        _, steps, features, classes = lesson.program.sizes
        last = len(lesson.layers) - 1
        model = keras.Sequential(
            [
                keras.Input((steps, features)),
                *(_layer(cell, return_sequences=place < last) for place, (cell, _) in enumerate(lesson.layers)),
                keras.layers.Dense(classes, activation="softmax"),
            ]
        )
        # Copies: its compiled steps give their arrays away.
        for layer, (cell, params) in zip(model.layers, lesson.layers, strict=False):
            layer.set_weights([np.array(array) for array in interop.to_keras(cell, params).values()])
        model.layers[-1].set_weights(lesson.dense)
        rate = lesson.learning_rate
        optimizer = keras.optimizers.Adam(rate) if self.as_written else Adam(rate, epsilon=EPSILON)
        model.compile(optimizer=optimizer, loss="categorical_crossentropy")
        unit_vectors = np.eye(classes, dtype=np.float32)

        def step(xs: np.ndarray, labels: np.ndarray) -> float:
            return float(model.train_on_batch(np.swapaxes(xs, 0, 1), unit_vectors[labels]))

        return Learner(step, lambda xs: np.asarray(model.predict_on_batch(np.swapaxes(xs, 0, 1))))


# Its GRU with reset_after has a second bias, which `GRU` here has only at the candidate.
LAYERS: dict[type[Cell], Any] = {
    cells.VanillaRNN: keras.layers.SimpleRNN,
    cells.LSTM: keras.layers.LSTM,
    cells.GRUResetBefore: keras.layers.GRU,
}


def _layer(cell: Cell, return_sequences: bool) -> Any:
    options: dict[str, Any] = {"return_sequences": return_sequences}
    if isinstance(cell, cells.VanillaRNN):
        options["activation"] = cell.activation
    if isinstance(cell, cells.GRUResetBefore):
        options["reset_after"] = False
    return LAYERS[type(cell)](cell.hidden_size, **options)


def forms() -> list[Form]:
    """Keras, if JAX is what it computes by; as wide as JAX is, which it does not see for itself."""
    if keras.backend.backend() != "jax":
        raise Unavailable(f"keras was imported with KERAS_BACKEND={keras.backend.backend()} before")
    keras.config.set_floatx("float64" if jax.config.read("jax_enable_x64") else "float32")
    return [Keras("Keras"), Keras("Keras, as written", as_written=True)]
