"""What the questions ask: recordings by split, each with its labels."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from experiments.common import splits
from rnn_jax.data import LabelledSounds, SpokenDigit
from rnn_jax.data.sound_folder import digest
from rnn_jax.data.spoken_digits import check_speakers, join_spoken_digits, split_spoken_digits
from rnn_jax.data.text import SPLITS

HELD_OUT = 500  # joined recordings of the validation and of the test set, at most
DIGITS = tuple("0123456789")

Recordings = dict[str, list[tuple[list[int], np.ndarray]]]  # labels and samples of each recording, by split


class Task(NamedTuple):
    """A question about recordings."""

    question: str
    name: str
    labels: tuple[str, ...]  # names of the labels
    singles: Recordings  # one label each; the baseline is fitted to them
    asked: Recordings

    @property
    def note(self) -> str:
        """Sentences about labels, sizes, the most frequent label and repetitions."""
        sizes = ", ".join(f"{len(self.asked[name]):,} {name}" for name in SPLITS)
        counts = Counter(label for labels, _ in self.asked["test"] for label in labels)
        (label, most), repeated = counts.most_common(1)[0], splits.repeats(self.asked, lambda each: digest(each[1]))
        return (
            f"{self.name}: {len(self.labels)} labels ({', '.join(self.labels):.80}); {sizes}; {self.labels[label]!r} "
            f"is {most / counts.total():.0%} of the test set. {splits.repeats_note(repeated, 'recordings')}"
        )


def digit_tasks(
    every: Sequence[SpokenDigit], rate: int, questions: Sequence[str], joined: int, seed: int
) -> list[Task]:
    """Returns the tasks of spoken digits, `joined` joined recordings to train; what they cannot answer is left out.

    Raises:
      ValueError: if no question can be answered, a split is empty, or it has no recording of a speaker who is to be
        identified.
    """
    speakers, tasks = sorted({each.speaker for each in every}), list[Task]()
    possible = ("digits", "speakers", "joined", "speaker") if len(speakers) > 1 else ("digits", "joined")
    for question in _answered(questions, possible):
        for unknown in speakers if question == "speakers" else [None]:
            parts = split_spoken_digits(every, unknown)
            singles = asked = _labelled(parts, lambda each: each.digit)
            if question == "joined":
                rng, held_out = np.random.default_rng(seed), min(HELD_OUT, joined)
                counts = dict(zip(SPLITS, (joined, held_out, held_out), strict=True))
                asked = {name: join_spoken_digits(parts[name], count, rate, rng) for name, count in counts.items()}
            if question == "speaker":
                check_speakers(parts)
                singles = asked = _labelled(parts, lambda each: speakers.index(each.speaker))
            name, labels = f"speaker {unknown}" if unknown else question, speakers if question == "speaker" else DIGITS
            tasks.append(Task(question, name, tuple(labels), singles, asked))
    return tasks


def class_tasks(parts: dict[str, LabelledSounds], questions: Sequence[str]) -> list[Task]:
    """Returns the task of labelled recordings.

    Raises:
      ValueError: if `questions` lack it, or recordings have another rate than the first of the training set.
    """
    _answered(questions, ("class",))
    training, asked = parts["training"], Recordings()
    for name, sounds in parts.items():
        if sounds.rate != training.rate:
            raise ValueError(f"{sounds.places[0]}: must have {training.rate} samples a second, got {sounds.rate}")
        labels = map(training.classes.index, sounds.names)
        asked[name] = [([label], samples) for label, samples in zip(labels, sounds.samples, strict=True)]
    return [Task("class", "class", training.classes, asked, asked)]


def _answered(questions: Sequence[str], possible: Sequence[str]) -> list[str]:
    """Returns those of the possible questions that are asked, in their order."""
    if not (answered := [each for each in possible if each in questions]):
        raise ValueError(f"these recordings answer --questions={','.join(possible)}, got {','.join(questions)}")
    return answered


def _labelled(parts: dict[str, list[SpokenDigit]], label: Callable[[SpokenDigit], int]) -> Recordings:
    return {name: [([label(each)], each.samples) for each in part] for name, part in parts.items()}
