"""A classifier of texts."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax.applications.application import TextApplication, evaluate, texts
from rnn_jax.data import Examples, Vocabulary, pad
from rnn_jax.data.labelled import tidy
from rnn_jax.models import Classifier

BATCH = 256  # texts at a time
STEP = 16  # texts are padded to a multiple of so many tokens, so that there are few programs


class Classified(NamedTuple):
    """The most probable class of a text."""

    label: str
    probability: float


@dataclasses.dataclass(frozen=True)
class TextClassifier(TextApplication):
    """Returns the most probable class of each text, and its probability.

    Args:
      model: classifier of ids.
      vocabulary: tokens.
      classes: names of the classes.
      tokenizer: function that cuts a text into tokens: `data.folded_words`, or `list` for characters.
    """

    model: Classifier
    vocabulary: Vocabulary
    classes: tuple[str, ...]
    tokenizer: Callable[[str], Sequence[str]]

    def predict(self, params: Any, inputs: Any, seed: int = 0) -> list[Classified]:
        ids = [self.vocabulary.encode(self.tokenizer(tidy(text))) for text in texts(inputs)]
        padded = pad(ids, max(1, -(-max(map(len, ids), default=1) // STEP)) * STEP)
        examples = Examples(jnp.asarray(padded.values), jnp.asarray(padded.lengths))
        probabilities = evaluate(self, TextClassifier.probabilities, params, examples, BATCH)
        best = np.argmax(probabilities, axis=-1)
        return [Classified(self.classes[i], float(row[i])) for row, i in zip(probabilities, best, strict=True)]

    def probabilities(self, params: Any, batch: Examples) -> jax.Array:
        """Returns the probability of each class [B, classes] for a batch of ids [T, B] with their lengths [B]."""
        return jax.nn.softmax(self.model.apply(params, batch.steps, batch.whole, key=None))

    def lines(self, inputs: Any, answers: Any) -> list[str]:
        return [f"{label}\t{p:.3f}\t{text}" for text, (label, p) in zip(inputs, answers, strict=True)]
