"""Training of a tagger, and its predictions."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from experiments.common import fitting
from experiments.common.fitting import Network
from experiments.common.flags import FitConfig
from experiments.common.runner import Job
from experiments.tagging.corpus import Corpus
from experiments.tagging.scoring import Outcome, Scoring
from rnn_jax import training
from rnn_jax.applications import SentenceTagger
from rnn_jax.data import Examples, TagSplit
from rnn_jax.data.tag_corpus import CHARACTERS
from rnn_jax.models import Tagger

EVALUATED = 64  # sentences at a time


def job(
    corpus: Corpus, scoring: Scoring, config: FitConfig, network: Network, records: Callable[[Outcome], Any]
) -> Job[Outcome]:
    """Returns the job that trains all seeds of a network and tags the test set."""
    predict = functools.partial(predictions, network.trainer.model)
    tagger = SentenceTagger(network.trainer.model, corpus.words, corpus.characters, corpus.tags, CHARACTERS)
    return fitting.fit_job(
        dataclasses.replace(network, application=tagger),
        config,
        loss,
        corpus.splits["training"].buckets,
        score=lambda params: 1 - scoring.validation(corpus, predict(params, corpus.splits["validation"])),
        test=lambda params: scoring.test(corpus, predict(params, corpus.splits["test"])),
        records=records,
    )


def loss(model: Tagger, params: Any, batch: Examples, key: jax.Array) -> jax.Array:
    """Returns the loss of a batch, for `training.fit`."""
    words, characters = _inputs(model, batch)
    return model.loss(params, words, batch.steps["tags"], characters, lengths=batch.whole, key=key)


def _predict(model: Tagger, params: Any, batch: Examples) -> jax.Array:
    """Returns the predicted tags of a batch [B, T]."""
    return model.predict(params, *_inputs(model, batch), lengths=batch.whole).T


def _inputs(model: Tagger, batch: Examples) -> tuple[jax.Array, jax.Array | None]:
    return batch.steps["words"], batch.steps["characters"] if model.word_encoder else None


def predictions(model: Tagger, params: Any, split: TagSplit) -> np.ndarray:
    """Returns the predicted tags of all words of a split, in their order [seeds, words]."""
    predicted = []
    for examples in split.buckets:
        tags = training.predict(model, _predict, params, examples, EVALUATED)
        inside = np.arange(tags.shape[2])[None] < np.asarray(examples.whole)[:, None]
        predicted.append(tags[:, inside])
    return np.concatenate(predicted, axis=1)
