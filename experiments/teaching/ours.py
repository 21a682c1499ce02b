"""The programs in rnn_jax: a `Classifier` that reads the last step; gradient and Adam in one compiled function."""

import dataclasses
import functools
from typing import Any

import jax
import numpy as np

from experiments.teaching.program import Learner, Lesson, copied
from rnn_jax import training
from rnn_jax.models import Classifier
from rnn_jax.training.step import descend

NAME = "rnn_jax"


@dataclasses.dataclass(frozen=True)
class Ours:
    """rnn_jax; it has any cell."""

    name: str = NAME

    def refusal(self, lesson: Lesson) -> str | None:
        del lesson
        return None

    def begin(self, lesson: Lesson) -> Learner:
        model, state = lesson.trainer.model, copied(lesson.state)

        def step(xs: np.ndarray, classes: np.ndarray) -> float:
            nonlocal state
            state, loss = _step(lesson.trainer, state, xs, classes)
            return float(loss)

        return Learner(step, lambda xs: np.asarray(_logits(model, state.params, xs)))


@functools.partial(jax.jit, static_argnames="trainer", donate_argnames="state")
def _step(
    trainer: training.Trainer[Classifier], state: training.TrainState, xs: jax.Array, classes: jax.Array
) -> tuple[training.TrainState, jax.Array]:
    loss, grads = jax.value_and_grad(trainer.model.loss)(state.params, xs, classes)
    state, _ = descend(trainer, state, state.key, loss, grads)
    return state, loss


@functools.partial(jax.jit, static_argnames="model")
def _logits(model: Classifier, params: Any, xs: jax.Array) -> jax.Array:
    return model.apply(params, xs)
