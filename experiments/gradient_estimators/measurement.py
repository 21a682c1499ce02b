"""Estimates compared with the exact gradient, learning curves at equal steps, and the cost of one gradient over T."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import flatten_util

from experiments.common import timing
from experiments.common.records import divergence_fields
from experiments.common.runner import init_state
from experiments.gradient_estimators.characters import Characters
from experiments.gradient_estimators.config import Config, Problem
from rnn_jax import tasks, training
from rnn_jax.gradients import ReadoutLoss, task_loss
from rnn_jax.seeds import fetch, over_seeds, place
from rnn_jax.tasks import Batch

MEASURED = 16  # sequences on which gradients are compared
FINAL_SHARE = 10  # the last tenth of the steps is the end of a training
TIMED_BATCH, ROUNDS, SECONDS = 8, 3, 1.0

Records = list[dict[str, Any]]


def measure(config: Config, problem: Problem, name: str, session: training.Session) -> tuple[Records, Any] | None:
    """Returns records and losses [seeds, steps] of a training; BPTT's job compares all estimators before and after."""
    keys = jax.random.split(jax.random.key(config.seed), config.seeds)
    state = init_state(problem.trainers["BPTT"], keys)  # the same networks for every estimator
    trainer, task, steps = problem.trainers[name], problem.task, config.steps
    records = _compare_all(config, problem, "before", state.params) if name == "BPTT" else []
    if isinstance(task, Characters) and name != "BPTT":
        if session.stop.is_set():
            return None
        losses = fetch(_train_on_streams(trainer, config, task, place(state)))
        history = training.StepMetrics(losses, losses, {}, False)  # the loss alone is known
        session.advance(steps)
    else:
        progress = training.train(trainer, task, state, steps, log_every=steps, session=session)
        if progress is None:
            return None
        history = progress.history
        if name == "BPTT":
            records += _compare_all(config, problem, "after", progress.training.params)
    shared = {"part": "learning", "task": problem.task_name, "cell": problem.cell_name, "estimator": name}
    ends = np.mean(history.loss[:, -max(1, steps // FINAL_SHARE) :], axis=1)
    for seed, loss in enumerate(np.where(np.isnan(ends), np.inf, ends)):
        fields = {"steps": steps, "baseline": task.baseline, "seed": seed, "final_loss": loss}
        records.append({**shared, **fields, **divergence_fields(history, seed)})
    return records, history.loss


def _compare_all(config: Config, problem: Problem, moment: str, params: Any) -> Records:
    """Returns one flat record for each estimator and seed of params [seeds, ...]."""
    key_measured, key_draws = jax.random.split(jax.random.key(config.seed + 1))
    arguments = problem.task, place(params), problem.task.sample(key_measured, MEASURED), key_draws

    def estimates(name: str) -> np.ndarray:
        return np.asarray(gradients(problem.trainers[name], config.draws if name == "UORO" else 1, *arguments))

    exact, records = estimates("BPTT")[:, 0], []
    for name in [*problem.trainers][1:]:
        quality = compare(estimates(name), exact)
        shared = {"part": "quality", "task": problem.task_name, "cell": problem.cell_name, "estimator": name}
        for seed in range(config.seeds):
            records.append({**shared, "moment": moment, "seed": seed, **{k: v[seed] for k, v in quality.items()}})
    return records


@functools.partial(jax.jit, static_argnames=("trainer", "draws"))
def gradients(trainer: Any, draws: int, task: tasks.Task, params: Any, batch: Batch, key: jax.Array) -> jax.Array:
    """Returns estimates [seeds, draws, P] of the cell's gradient at params [seeds, ...] on a batch."""

    def seed_gradients(params: Any, task: Any, batch: Batch, keys: jax.Array) -> jax.Array:
        loss = task_loss(trainer.model, task, batch)
        inputs = params, batch.inputs, batch
        return jax.lax.map(lambda key: flatten_util.ravel_pytree(estimate(trainer, loss, *inputs, key))[0], keys)

    return over_seeds(seed_gradients, params, task, batch, jax.random.split(key, draws))


def estimate(trainer: Any, loss: ReadoutLoss, params: Any, xs: Any, targets: Any, key: jax.Array) -> Any:
    """Returns an estimate of the cell's gradient on one segment."""
    carry = trainer.estimator.init(trainer.model.cell, params, xs, key=key)
    return trainer.estimator(trainer.model.cell, loss, params, carry, xs, targets).gradient.cell


def compare(estimates: np.ndarray, exact: np.ndarray) -> dict[str, np.ndarray]:
    """Compares estimates [seeds, draws, P] with gradients g [seeds, P].

    Returns [seeds]: mean cosine; bias ||mean - g|| / ||g||, less its part by chance; spread, rms deviation over ||g||.
    """
    draws, norm, mean = estimates.shape[1], np.linalg.norm(exact, axis=-1), np.mean(estimates, axis=1)
    cosines = np.einsum("sdp,sp->sd", estimates, exact) / (np.linalg.norm(estimates, axis=-1) * norm[:, None])
    variance = np.sum(np.var(estimates, axis=1, ddof=1), axis=-1) if draws > 1 else np.zeros_like(norm)
    # The mean of n unbiased draws has an expected squared error of variance / n.
    squared_bias = np.maximum(np.sum((mean - exact) ** 2, axis=-1) - variance / draws, 0)
    values = np.mean(cosines, axis=1), np.sqrt(squared_bias) / norm, np.sqrt(variance) / norm
    return dict(zip(("cosine", "bias", "spread"), values, strict=True))


@functools.partial(jax.jit, static_argnames=("trainer", "config"))
def _train_on_streams(trainer: training.Trainer, config: Config, task: Characters, state: Any) -> jax.Array:
    """Trains on streams that start at equal distances in the text; carries are passed on from segment to segment."""
    model, estimator, steps, segment = trainer.model, trainer.estimator, config.steps, config.segment
    distance = (len(task.codes) - segment * steps - 1) // max(1, config.batch_size - 1)
    starts, (clip, optimizer) = jnp.arange(config.batch_size) * distance, trainer.transformations

    def train_seed(state: training.TrainState, task: Characters) -> jax.Array:
        def batch_at(step: jax.Array) -> Batch:
            return jax.vmap(lambda start: task.window(start + step * segment, segment), out_axes=1)(starts)

        def body(before: Any, step: jax.Array) -> Any:
            (params, opt_state, carry), batch = before, batch_at(step)
            loss = task_loss(model, task, batch)
            value, grads, carry = estimator(model.cell, loss, params, carry, batch.inputs, batch)
            grads, _ = clip.update(grads, clip.init(params), params)
            updates, opt_state = optimizer.update(grads, opt_state, params)
            return (optax.apply_updates(params, updates), opt_state, carry), value

        carry = estimator.init(model.cell, state.params, batch_at(jnp.array(0)).inputs, key=state.key)
        return jax.lax.scan(body, (state.params, state.opt_state, carry), jnp.arange(steps))[1]

    return over_seeds(train_seed, state, task)


def measure_cost(config: Config, problem: Problem, steps: int) -> Records:
    """Returns the cost of one gradient by each estimator; they are timed in turn, while nothing else should run."""
    key, shape = jax.random.key(config.seed), (steps, TIMED_BATCH, problem.task.input_size)
    arguments = problem.trainers["BPTT"].model.init(key), jax.random.normal(key, shape), key
    programs = {name: cost_program(trainer, *arguments) for name, trainer in problem.trainers.items()}

    def call(name: str) -> timing.Call:
        return lambda: jax.block_until_ready(programs[name](*arguments))

    times = timing.compare({name: call(name) for name in programs}, ROUNDS, SECONDS)
    records = []
    for name, program in programs.items():
        shared = {"part": "cost", "cell": problem.cell_name, "estimator": name, "steps": steps}
        memory = program.memory_analysis().temp_size_in_bytes  # in addition to inputs and results
        records.append({**shared, **times[name], "temporary_bytes": memory})
    return records


def cost_program(trainer: training.Trainer, *arguments: Any) -> Any:
    """Returns the compiled gradient (params, xs, key) -> of the sum over steps of squared outputs."""

    def squares(readout: Any, hs: jax.Array, targets: Any) -> jax.Array:
        return jnp.sum(hs[..., 0] ** 2)

    return jax.jit(lambda params, xs, key: estimate(trainer, squares, params, xs, xs, key)).lower(*arguments).compile()
