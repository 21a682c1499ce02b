"""Training, predicted classes of the test set, and their scores."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.common import clips, fitting
from experiments.common.clips import Classes, Data
from experiments.common.fitting import Network
from experiments.common.flags import FitConfig
from experiments.common.runner import Job
from rnn_jax import significance, training
from rnn_jax.applications.clip_classifier import ClipClassifier, most_probable
from rnn_jax.data import Examples, moving_images
from rnn_jax.models import VideoClassifier

EVALUATED = 100  # clips at a time
DIGITS = tuple("0123456789")


class Test(NamedTuple):
    """Predictions for a split."""

    scores: dict[str, np.ndarray]  # [seeds] by name, see `scores`
    predicted: Classes  # [seeds, N, ...]
    scored: significance.Scored  # share of clips with digit and path correct


Outcome = fitting.Outcome[Test]


def loss(model: VideoClassifier, params: Any, batch: Examples, key: jax.Array) -> jax.Array:
    """Returns the loss of a batch; paths are drawn here, so every epoch sees new ones."""
    key_paths, key_noise = jax.random.split(key)
    labels = batch.whole["label"]
    drawn = moving_images.batch(jax.random.split(key_paths, len(labels)), batch.whole["image"])
    return model.loss(params, drawn.frames, drawn.directions, (labels, drawn.path), key=key_noise)


def _predict(model: VideoClassifier, params: Any, batch: Examples) -> list[jax.Array]:
    """Returns the predicted `Classes` of a batch [B, ...]."""
    return most_probable(model, params, moving_images.batch(batch.whole["key"], batch.whole["image"]).frames)


def evaluate(model: VideoClassifier, params: Any, split: Examples) -> Test:
    """Classifies a split with the parameters of all seeds."""
    predicted, true = Classes(*training.predict(model, _predict, params, split, EVALUATED)), clips.classes(split)
    both = (predicted.digits == true.digits) & (predicted.paths == true.paths)
    return Test(scores(predicted, true), predicted, significance.means(both))


def scores(predicted: Classes, true: Classes) -> dict[str, np.ndarray]:
    """Returns the shares [seeds] of correct directions (`frames`), digits, paths, and of clips with both correct."""
    digits, paths = predicted.digits == true.digits, predicted.paths == true.paths
    return {
        "frames": np.mean(predicted.directions == true.directions, axis=(-2, -1)),
        "clips": np.mean(digits & paths, axis=-1),
        "digits": digits.mean(axis=-1),
        "paths": paths.mean(axis=-1),
    }


def errors(test: Test) -> np.ndarray:
    """Returns the validation score [seeds]: the share of wrong answers, mean of frames and clips."""
    return 1 - (test.scores["frames"] + test.scores["clips"]) / 2


def job(data: Data, config: FitConfig, network: Network, records: Callable[[Outcome], Any]) -> Job[Outcome]:
    """Returns the job that trains all seeds of a network and classifies the test set."""
    model = network.trainer.model
    application = ClipClassifier(model, moving_images.DIRECTIONS, (DIGITS, moving_images.PATHS))
    return fitting.fit_job(
        dataclasses.replace(network, application=application),
        config,
        loss,
        [data.training],
        score=lambda params: errors(evaluate(model, params, data.validation)),
        test=lambda params: evaluate(model, params, data.test),
        records=records,
    )
