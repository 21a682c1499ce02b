"""Training, and the answers of networks and baselines to the questions of the test set."""

import dataclasses
import functools
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.baselines import story_answers
from experiments.common import fitting
from experiments.common.fitting import Network
from experiments.common.flags import FitConfig
from experiments.common.runner import Job
from rnn_jax import significance, training
from rnn_jax.data import Examples, StoryCorpus, StorySplit
from rnn_jax.models import QuestionAnswerer

EVALUATED = 100  # questions at a time


class Test(NamedTuple):
    """Answers to the questions of the test set."""

    scored: significance.Scored  # accuracy; items are stories, whose questions depend on each other
    facts: np.ndarray  # share of the supporting facts with the largest attention weight at one hop [seeds], or NaN
    predicted: np.ndarray  # classes of the first seed [N]
    weights: np.ndarray | None  # attention weights of the first seed [N, hops, S]; None without attention

    @property
    def accuracy(self) -> np.ndarray:
        """Share of correct answers [seeds]."""
        return self.scored.values


Outcome = fitting.Outcome[Test]
Baseline = fitting.Baseline[Test]


def baselines(corpus: StoryCorpus) -> list[Baseline]:
    """Returns the most frequent answer of the training set, and the answer that the story mentions last."""
    rows = []
    for title, rule in story_answers.rules(corpus.splits["training"].questions).items():
        results = {}
        for name, split in corpus.splits.items():
            results[name] = _test(split, np.array([[corpus.answers.index(rule(q)) for q in split.questions]]))
        rows.append(Baseline(title, 1 - results["validation"].accuracy, results["test"]))
    return rows


def loss(model: QuestionAnswerer, params: Any, batch: Examples, key: jax.Array) -> jax.Array:
    """Returns the loss of a batch, for `training.fit`."""
    whole = batch.whole
    return model.loss(params, batch.steps, whole["question"], whole["answer"], whole["length"], key=key)


def _answer(model: QuestionAnswerer, params: Any, batch: Examples) -> tuple[jax.Array, jax.Array | None]:
    logits, weights = model.apply(params, batch.steps, batch.whole["question"], batch.whole["length"], key=None)
    return jnp.argmax(logits, axis=-1), weights


def answers(model: QuestionAnswerer, params: Any, split: StorySplit) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns the classes [seeds, N] and weights [seeds, N, hops, S] of a split, in the order of its questions."""
    results = [training.predict(model, _answer, params, examples, EVALUATED) for examples in split.buckets]
    order = np.argsort(split.order)
    predicted = np.concatenate([classes for classes, _ in results], axis=1)[:, order]
    if not model.attends:
        return predicted, None
    longest = max(weights.shape[-1] for _, weights in results)
    padded = [np.pad(weights, [(0, 0)] * 3 + [(0, longest - weights.shape[-1])]) for _, weights in results]
    return predicted, np.concatenate(padded, axis=1)[:, order]


def _test(split: StorySplit, predicted: np.ndarray, weights: np.ndarray | None = None) -> Test:
    new = [q.story[: len(before.story)] != before.story for before, q in itertools.pairwise(split.questions)]
    scored = significance.means(predicted == split.labels, np.cumsum([0, *new]))
    if weights is None:
        return Test(scored, np.full(len(predicted), np.nan), predicted[0], None)
    return Test(scored, attended_facts(split, weights), predicted[0], weights[0])


def attended_facts(split: StorySplit, weights: np.ndarray) -> np.ndarray:
    """Returns the share [seeds] of supporting facts with the largest weight [seeds, N, hops, S] at one hop or more."""
    largest = np.argmax(weights, axis=-1)
    attended = [np.any(largest[:, i] == fact, axis=-1) for i, q in enumerate(split.questions) for fact in q.support]
    return np.mean(attended, axis=0) if attended else np.full(len(weights), np.nan)


def job(corpus: StoryCorpus, config: FitConfig, network: Network, records: Callable[[Outcome], Any]) -> Job[Outcome]:
    """Returns the job that trains a network and answers the test questions; tasks with short stories come first."""
    validation, test = corpus.splits["validation"], corpus.splits["test"]
    predict = functools.partial(answers, network.trainer.model)
    buckets = corpus.splits["training"].buckets
    fit_job = fitting.fit_job(
        network,
        config,
        loss,
        buckets,
        score=lambda params: np.mean(predict(params, validation)[0] != validation.labels, axis=1),
        test=lambda params: _test(test, *predict(params, test)),
        records=records,
    )
    return dataclasses.replace(fit_job, rank=sum(bucket.steps.size for bucket in buckets))
