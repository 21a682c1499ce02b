"""The character generator: three characters to the next one, of one sentence, and then text from what it has learnt."""

import dataclasses
from typing import Any

import numpy as np

from experiments.teaching.program import Scores, accuracy

TEXT = "This is GeeksforGeeks a software training institute"
WINDOW = 3  # characters read
PROMPT = 9  # characters of the text that a generated one begins with: "This is G"
GENERATED = 50  # characters after them


@dataclasses.dataclass(frozen=True, eq=False)
class Generator:
    """Every window of a text and the character after it, one-hot. Make it by `of`."""

    name = "generator"
    title = "Character generator"

    text: str
    characters: tuple[str, ...]  # a class each, by code point
    ids: np.ndarray  # of the text, int [len(text)]

    @classmethod
    def of(cls, text: str) -> "Generator":
        """All windows of a text.

        Raises:
          ValueError: where there is none with a character after it, or but one character to choose from.
        """
        if len(text) <= WINDOW:
            raise ValueError(f"must have at least {WINDOW + 1} characters, got {len(text)}")
        characters = tuple(sorted(set(text)))
        if len(characters) == 1:
            raise ValueError(f"must have two different characters, got {characters[0]!r} alone")
        places = {character: place for place, character in enumerate(characters)}
        return cls(text, characters, np.array([places[character] for character in text]))

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        return len(self.text) - WINDOW, WINDOW, len(self.characters), len(self.characters)

    def batch(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._one_hot(self.ids[places + np.arange(WINDOW)[:, None]]), self.ids[places + WINDOW].astype(np.int32)

    def findings(self, scores: Scores) -> dict[str, Any]:
        right = [accuracy(scores, *self.batch(np.array([n]))) for n in range(self.sizes[0])]
        return {"training/accuracy": float(np.mean(right)), "generated": self.generate(scores)}

    def generate(self, scores: Scores) -> str:
        """The first characters of the text, and after them, one by one, the likeliest after the last window."""
        places = list(self.ids[:PROMPT])
        for _ in range(GENERATED):
            places.append(np.argmax(scores(self._one_hot(np.array(places[-WINDOW:])[:, None]))[0]))
        return "".join(self.characters[place] for place in places)

    def _one_hot(self, ids: np.ndarray) -> np.ndarray:
        return np.eye(len(self.characters), dtype=np.float32)[ids]
