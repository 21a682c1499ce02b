"""The training, watched on the validation part; at its end the test part, on the parameters that were best there."""

import dataclasses
from typing import Any

import jax
import numpy as np

from experiments.common import parallel
from experiments.common.flags import UserError
from experiments.tagging.baseline import LONGEST_ENDINGS, MostFrequentTag
from experiments.tagging.config import Config, Network, Plan
from experiments.tagging.corpus import Corpus, Part
from rnn_jax import training
from rnn_jax.data import Examples
from rnn_jax.models import Tagger

LOOKED_AT = 64  # sentences at a time


@dataclasses.dataclass(frozen=True)
class Scores:
    """Shares of words of the test part with the right tag, a number a seed: [seeds]."""

    all: np.ndarray
    unseen: np.ndarray  # of words that do not come in the training part
    ambiguous: np.ndarray  # of words that come there with more than one tag
    f1: np.ndarray  # of each tag, [seeds, tags]; NaN where it is neither given nor right


@dataclasses.dataclass(frozen=True)
class Baseline:
    """A tagger that looks at one word at a time."""

    validation: float  # accuracy
    test: Scores
    longest: int | None  # ending looked at


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a network gave."""

    network: Network
    fit: training.Fit
    test: Scores


def baselines(plan: Plan) -> dict[str, Baseline]:
    """By name: one tag for all unseen words, and the one of their ending, as long a one as serves validation best."""
    corpus = plan.corpus
    validation = corpus.parts["validation"]

    def accuracy(model: MostFrequentTag) -> float:
        return float(np.mean(_ids(corpus, model.tags(validation.words)) == validation.gold))

    plain, *by_ending = (MostFrequentTag.fit(corpus.sentences["training"], n) for n in (None, *LONGEST_ENDINGS))
    found = {"most frequent tag": plain, "most frequent tag, endings": max(by_ending, key=accuracy)}
    words = corpus.parts["test"].words
    return {
        name: Baseline(accuracy(model), scores(corpus, _ids(corpus, model.tags(words))[None]), model.longest)
        for name, model in found.items()
    }


def measure(
    plan: Plan,
    config: Config,
    network: Network,
    session: training.Session,
) -> Outcome | None:
    """Trains all seeds of a network, and tags the test part with the parameters that were best on validation.

    Args:
      plan: with the data.
      config: of the experiment.
      network: to be trained.
      session: who is told, what ends it, where it is kept.

    Returns:
      The outcome; None where it was stopped.

    Raises:
      UserError: where all seeds diverged before the first look.
    """
    trainer, parts = network.trainer, plan.corpus.parts
    keys = jax.random.split(jax.random.key(config.seed), config.seeds)
    state = parallel.begin(trainer, keys)

    def score(params: Any) -> np.ndarray:
        right = predictions(trainer.model, params, parts["validation"]) == parts["validation"].gold
        return 1 - right.mean(axis=1)

    buckets = parts["training"].buckets
    fit = training.fit(trainer, loss, buckets, state, config.epochs, score, session=session)
    if fit is None:
        return None
    if fit.failed:
        raise UserError(f"{network.name}: a lower --learning_rate may help: {'; '.join(fit.diverged)}")
    found = predictions(trainer.model, fit.params, parts["test"])
    return Outcome(network, fit, scores(plan.corpus, found))


def loss(model: Tagger, params: Any, batch: Examples, key: jax.Array) -> jax.Array:
    """Of a batch, for `training.fit`."""
    words, characters, tags = batch.steps
    seen = None if model.word_encoder is None else characters
    return model.loss(params, words, tags, seen, lengths=batch.whole, key=key)


def _tags(model: Tagger, params: Any, batch: Examples) -> jax.Array:
    """[B, T]."""
    words, characters, _ = batch.steps
    seen = None if model.word_encoder is None else characters
    return model.predict(params, words, seen, lengths=batch.whole).T


def predictions(model: Tagger, params: Any, part: Part) -> np.ndarray:
    """The tags given to all words of a part, in their order, [seeds, words]."""
    found = []
    for examples in part.buckets:
        tags = training.predict(model, _tags, params, examples, LOOKED_AT)
        inside = np.arange(tags.shape[2])[None] < np.asarray(examples.whole)[:, None]
        found.append(tags[:, inside])
    return np.concatenate(found, axis=1)


def scores(corpus: Corpus, given: np.ndarray) -> Scores:
    """Of tags [seeds, words] given to the test part."""
    part = corpus.parts["test"]
    seen: dict[str, set[str]] = {}
    for sentence in corpus.sentences["training"]:
        for word, tag in zip(*sentence, strict=True):
            seen.setdefault(word, set()).add(tag)
    unseen = np.array([word not in seen for word in part.words])
    ambiguous = np.array([len(seen.get(word, ())) > 1 for word in part.words])
    right = given == part.gold
    f1 = np.full((len(given), len(corpus.tags)), np.nan)
    for place in range(len(corpus.tags)):
        both = np.sum(right & (part.gold == place), axis=1)
        either = np.sum(given == place, axis=1) + np.sum(part.gold == place)
        f1[:, place] = np.divide(2 * both, either, out=np.full(len(given), np.nan), where=either > 0)
    return Scores(_mean(right), _mean(right[:, unseen]), _mean(right[:, ambiguous]), f1)


def _mean(right: np.ndarray) -> np.ndarray:
    """Over the words; NaN where there is none."""
    return right.mean(axis=1) if right.shape[1] else np.full(len(right), np.nan)


def _ids(corpus: Corpus, tags: list[str]) -> np.ndarray:
    id_of = {tag: i for i, tag in enumerate(corpus.tags)}
    return np.array([id_of[tag] for tag in tags])
