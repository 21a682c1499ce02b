"""A program trained by one form, and how far its losses are from those of another."""

import dataclasses
import time
from typing import Any

import numpy as np

from experiments.teaching.program import Form, Lesson
from rnn_jax import training

LEVELS = (1e-6, 1e-5, 1e-4)  # of the relative difference


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of it."""

    losses: np.ndarray  # [steps], each batch's mean before the step, in nats
    seconds: np.ndarray  # [epochs]
    findings: dict[str, Any]

    @property
    def seconds_per_epoch(self) -> float:
        """The median without the first epoch, in which programs are compiled, where there is another."""
        return float(np.median(self.seconds[1:] if len(self.seconds) > 1 else self.seconds))


def measure(lesson: Lesson, form: Form, session: training.Session) -> Outcome | None:
    """Trains and asks; None where it was stopped."""
    learner = form.begin(lesson)
    losses, seconds = [], []
    for epoch in lesson.batches:
        began = time.perf_counter()
        for places in epoch:
            if session.stop.is_set():
                return None
            losses.append(learner.step(*lesson.program.batch(places)))
            session.advance(1)
        seconds.append(time.perf_counter() - began)
    return Outcome(np.array(losses), np.array(seconds), lesson.program.findings(learner.scores))


@dataclasses.dataclass(frozen=True)
class Difference:
    """Between two curves of losses, the second being what is compared with."""

    absolute: np.ndarray  # [steps]
    relative: np.ndarray  # likewise, to the second curve

    @classmethod
    def between(cls, losses: np.ndarray, reference: np.ndarray) -> "Difference":
        absolute = np.abs(losses - reference)
        return cls(absolute, absolute / np.maximum(np.abs(reference), np.finfo(np.float32).tiny))

    def first_above(self, level: float) -> int | None:
        """The first step, counted from 1, whose relative difference is above a level; None: there is none."""
        above = np.flatnonzero(self.relative > level)
        return int(above[0]) + 1 if len(above) else None
