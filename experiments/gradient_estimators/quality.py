"""How near an estimate comes to the gradient: cosine, bias and spread, on fresh and on trained parameters."""

import dataclasses
import functools
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import flatten_util

from experiments import side_by_side
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


def measure(problem: Problem, config: Config, advance: Callable[[int], None], stop: threading.Event) -> Outcome | None:
    """Compares all estimators, trains by BPTT, compares again."""
    key_seeds, key_measured, key_draws = jax.random.split(jax.random.key(config.seed), 3)
    trainer = problem.trainer(config, BPTT())
    with side_by_side.ONE_QR:
        state = jax.block_until_ready(training.init(trainer, jax.random.split(key_seeds, config.seeds)))
    batch = problem.task.sample(key_measured, MEASURED)

    def look() -> dict[str, Quality]:
        found = {}
        for name, estimator in problem.estimators(config).items():
            if name != "BPTT":
                draws = config.draws if isinstance(estimator, UORO) else 1
                args = (problem.model, estimator, draws, problem.task, place(state.params), batch, key_draws)
                found[name] = jax.tree.map(np.asarray, compare(*args))
        return found

    before = look()
    if stop.is_set():
        return None
    state, metrics = training.run(trainer, problem.task, state, config.steps)
    advance(config.steps)
    return Outcome(before, look(), np.asarray(metrics.loss))


# Run a few times only: optimizing the program takes longer than running it.
@functools.partial(
    jax.jit,
    static_argnames=("model", "estimator", "draws"),
    compiler_options={"xla_backend_optimization_level": 0},
)
def compare(
    model: Any, estimator: Estimator, draws: int, task: Any, params: Any, batch: Batch, key: jax.Array
) -> Quality:
    """The quality of an estimator at parameters [seeds, ...] on a batch."""

    def of_seed(params: Any, task: Any, batch: Batch, keys: jax.Array) -> Quality:
        loss = task_loss(model, task, batch)

        def gradient(estimator: Estimator, key: jax.Array) -> jax.Array:
            carry = estimator.init(model.cell, params, batch.inputs, key=key)
            estimate = estimator(model.cell, loss, params, carry, batch.inputs, batch)
            return flatten_util.ravel_pytree(estimate.gradient.cell)[0]

        exact = gradient(BPTT(), keys[0])
        found = jax.lax.map(lambda key: gradient(estimator, key), keys)
        norm = jnp.linalg.norm(exact)
        cosines = found @ exact / (jnp.linalg.norm(found, axis=1) * norm)
        mean = jnp.mean(found, axis=0)
        variance = jnp.sum(jnp.var(found, axis=0)) * draws / max(1, draws - 1)
        # The mean of n draws is off by variance / n, squared and in the mean, though nothing be wrong.
        off = jnp.sum((mean - exact) ** 2) - variance / draws
        return Quality(jnp.mean(cosines), jnp.sqrt(jnp.maximum(off, 0)) / norm, jnp.sqrt(variance) / norm)

    return over_seeds(of_seed, params, task, batch, jax.random.split(key, draws))
