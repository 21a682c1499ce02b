"""Training, the loss on the test set, and a piece drawn from a network."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.baselines.chords import Losses
from experiments.common import fitting, splits
from experiments.common.fitting import Network
from experiments.common.flags import FitConfig
from experiments.common.runner import Job
from rnn_jax import masking, training
from rnn_jax.applications.improviser import Improviser, improvise
from rnn_jax.data import Examples
from rnn_jax.data.piano_roll import KEYS
from rnn_jax.models import ReadoutModel
from rnn_jax.tasks.task import weighted_mean

EVALUATED = 16  # pieces at a time
PREFIX = 8  # steps of a real piece that a drawn piece starts with, at most
DRAWN = 64  # steps that a saved model continues a piece by

Outcome = fitting.Outcome[Losses]
Baseline = fitting.Baseline[Losses]


@dataclasses.dataclass(frozen=True, eq=False)
class Data:
    """Data of a run."""

    source: str
    pieces: dict[str, list[np.ndarray]]  # [T, 88] each, by split
    removed: dict[str, int]  # pieces removed because a later split repeats them, by split
    examples: dict[str, list[Examples]]  # by split; steps: roll [T, N, 88]; whole: lengths [N]
    order: np.ndarray  # index of each test piece, bucket after bucket

    @property
    def note(self) -> str:
        """First line of output: what was read."""
        sizes = ", ".join(f"{len(pieces):,} {name}" for name, pieces in self.pieces.items())
        steps = sum(len(piece) for pieces in self.pieces.values() for piece in pieces)
        return (
            f"{self.source}: piano rolls of {KEYS} keys; {sizes} pieces, {steps:,} steps. "
            f"{splits.removed_note(self.removed, 'pieces')}"
        )


def job(data: Data, config: FitConfig, network: Network, records: Callable[[Outcome], Any]) -> Job[Outcome]:
    """Returns the job that trains all seeds of a network and computes its loss on the test set."""
    evaluate, place = functools.partial(losses, network.trainer.model), np.argsort(data.order)
    return fitting.fit_job(
        dataclasses.replace(network, application=Improviser(network.trainer.model, DRAWN)),
        config,
        loss,
        data.examples["training"],
        score=lambda params: evaluate(params, data.examples["validation"]).nats_per_step,
        test=lambda params: Losses(*(each[..., place] for each in evaluate(params, data.examples["test"]))),
        records=records,
    )


def loss(model: ReadoutModel, params: Any, batch: Examples, key: jax.Array) -> jax.Array:
    """Returns the mean of -sum_k log p(x_{t+1, k} | x_1 .. x_t), in nats, over all steps t but each piece's last."""
    losses, weights = _losses(model, params, batch, key)
    return weighted_mean(losses, weights)


def losses(model: ReadoutModel, params: Any, buckets: Sequence[Examples]) -> Losses:
    """Returns the same loss of each piece, bucket after bucket."""
    sums = [training.predict(model, _sums, params, examples, EVALUATED) for examples in buckets]
    return Losses(np.concatenate(sums, axis=1), np.concatenate([np.asarray(each.whole) - 1 for each in buckets]))


def _sums(model: ReadoutModel, params: Any, batch: Examples) -> jax.Array:
    """Returns the loss summed over the steps of each piece [B]."""
    losses, weights = _losses(model, params, batch, None)
    return jnp.sum(jnp.where(weights, losses, 0), axis=0)


def _losses(model: ReadoutModel, params: Any, batch: Examples, key: jax.Array | None) -> tuple[jax.Array, jax.Array]:
    """Returns the loss of every step [T - 1, B], and which steps count."""
    rolls, lengths = batch.steps["roll"], jnp.maximum(batch.whole - 1, 0)
    _, logits = model.apply(params, rolls[:-1], lengths=lengths, key=key)
    losses = jnp.sum(optax.sigmoid_binary_cross_entropy(logits, rolls[1:]), axis=-1)
    return losses, masking.before_end(lengths, len(losses))


def prefix_length(piece: np.ndarray) -> int:
    """Returns the number of steps of a piece that the drawn piece starts with."""
    return min(PREFIX, len(piece) - 1)


def continued(config: FitConfig, outcome: Outcome, piece: np.ndarray) -> np.ndarray:
    """Returns the start of a piece, continued by the first seed of a network, uint8 [T, 88]."""
    params = jax.tree.map(lambda leaf: leaf[0], outcome.fit.params)
    key = jax.random.fold_in(jax.random.key(config.seed), config.seeds)
    steps = prefix_length(piece)
    prefix = jnp.asarray(piece[:steps], jnp.result_type(float))
    drawn = improvise(outcome.network.trainer.model, params, key, prefix, len(piece) - steps)
    return np.asarray(drawn).astype(np.uint8)
