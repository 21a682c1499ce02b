"""How near an estimate comes to the gradient: cosine, bias and spread, on fresh and on trained parameters."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import flatten_util

from experiments.common import parallel
from experiments.gradient_estimators.config import MEASURED, Config, Problem
from rnn_jax import BPTT, UORO, training
from rnn_jax.gradients import Estimator, task_loss
from rnn_jax.seeds import over_seeds, place
from rnn_jax.tasks import Batch


class Quality(NamedTuple):
    """Of the cell's gradient, beside the exact one g; [seeds]."""

    cosine: Any  # of an estimate and g, the mean over draws
    bias: Any  # ||mean - g|| / ||g||, less what chance alone would give
    spread: Any  # sqrt(E ||estimate - mean||^2) / ||g||; zero where nothing is drawn


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Of one problem."""

    before: dict[str, Quality]  # by estimator
    after: dict[str, Quality]  # at the parameters that BPTT has come to
    loss: np.ndarray  # of BPTT's training, [seeds, steps]


def begin(problem: Problem, config: Config) -> training.TrainState:
    """Fresh networks, the same for every estimator."""
    keys = jax.random.split(jax.random.key(config.seed), config.seeds)
    return parallel.begin(problem.trainer(config, BPTT()), keys)


def measure(problem: Problem, config: Config, session: training.Session) -> Outcome | None:
    """Compares all estimators, trains by BPTT, compares again."""
    key_measured, key_draws = jax.random.split(jax.random.key(config.seed + 1))
    trainer = problem.trainer(config, BPTT())
    state = begin(problem, config)
    batch = problem.task.sample(key_measured, MEASURED)

    def look(params: Any) -> dict[str, Quality]:
        args = problem.task, place(params), batch
        exact = np.asarray(gradients(problem.model, BPTT(), 1, *args, key_draws))[:, 0]
        found = {}
        for name, estimator in problem.estimators(config).items():
            if name != "BPTT":
                draws = config.draws if isinstance(estimator, UORO) else 1
                found[name] = compare(np.asarray(gradients(problem.model, estimator, draws, *args, key_draws)), exact)
        return found

    before = look(state.params)
    if session.stop.is_set():
        return None
    run_state, metrics = training.run(trainer, problem.task, training.start(trainer, problem.task, state), config.steps)
    session.advance(config.steps)
    return Outcome(before, look(run_state.training.params), np.asarray(metrics.loss))


@functools.partial(jax.jit, static_argnames=("model", "estimator", "draws"))
def gradients(
    model: Any, estimator: Estimator, draws: int, task: Any, params: Any, batch: Batch, key: jax.Array
) -> jax.Array:
    """An estimator's gradient of the cell at parameters [seeds, ...] on a batch, by several keys: [seeds, draws, P]."""

    def of_seed(params: Any, task: Any, batch: Batch, keys: jax.Array) -> jax.Array:
        loss = task_loss(model, task, batch)

        def of_key(key: jax.Array) -> jax.Array:
            carry = estimator.init(model.cell, params, batch.inputs, key=key)
            estimate = estimator(model.cell, loss, params, carry, batch.inputs, batch)
            return flatten_util.ravel_pytree(estimate.gradient.cell)[0]

        return jax.lax.map(of_key, keys)

    return over_seeds(of_seed, params, task, batch, jax.random.split(key, draws))


def compare(found: np.ndarray, exact: np.ndarray) -> Quality:
    """The quality of estimates [seeds, draws, P] beside gradients [seeds, P]."""
    draws = found.shape[1]
    norm = np.linalg.norm(exact, axis=-1)
    cosines = np.einsum("sdp,sp->sd", found, exact) / (np.linalg.norm(found, axis=-1) * norm[:, None])
    mean = np.mean(found, axis=1)
    variance = np.sum(np.var(found, axis=1, ddof=1), axis=-1) if draws > 1 else np.zeros_like(norm)
    # The mean of n draws is off by variance / n, squared and in the mean, though nothing be wrong.
    off = np.sum((mean - exact) ** 2, axis=-1) - variance / draws
    return Quality(np.mean(cosines, axis=1), np.sqrt(np.maximum(off, 0)) / norm, np.sqrt(variance) / norm)
