"""Problems, their training, and the labels that a network predicts."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.baselines import support_vector_machine
from experiments.common import fitting
from experiments.common.flags import FitConfig
from experiments.common.runner import Job, init_state
from experiments.common.transcripts import Split, Transcripts, predict
from rnn_jax.data import Examples, spec_augment
from rnn_jax.models import CTC, Classifier

QUESTIONS = {
    "digits": "One digit, known speakers",
    "speakers": "One digit, unknown speaker",
    "joined": "3 to 7 digits in a row, known speakers",
    "speaker": "Who speaks, of known speakers",
    "class": "Class of a recording",
}

Outcome = fitting.Outcome[Transcripts]
Baseline = fitting.Baseline[Transcripts]


class Problem(NamedTuple):
    """A question about one split of the recordings, and the network that is to answer it."""

    question: str
    labels: tuple[str, ...]  # names of the labels
    network: fitting.Network
    seeds: int
    splits: dict[str, Split]
    singles: dict[str, tuple[list[np.ndarray], np.ndarray]]  # frames and labels of recordings with one, by split


def baseline(problem: Problem) -> Baseline:
    """Returns the support vector machine fitted to recordings with one label."""
    read = {name: (split.frames, split.labels) for name, split in problem.splits.items()}
    cuts = problem.question == "joined"
    return support_vector_machine.baseline(f"{problem.network.name}, SVM", problem.singles, read, cuts)


def job(config: FitConfig, problem: Problem, key: jax.Array, records: Callable[..., Any]) -> Job[Outcome]:
    """Returns the job that trains all seeds of a network and tests it."""

    def transcripts(split: Split, params: Any) -> Transcripts:
        return Transcripts(split.labels, predict(problem.network.trainer.model, params, split.buckets))

    return fitting.fit_job(
        problem.network,
        config,
        loss,
        problem.splits["training"].buckets,
        score=lambda params: transcripts(problem.splits["validation"], params).label_error_rate,
        test=functools.partial(transcripts, problem.splits["test"]),
        records=functools.partial(records, problem),
        init=lambda: init_state(problem.network.trainer, jax.random.split(key, problem.seeds)),
    )


def loss(model: Classifier | CTC, params: Any, batch: Examples, key: jax.Array) -> jax.Array:
    """Returns the loss of a batch, for `training.fit`; label d is CTC's d + 1."""
    (frames, labels), (lengths, counts) = batch
    key_frames, key_model = jax.random.split(key)
    frames = spec_augment(frames, lengths, key_frames)
    if isinstance(model, Classifier):
        return model.loss(params, frames, labels[0], lengths, key=key_model)
    return model.loss(params, frames, lengths, labels + 1, counts, key=key_model)
