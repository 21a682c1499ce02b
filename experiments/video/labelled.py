"""A user's own clips: the class of each one, or of each of its frames; networks beside classifiers of single frames."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from experiments.common import classification, figures, fitting, networks
from experiments.common.classification import Baseline, Outcome, Predictions
from experiments.common.fitting import Network
from experiments.common.labelled_clips import Data, Split
from experiments.common.run_folder import Report
from experiments.common.runner import Job
from experiments.video.config import ALONE, WIDTHS, Config
from rnn_jax import plotting, training
from rnn_jax.applications.clip_classifier import FrameFolderClassifier, frame_or_clip_classes
from rnn_jax.data import Examples
from rnn_jax.models import ImageEncoder, VideoClassifier
from rnn_jax.models.video import NO_LABEL

EVALUATED = 32  # clips at a time


def loss(model: VideoClassifier, params: Any, batch: Examples, key: jax.Array) -> jax.Array:
    """Returns the loss of a batch, for `training.fit`."""
    steps, whole = batch
    questions = () if model.frame_classes else (whole["label"],)
    frames = steps["frames"] / jnp.float32(255)
    return model.loss(params, frames, steps.get("labels"), questions, whole["length"], key=key)


def make_networks(config: Config, data: Data) -> list[Network]:
    """Returns the networks of a config."""
    made, by_frame = [], data.nouns == "frames"
    for name in config.cells:
        cell = None if name == ALONE else networks.make_cell(name, config.features, config.hidden_size, data.longest)
        images = ImageEncoder((config.size, config.size, 3), WIDTHS)
        sizes = (len(data.classes), ()) if by_frame else (0, (len(data.classes),))
        model = VideoClassifier(images, config.features, cell, *sizes)
        networks.probe_loss(f"--cells={name}", model, loss, data.splits["training"].buckets)
        trainer = config.trainer(model, data.splits["training"].buckets)
        title = "CNN alone" if name == ALONE else f"CNN + {name}"
        made.append(Network(name, trainer, title, FrameFolderClassifier(model, data.classes)))
    return made


def predictions(model: VideoClassifier, split: Split, params: Any) -> Predictions:
    """Returns the classes that all seeds predict for the labelled clips or frames."""
    predicted = training.predict(model, frame_or_clip_classes, params, split.buckets[0], EVALUATED)
    return Predictions(split.labels, predicted[:, split.padded != NO_LABEL])


def job(config: Config, data: Data, baselines: Sequence[Baseline], network: Network) -> Job[Outcome]:
    """Returns the job that trains all seeds of a network and tests it."""
    test = functools.partial(predictions, network.trainer.model)
    return fitting.fit_job(
        network,
        config,
        loss,
        data.splits["training"].buckets,
        score=lambda params: 1 - test(data.splits["validation"], params).accuracy,
        test=lambda params: test(data.splits["test"], params),
        records=functools.partial(classification.records, baselines),
    )


def summarize(data: Data, rows: Sequence[Baseline], outcomes: Sequence[Outcome]) -> Report:
    """Returns findings, table and figures."""
    best, labels = fitting.best_outcome(outcomes), data.splits["test"].labels
    counts = {f"{best.title}, test set, all seeds": figures.confusion(labels, best.test.predicted, len(data.classes))}
    pngs: plotting.Drawings = {
        "confusion.png": ("Classes predicted", functools.partial(figures.confusion_figure, counts, data.classes)),
        **classification.accuracy_figures(rows, outcomes, data.nouns),
    }
    note = "Logistic regression reads the principal components of a frame's pixels, or of the mean frame of a clip."
    if data.nouns == "frames":
        note += " Intervals take frames for independent; those of one clip are not."
    table = classification.table(data, rows, outcomes, data.source, data.nouns, note)
    findings = [classification.finding(rows, outcomes), *fitting.diverged(outcomes)]
    return Report(f"The class of {data.nouns}", findings, [table], pngs)
