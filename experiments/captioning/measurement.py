"""Training of a captioner, captions of the test set by its best parameters, and the nearest scene's sentence."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from experiments.baselines.nearest_image import nearest as nearest_image
from experiments.captioning import scenes
from experiments.captioning.config import Config, Plan, Split
from experiments.common.fitting import Network, Outcome, fit_job
from experiments.common.runner import Job
from rnn_jax import training
from rnn_jax.data import Examples
from rnn_jax.models import Captioner, greedy

EVALUATION_BATCH = 200  # scenes

Captions = list[tuple[str, ...]]


@dataclasses.dataclass(frozen=True)
class Test:
    """Captions of the test set."""

    captions: list[Captions]  # [seeds]
    weights: np.ndarray  # attention of the first seed [N, T, h * w]; h * w is 0 without attention


def loss(model: Captioner, params: Any, batch: Examples, key: jax.Array) -> jax.Array:
    """Returns the loss of a batch; scenes are composed here, so every epoch sees new ones."""
    key_scenes, key_noise = jax.random.split(key)
    whole = batch.whole
    keys = jax.random.split(key_scenes, len(whole["kind"]))
    composed = jax.vmap(scenes.compose)(keys, whole["images"], whole["kind"])
    return model.loss(params, composed, batch.steps["target"], whole["length"], key_noise)


@dataclasses.dataclass(frozen=True)
class Write:
    """Function for `training.predict` that returns captions and attention weights of a batch."""

    max_length: int

    def __call__(self, model: Captioner, params: Any, batch: Examples) -> Any:
        start = model.read(params, batch.whole["scene"])
        written = greedy(model.decoder, start.params, start.state, max_length=self.max_length)
        return written.tokens, written.lengths, written.weights


def jobs(
    plan: Plan, config: Config, records: Callable[[Outcome[Test]], list[dict[str, Any]]]
) -> list[Job[Outcome[Test]]]:
    """Returns one job for each network; its score is the share of validation captions that are not exact."""

    def job(network: Network) -> Job[Outcome[Test]]:
        model = network.trainer.model

        def score(params: Any) -> list[float]:
            return [1 - exact(plan.validation, each) for each in write(plan, model, params, plan.validation).captions]

        def test(params: Any) -> Test:
            return write(plan, model, params, plan.test)

        return fit_job(network, config, loss, [plan.training], score, test, records)

    return [job(network) for network in plan.networks]


def write(plan: Plan, model: Captioner, params: Any, split: Split) -> Test:
    """Returns every seed's captions of a split's scenes."""
    longest = plan.training.steps["target"].shape[0]
    tokens, lengths, weights = training.predict(model, Write(longest), params, split.examples, EVALUATION_BATCH)
    captions = [
        [tuple(plan.words.decode(row[:n])) for row, n in zip(*seed, strict=True)]
        for seed in zip(tokens, lengths, strict=True)
    ]
    return Test(captions, weights[0])


def exact(split: Split, captions: Captions) -> float:
    """Returns the share of captions that are the scene's sentence, word for word."""
    return float(np.mean([a == b for a, b in zip(captions, split.draft.sentences, strict=True)]))


def nearest(plan: Plan, seed: int) -> Captions:
    """Returns the baseline's captions: the sentence of the nearest training scene, each composed once."""
    whole = plan.training.whole
    keys = jax.random.split(jax.random.key(seed), len(whole["kind"]))
    composed = np.asarray(jax.jit(jax.vmap(scenes.compose))(keys, whole["images"], whole["kind"]))
    places = nearest_image(composed, np.asarray(plan.test.examples.whole["scene"]))
    return [plan.draft.sentences[place] for place in places]
