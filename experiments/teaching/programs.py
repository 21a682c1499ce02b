"""The two programs as data to train on, and the setup that is the same in every library."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from experiments.peers import Scores
from rnn_jax import training
from rnn_jax.models import Classifier

TEXT = "This is GeeksforGeeks a software training institute"
WINDOW = 3  # characters that the network reads
PROMPT = 9  # characters of the text from which it continues: "This is G"
GENERATED = 50  # characters that it appends

EXAMPLES, LENGTH, FEATURES, CLASSES = 1000, 5, 10, 2  # of the sequence classifier


@dataclasses.dataclass(frozen=True, eq=False)
class Program:
    """Labelled sequences of one length, and the original's network and epochs."""

    name: str
    title: str
    layers: int
    epochs: int
    xs: np.ndarray  # float32 [T, N, F]
    labels: np.ndarray  # int32 [N]
    classes: int
    evaluate: Callable[[Scores], dict[str, Any]]  # further measurements of a trained network


def generator(text: str) -> Program:
    """Returns the program that predicts the character after each window of a text, and then continues the text.

    Raises:
      ValueError: if the text has no window with a character after it, or only one distinct character.
    """
    if len(text) <= WINDOW:
        raise ValueError(f"must have at least {WINDOW + 1} characters, got {len(text)}")
    characters = sorted(set(text))
    if len(characters) == 1:
        raise ValueError(f"must have two different characters, got {characters[0]!r} alone")
    ids = np.array([characters.index(character) for character in text])
    one_hot = np.eye(len(characters), dtype=np.float32)

    def generate(scores: Scores) -> dict[str, str]:
        written = list(ids[:PROMPT])
        for _ in range(GENERATED):
            written.append(np.argmax(scores(one_hot[written[-WINDOW:], None])[0]))
        return {"generated": "".join(characters[n] for n in written)}

    xs = one_hot[np.stack([ids[n : n - WINDOW] for n in range(WINDOW)])]
    labels = ids[WINDOW:].astype(np.int32)
    return Program("generator", "Character generator", 1, 100, xs, labels, len(characters), generate)


def classifier(seed: int) -> Program:
    """Returns the program that classifies standard normal sequences with random labels, which can only be memorised."""
    rng = np.random.default_rng([seed, 0])
    (xs, labels), (fresh, fresh_labels) = (
        (rng.standard_normal((LENGTH, EXAMPLES, FEATURES), np.float32), rng.integers(0, CLASSES, EXAMPLES, np.int32))
        for _ in ("training", "fresh")
    )

    def evaluate(scores: Scores) -> dict[str, float]:
        return {"fresh/accuracy": float(np.mean(scores(fresh).argmax(axis=-1) == fresh_labels))}

    return Program("classifier", "Sequence classifier", 2, 20, xs, labels, CLASSES, evaluate)


@dataclasses.dataclass(frozen=True, eq=False)
class Setup:
    """A program with its network, initial parameters and batches, the same for every library."""

    program: Program
    trainer: training.Trainer[Classifier]
    state: training.TrainState  # of one seed
    batches: list[list[np.ndarray]]  # indices of each batch's examples, for each epoch

    @property
    def steps(self) -> int:
        """Number of optimization steps."""
        return sum(len(epoch) for epoch in self.batches)


def epoch_batches(size: int, batch_size: int, epochs: int, seed: int) -> list[list[np.ndarray]]:
    """Shuffles the examples anew for every epoch and splits them into batches, of which the last may be smaller."""
    rng = np.random.default_rng([seed, 1])
    return [np.split(rng.permutation(size), np.arange(batch_size, size, batch_size)) for _ in range(epochs)]
