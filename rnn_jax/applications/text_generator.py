"""A language model that continues a text, or writes one of a given class."""

import dataclasses
from typing import Any

import jax

from rnn_jax.applications.application import Application, texts
from rnn_jax.data import Vocabulary, pad, read_text, unpad
from rnn_jax.models import LanguageModel, Strategy, generate


@dataclasses.dataclass(frozen=True)
class TextGenerator(Application):
    """Continues each text by `count` characters, or to its end, whichever comes first.

    Args:
      model: language model of characters.
      vocabulary: characters and, if there are classes, `begin(name)` of each.
      strategy: choice of a character, such as `Nucleus(0.95)`.
      count: number of characters to draw at most.
      classes: names of classes; if there are some, an input is one of them, and a whole text is written.
    """

    model: LanguageModel
    vocabulary: Vocabulary
    strategy: Strategy
    count: int
    classes: tuple[str, ...] = ()

    def predict(self, params: Any, inputs: Any, seed: int = 0) -> list[str]:
        """Returns texts with their continuations, or a text of each class; the same seed gives the same draws."""
        for text in texts(inputs):
            self._check(text)
        return self.write(params, inputs, jax.random.key(seed))

    def write(self, params: Any, inputs: Any, key: jax.Array) -> list[str]:
        """Returns the same by a key; a character that is not in the vocabulary becomes UNKNOWN."""
        starts = [[begin(text)] if self.classes else text for text in inputs]
        prompts, lengths = pad([self.vocabulary.encode(start) for start in starts])
        options = {"count": self.count, "end": Vocabulary.END, "max_length": len(prompts) + self.count}
        generated = unpad(*generate(self.model, params, self.strategy, key, prompts, lengths, **options))
        return ["".join(self.vocabulary.decode(ids[bool(self.classes) :])) for ids in generated]

    def read(self, path: Any) -> list[str]:
        """Returns the text of a UTF-8 file, or its lines if these are classes."""
        return self.from_text(read_text(path))

    def from_text(self, text: str) -> list[str]:
        return text.split("\n") if self.classes else [text]

    def lines(self, inputs: Any, answers: Any) -> list[str]:
        return [f"{name}\t{text}" for name, text in zip(inputs, answers, strict=True)] if self.classes else answers

    def _check(self, text: str) -> None:
        if self.classes and text not in self.classes:
            raise ValueError(f"an input must be one of {', '.join(self.classes)}, got {text!r}")
        if not text:
            raise ValueError("a text to continue must have at least one character, got an empty one")
        if unknown := [] if self.classes else [each for each in text if each not in self.vocabulary.tokens]:
            raise ValueError(f"a text to continue must have characters of the training set, got {unknown[0]!r}")


def begin(name: str) -> str:
    """Returns the token that texts of a class start with; longer than a character, so that it equals none."""
    return f"<{name}>"
