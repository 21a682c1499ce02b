"""A network's training, watched on the validation part; at its end the test part, by its best parameters."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import parallel
from experiments.video import clips
from experiments.video.config import Config, Plan
from rnn_jax import training
from rnn_jax.data import Examples
from rnn_jax.models import VideoClassifier

SEEN_AT_A_TIME = 100  # clips, where nothing is learnt


def loss(model: VideoClassifier, params: Any, batch: Examples, key: jax.Array) -> jax.Array:
    """Of a batch whose paths are drawn here, so that no two epochs show the same; for `training.fit`."""
    key_paths, key_noise = jax.random.split(key)
    whole = batch.whole
    found = _clips(jax.random.split(key_paths, len(whole["label"])), whole["image"])
    return model.loss(params, found.frames, found.directions, (whole["label"], found.path), key=key_noise)


def _clips(keys: jax.Array, images: jax.Array) -> clips.Clips:
    """Time-major."""
    found = jax.vmap(clips.clip)(keys, images)
    return found._replace(frames=jnp.swapaxes(found.frames, 0, 1), directions=found.directions.T)


@dataclasses.dataclass(frozen=True)
class Guesses:
    """What is said of N clips, or what is true of them."""

    directions: np.ndarray  # [..., N, T - 1]
    digits: np.ndarray  # [..., N]
    paths: np.ndarray  # [..., N]


def _said(model: VideoClassifier, params: Any, batch: Examples) -> list[jax.Array]:
    logits = model.apply(params, _clips(batch.whole["key"], batch.whole["image"]).frames)
    return [jnp.argmax(each, axis=-1) for each in (jnp.swapaxes(logits.frames[1:], 0, 1), *logits.clip)]


def say(model: VideoClassifier, params: Any, examples: Examples) -> Guesses:
    """What every seed says, [seeds, N, ...]."""
    return Guesses(*training.predict(model, _said, params, examples, SEEN_AT_A_TIME))


def truth(examples: Examples) -> Guesses:
    """What is true, [N, ...]."""
    whole = examples.whole
    directions, paths = _classes(whole["key"], whole["image"])
    return Guesses(np.asarray(directions)[1:].T, np.asarray(whole["label"]), np.asarray(paths))


@jax.jit
def _classes(keys: jax.Array, images: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Without the frames, which are large."""
    found = _clips(keys, images)
    return found.directions, found.path


@dataclasses.dataclass(frozen=True)
class Shares:
    """Right ones, [...]."""

    frames: np.ndarray
    clips: np.ndarray  # digit and path
    digits: np.ndarray
    paths: np.ndarray


def shares(said: Guesses, true: Guesses) -> Shares:
    """How much of what was said of N clips is true; over their leading axes."""
    digits, paths = said.digits == true.digits, said.paths == true.paths
    frames = np.mean(said.directions == true.directions, axis=(-2, -1))
    return Shares(frames, np.mean(digits & paths, axis=-1), digits.mean(axis=-1), paths.mean(axis=-1))


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a network gave; parameters of the epoch that was best on the validation part."""

    cell: str
    fit: training.Fit  # its scores: what is wrong of the validation part, the mean of frames and clips
    said: Guesses  # of the test part


def measure(plan: Plan, config: Config, cell: str, session: training.Session) -> Outcome | None:
    """Trains all seeds of a network.

    Args:
      plan: what to run.
      config: of the experiment.
      cell: of the network.
      session: who is told, what ends it, where it is kept.

    Returns:
      The outcome; None where it was stopped.
    """
    trainer, true = plan.trainers[cell], truth(plan.validation)

    def wrong(params: Any) -> np.ndarray:
        right = shares(say(trainer.model, params, plan.validation), true)
        return 1 - (right.frames + right.clips) / 2

    state = parallel.begin(trainer, jax.random.split(jax.random.key(config.seed), config.seeds))
    fit = training.fit(trainer, loss, [plan.training], state, config.epochs, wrong, session=session)
    return None if fit is None else Outcome(cell, fit, say(trainer.model, fit.params, plan.test))
