"""A classifier of texts."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from rnn_jax.applications.application import TextApplication, texts
from rnn_jax.applications.classified import Classified, classify
from rnn_jax.data import Vocabulary
from rnn_jax.data.labelled import tidy
from rnn_jax.models import Classifier


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
        return classify(self, params, ids, self.classes)

    def lines(self, inputs: Any, answers: Any) -> list[str]:
        return [f"{label}\t{p:.3f}\t{text}" for text, (label, p) in zip(inputs, answers, strict=True)]
