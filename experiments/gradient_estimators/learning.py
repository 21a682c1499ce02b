"""Learning curves at equal steps: the same optimizer, batches and steps, another estimator."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.gradient_estimators.config import Config, Problem
from experiments.gradient_estimators.quality import begin
from experiments.gradient_estimators.text import Characters
from rnn_jax import training
from rnn_jax.gradients import Estimator, task_loss
from rnn_jax.seeds import over_seeds, place


def measure(problem: Problem, estimator: Estimator, config: Config, session: training.Session) -> np.ndarray | None:
    """The loss at every step, [seeds, steps]; None where it was stopped."""
    if session.stop.is_set():
        return None
    trainer = problem.trainer(config, estimator)
    state = begin(problem, config)
    if isinstance(problem.task, Characters):
        loss = _stream(trainer, problem.task, config.segment, config.steps, place(state))
    else:
        start = training.start(trainer, problem.task, state)
        loss = training.run(trainer, problem.task, start, config.steps)[1].loss
    found = np.asarray(loss)
    session.advance(config.steps)
    return found


@functools.partial(jax.jit, static_argnames=("trainer", "segment", "steps"))
def _stream(
    trainer: training.Trainer, task: Characters, segment: int, steps: int, state: training.TrainState
) -> jax.Array:
    """Streams of characters from places spread over the text, a step after each segment; what is carried goes on.

    So an estimator that remembers sees further back than the segment, over parameters that have moved.
    """
    model, estimator = trainer.model, trainer.estimator
    clip, optimizer = trainer.transformations
    streams = trainer.batch_size
    starts = jnp.arange(streams) * ((len(task.codes) - segment * steps - 1) // max(1, streams - 1))

    def of_seed(state: training.TrainState, task: Characters) -> jax.Array:
        def at(step: jax.Array) -> Any:
            return jax.vmap(lambda start: task.piece(start + step * segment, segment), out_axes=1)(starts)

        def body(found: Any, step: jax.Array) -> Any:
            params, opt_state, carry = found
            batch = at(step)
            loss, grads, carry = estimator(
                model.cell, task_loss(model, task, batch), params, carry, batch.inputs, batch
            )
            grads, _ = clip.update(grads, clip.init(params), params)
            updates, opt_state = optimizer.update(grads, opt_state, params)
            return (optax.apply_updates(params, updates), opt_state, carry), loss

        carry = estimator.init(model.cell, state.params, at(jnp.array(0)).inputs, key=state.key)
        return jax.lax.scan(body, (state.params, state.opt_state, carry), jnp.arange(steps))[1]

    return over_seeds(of_seed, state, task)
