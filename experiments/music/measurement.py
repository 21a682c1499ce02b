"""The training, watched on the validation part; at its end the test part, on the parameters that were best there."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.common import parallel
from experiments.common.flags import UserError
from experiments.music.config import Config, Network, Plan
from rnn_jax import masking, training
from rnn_jax.data import Examples
from rnn_jax.models import ReadoutModel
from rnn_jax.tasks.task import weighted_mean

LOOKED_AT = 16  # pieces at a time


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a network gave."""

    network: Network
    fit: training.Fit
    test: np.ndarray  # nats per step, [seeds]


def measure(
    plan: Plan,
    config: Config,
    network: Network,
    session: training.Session,
) -> Outcome | None:
    """Trains all seeds of a network, and tests the parameters that were best on validation.

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
    trainer, examples = network.trainer, plan.examples
    keys = jax.random.split(jax.random.key(config.seed), config.seeds)
    state = parallel.begin(trainer, keys)

    def score(params: Any) -> np.ndarray:
        return nats_per_step(trainer.model, params, examples["validation"])

    fit = training.fit(trainer, loss, examples["training"], state, config.epochs, score, session=session)
    if fit is None:
        return None
    if fit.failed:
        raise UserError(f"{network.name}: a lower --learning_rate may help: {'; '.join(fit.diverged)}")
    return Outcome(network, fit, nats_per_step(trainer.model, fit.params, examples["test"]))


def loss(model: ReadoutModel, params: Any, batch: Examples, key: jax.Array) -> jax.Array:
    """The mean of -sum_k log p(x_{t+1, k} | x_1 .. x_t), in nats, over all steps t but each piece's last."""
    losses, weights = _losses(model, params, batch, key)
    return weighted_mean(losses, weights)


def nats_per_step(model: ReadoutModel, params: Any, parts: Sequence[Examples]) -> np.ndarray:
    """The same mean over a whole part, whatever its buckets: [seeds]."""
    sums = [training.predict(model, _sums, params, examples, LOOKED_AT).sum(axis=1) for examples in parts]
    return np.sum(sums, axis=0) / sum(int(jnp.sum(examples.whole - 1)) for examples in parts)


def _sums(model: ReadoutModel, params: Any, batch: Examples) -> jax.Array:
    """Of every piece, [B]."""
    losses, weights = _losses(model, params, batch, None)
    return jnp.sum(jnp.where(weights, losses, 0), axis=0)


def _losses(model: ReadoutModel, params: Any, batch: Examples, key: jax.Array | None) -> tuple[jax.Array, jax.Array]:
    """Of every step, [T - 1, B], and which of them count."""
    rolls, lengths = batch.steps, jnp.maximum(batch.whole - 1, 0)
    _, logits = model.apply(params, rolls[:-1], lengths=lengths, key=key)
    losses = jnp.sum(optax.sigmoid_binary_cross_entropy(logits, rolls[1:]), axis=-1)
    return losses, masking.before_end(lengths, len(losses))


@functools.partial(jax.jit, static_argnames=("model", "steps"))
def improvise(model: ReadoutModel, params: Any, key: jax.Array, beginning: jax.Array, steps: int) -> jax.Array:
    """A piece after a beginning [P, K]: each key is drawn on its own and read as the next step. [P + steps, K]."""
    state, logits = model.apply(params, beginning[:, None])

    def step(carry: tuple[Any, jax.Array], key: jax.Array) -> tuple[tuple[Any, jax.Array], jax.Array]:
        state, logits = carry
        x = jax.random.bernoulli(key, jax.nn.sigmoid(logits)).astype(beginning.dtype)
        state = model.cell.step(params.cell, state, model.cell.project(params.cell, x))
        return (state, model.read(params, model.cell.output(params.cell, state, x))), x[0]

    _, drawn = jax.lax.scan(step, (state, logits[-1]), jax.random.split(key, steps))
    return jnp.concatenate([beginning, drawn])
