"""Training, captions of the test set and their scores, and the nearest scene's sentence as a baseline."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.baselines.nearest_image import nearest
from experiments.common import fitting, scenes
from experiments.common.fitting import Network
from experiments.common.flags import FitConfig
from experiments.common.runner import Job
from experiments.common.scenes import Data, Split
from rnn_jax import significance, training
from rnn_jax.applications import ImageCaptioner
from rnn_jax.data import Examples, Vocabulary, digit_scenes
from rnn_jax.data.digit_scenes import KINDS, Sentence
from rnn_jax.models import Captioner

EVALUATED = 200  # scenes at a time


class Test(NamedTuple):
    """Captions of a split."""

    scores: dict[str, np.ndarray]  # [seeds] by name, see `scores`
    captions: list[Sentence]  # of the first seed, like the weights
    weights: np.ndarray  # attention weights [N, T, h * w]; h * w is 0 without attention
    scored: significance.Scored  # share of exact captions


Outcome = fitting.Outcome[Test]
Baseline = fitting.Baseline[Test]


def loss(model: Captioner, params: Any, batch: Examples, key: jax.Array) -> jax.Array:
    """Returns the loss of a batch; scenes are composed here, so every epoch sees new ones."""
    key_scenes, key_noise = jax.random.split(key)
    whole = batch.whole
    keys = jax.random.split(key_scenes, len(whole["kind"]))
    composed = jax.vmap(digit_scenes.compose)(keys, whole["images"], whole["kind"])
    return model.loss(params, composed, batch.steps["target"], whole["length"], key_noise)


def captioner(model: Captioner, words: Vocabulary) -> ImageCaptioner:
    """Returns a model as one that writes captions."""
    return ImageCaptioner(model, words, digit_scenes.MAX_TOKENS)


def evaluate(model: Captioner, params: Any, split: Split) -> Test:
    """Captions a split with the parameters of all seeds."""
    results = training.predict(captioner(model, split.words), ImageCaptioner.search, params, split.examples, EVALUATED)
    per_seed = [
        [tuple(split.words.decode(row[:length])) for row, length in zip(tokens, lengths, strict=True)]
        for tokens, lengths in zip(results.tokens, results.lengths, strict=True)
    ]
    return Test(scores(split, per_seed), per_seed[0], results.weights[0], significance.means(_exact(split, per_seed)))


def _exact(split: Split, per_seed: list[list[Sentence]]) -> np.ndarray:
    """Returns whether each caption is the scene's sentence, word for word [seeds, N]."""
    return np.array([[a == b for a, b in zip(each, split.sentences, strict=True)] for each in per_seed])


def scores(split: Split, per_seed: list[list[Sentence]]) -> dict[str, np.ndarray]:
    """Returns the shares [seeds] of captions that are right.

    `exact`: the scene's sentence, word for word; `exact/KIND`: likewise among the scenes of a kind, NaN if there are
    none; `form`: exact apart from articles and numbers.
    """
    exact, forms = _exact(split, per_seed), [digit_scenes.form(sentence) for sentence in split.sentences]
    form = [[digit_scenes.form(a) == b for a, b in zip(each, forms, strict=True)] for each in per_seed]
    members = {f"exact/{name}": split.kinds == kind for kind, name in enumerate(KINDS)}
    with np.errstate(invalid="ignore"):  # 0 / 0 if no scene is of this kind
        by_kind = {name: (exact & group).sum(axis=1) / group.sum() for name, group in members.items()}
    return {"exact": exact.mean(axis=1), **by_kind, "form": np.mean(form, axis=1)}


def baseline(data: Data, seed: int) -> Baseline:
    """Returns the baseline whose caption is the sentence of the nearest training scene; each is composed once."""
    composed = np.asarray(scenes.compose_all(data.training.examples.whole, seed))

    def test(split: Split) -> Test:
        places = nearest(composed, np.asarray(split.examples.whole["scene"]))
        sentences = [data.training.sentences[place] for place in places]
        scored, weights = significance.means(_exact(split, [sentences])), np.zeros((len(sentences), 0, 0))
        return Test(scores(split, [sentences]), sentences, weights, scored)

    return Baseline("the nearest scene's sentence", 1 - test(data.validation).scores["exact"], test(data.test))


def job(data: Data, config: FitConfig, network: Network, records: Callable[[Outcome], Any]) -> Job[Outcome]:
    """Returns the job that trains all seeds of a network and captions the test set."""
    model = network.trainer.model
    return fitting.fit_job(
        dataclasses.replace(network, application=captioner(model, data.training.words)),
        config,
        loss,
        [data.training.examples],
        score=lambda params: 1 - evaluate(model, params, data.validation).scores["exact"],
        test=lambda params: evaluate(model, params, data.test),
        records=records,
    )
