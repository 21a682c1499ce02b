"""A network's training, watched on the validation part; at its end the test part's captions by its best parameters."""

import dataclasses
from typing import Any

import jax
import numpy as np
from sklearn.neighbors import NearestNeighbors

from experiments.captioning import scenes
from experiments.captioning.config import Config, Part, Plan
from experiments.common import parallel
from rnn_jax import training
from rnn_jax.data import Examples
from rnn_jax.models import Captioner, greedy

SEEN_AT_A_TIME = 200  # scenes, where nothing is learnt

Captions = list[tuple[str, ...]]


def loss(model: Captioner, params: Any, batch: Examples, key: jax.Array) -> jax.Array:
    """Of a batch whose scenes are composed here, so that no two epochs show the same; for `training.fit`."""
    key_scenes, key_noise = jax.random.split(key)
    whole = batch.whole
    keys = jax.random.split(key_scenes, len(whole["kind"]))
    composed = jax.vmap(scenes.compose)(keys, whole["images"], whole["kind"])
    return model.loss(params, composed, batch.steps["target"], whole["length"], key_noise)


@dataclasses.dataclass(frozen=True)
class Write:
    """Captions of a batch, and where each word was looked for, for `training.predict`."""

    max_length: int

    def __call__(self, model: Captioner, params: Any, batch: Examples) -> Any:
        begun = model.encode(params, batch.whole["scene"])
        found = greedy(model.decoder, begun.params, begun.state, max_length=self.max_length)
        return found.tokens, found.lengths, found.weights


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a network gave; parameters of the epoch that was best on the validation part."""

    network: str
    fit: training.Fit  # its scores are shares of the validation part's captions that are not exact
    captions: list[Captions]  # [seeds], of the test part
    weights: np.ndarray  # of the first seed, [N, T, h * w]; h * w is 0 without attention


def measure(plan: Plan, config: Config, network: str, session: training.Session) -> Outcome | None:
    """Trains all seeds of a network.

    Args:
      plan: what to run.
      config: of the experiment.
      network: which.
      session: who is told, what ends it, where it is kept.

    Returns:
      The outcome; None where it was stopped.
    """
    trainer = plan.trainers[network]

    def wrong(params: Any) -> list[float]:
        return [1 - exact(plan.validation, seed) for seed in write(plan, trainer.model, params, plan.validation)[0]]

    state = parallel.begin(trainer, jax.random.split(jax.random.key(config.seed), config.seeds))
    fit = training.fit(trainer, loss, [plan.training], state, config.epochs, wrong, session=session)
    if fit is None:
        return None
    captions, weights = write(plan, trainer.model, fit.params, plan.test)
    return Outcome(network, fit, captions, weights)


def write(plan: Plan, model: Captioner, params: Any, part: Part) -> tuple[list[Captions], np.ndarray]:
    """Of every seed the captions of a part's scenes, and of the first where it looked, [N, T, h * w]."""
    longest = plan.training.steps["target"].shape[0]
    tokens, lengths, weights = training.predict(model, Write(longest), params, part.examples, SEEN_AT_A_TIME)
    captions = [
        [tuple(plan.words.decode(row[:n])) for row, n in zip(*seed, strict=True)]
        for seed in zip(tokens, lengths, strict=True)
    ]
    return captions, weights[0]


def exact(part: Part, captions: Captions) -> float:
    """The share of captions that are the scene's sentence, word for word."""
    return float(np.mean([a == b for a, b in zip(captions, part.draft.sentences, strict=True)]))


def nearest(plan: Plan, seed: int) -> Captions:
    """An opponent: the sentence of the training scene whose pixels are nearest, each composed once."""
    whole = plan.training.whole
    keys = jax.random.split(jax.random.key(seed), len(whole["kind"]))
    composed = np.asarray(jax.jit(jax.vmap(scenes.compose))(keys, whole["images"], whole["kind"]))
    neighbours = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(composed.reshape(len(composed), -1))
    shown = np.asarray(plan.test.examples.whole["scene"])
    places = neighbours.kneighbors(shown.reshape(len(shown), -1), return_distance=False)[:, 0]
    return [plan.draft.sentences[place] for place in places]
