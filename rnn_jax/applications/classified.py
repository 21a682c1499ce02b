"""Most probable classes of sequences of any length, for applications of a classifier."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax.applications.application import Application, evaluate
from rnn_jax.data import Examples, pad

BATCH = 256  # sequences at a time
STEP = 16  # sequences are padded to a multiple of so many steps, so that there are few programs


class Classified(NamedTuple):
    """The most probable class of a sequence."""

    label: str
    probability: float


def classify(
    application: Application, params: Any, sequences: Sequence[np.ndarray], classes: Sequence[str]
) -> list[Classified]:
    """Returns the most probable class of each sequence.

    Args:
      application: application whose model is a `Classifier`.
      params: its parameters.
      sequences: ids [T] or features [T, F], T may be 0.
      classes: names of the classes.
    """
    padded = pad(sequences, max(1, -(-max(map(len, sequences), default=1) // STEP)) * STEP)
    examples = Examples(jnp.asarray(padded.values), jnp.asarray(padded.lengths))
    probabilities = evaluate(application, _probabilities, params, examples, BATCH)
    best = np.argmax(probabilities, axis=-1)
    return [Classified(classes[i], float(row[i])) for row, i in zip(probabilities, best, strict=True)]


def _probabilities(application: Application, params: Any, batch: Examples) -> jax.Array:
    """Returns the probability of each class [B, classes]."""
    return jax.nn.softmax(application.model.apply(params, batch.steps, batch.whole, key=None))
