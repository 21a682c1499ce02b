"""Training, and the scores of taggers on the test set."""

import collections
import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from experiments.baselines import most_frequent_tag
from experiments.common import fitting
from experiments.common.fitting import Network
from experiments.common.flags import FitConfig
from experiments.common.runner import Job
from experiments.tagging.corpus import Corpus, Split
from rnn_jax import training
from rnn_jax.data import Examples
from rnn_jax.models import Tagger

EVALUATED = 64  # sentences at a time

Scores = dict[str, np.ndarray]  # [seeds] by name, see `scores`
Outcome = fitting.Outcome[Scores]
Baseline = fitting.Baseline[Scores]


def baselines(corpus: Corpus) -> list[Baseline]:
    """Returns the most frequent tag of each word, with one tag for all unseen words and with that of their ending."""
    validation, rows = corpus.sentences["validation"], []
    for title, tagger in most_frequent_tag.taggers(corpus.sentences["training"], validation).items():
        predicted = [corpus.tags.index(tag) for tag in tagger.tags(corpus.splits["test"].words)]
        errors = np.array([1 - tagger.accuracy(validation)])
        rows.append(Baseline(title, errors, scores(corpus, np.array([predicted])), {"longest_ending": tagger.longest}))
    return rows


def job(corpus: Corpus, config: FitConfig, network: Network, records: Callable[[Outcome], Any]) -> Job[Outcome]:
    """Returns the job that trains all seeds of a network and tags the test set."""
    predict = functools.partial(predictions, network.trainer.model)
    validation, test = corpus.splits["validation"], corpus.splits["test"]
    return fitting.fit_job(
        network,
        config,
        loss,
        corpus.splits["training"].buckets,
        score=lambda params: 1 - (predict(params, validation) == validation.gold).mean(axis=1),
        test=lambda params: scores(corpus, predict(params, test)),
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


def predictions(model: Tagger, params: Any, split: Split) -> np.ndarray:
    """Returns the predicted tags of all words of a split, in their order [seeds, words]."""
    predicted = []
    for examples in split.buckets:
        tags = training.predict(model, _predict, params, examples, EVALUATED)
        inside = np.arange(tags.shape[2])[None] < np.asarray(examples.whole)[:, None]
        predicted.append(tags[:, inside])
    return np.concatenate(predicted, axis=1)


def scores(corpus: Corpus, predicted: np.ndarray) -> Scores:
    """Returns accuracies and the F1 of each tag, [seeds] by name, for predicted tags of the test set [seeds, words].

    `unseen_accuracy` is that of words that are not in the training set, `ambiguous_accuracy` that of words with several
    tags there; NaN if there is no such word. F1 of a tag that is neither predicted nor correct is NaN, too.
    """
    from sklearn.metrics import f1_score

    words, gold = corpus.splits["test"].words, corpus.splits["test"].gold
    pairs = {pair for sentence in corpus.sentences["training"] for pair in zip(*sentence, strict=True)}
    known_tags = collections.Counter(word for word, _ in pairs)
    tag_counts = np.array([known_tags[word] for word in words])
    groups = {"accuracy": tag_counts >= 0, "unseen_accuracy": tag_counts == 0, "ambiguous_accuracy": tag_counts > 1}
    with np.errstate(invalid="ignore"):  # 0 / 0 if there is no such word
        accuracies = {name: np.sum((predicted == gold) & group, axis=1) / group.sum() for name, group in groups.items()}
    labels = range(len(corpus.tags))
    f1 = np.array([f1_score(gold, tags, labels=labels, average=None, zero_division=np.nan) for tags in predicted])
    return accuracies | {f"f1/{tag}": f1[:, index] for index, tag in enumerate(corpus.tags)}
