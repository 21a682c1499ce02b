"""The gradient's change over one step back at initialisation, by gain of the recurrent matrix, measured and in theory.

    slope = d ln ||dL/ds_{T-k}|| / dk,      W_h = g W, act' <= 1:   slope <= ln(g sigma_max(W))   (Pascanu et al. 2013)

At rest, with no unit saturated, the slope is that of ||(g W)^k||_F: ln g for an orthogonal W. A linear network always
is. A ReLU network with half of its units on keeps half of the squared norm: ln(g / sqrt(2)), for random W. Norms that
float32 cannot hold are left out of a slope.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common.moments import MEASURED_SEQUENCES, split_seeds
from experiments.exploding.config import ACTIVATIONS, MATRICES, Plan, model
from rnn_jax import diagnostics, training


@dataclasses.dataclass(frozen=True)
class Boundary:
    """One kind of matrix with one activation, over gains and seeds."""

    matrix: str
    activation: str
    reach: np.ndarray  # ||dL/ds_{T-k}||, [gains, seeds, lags]
    slope: np.ndarray  # nats per step of lag, [gains, seeds]
    largest_singular_value: np.ndarray  # of g W, [gains, seeds]
    bound: np.ndarray  # upper bound of the slope, [gains, seeds]
    at_rest: np.ndarray  # slope of the network linearised at rest, [gains, seeds]

    def run_name(self, gain: float) -> str:
        return f"initial/{self.matrix}/{self.activation}/gain {gain:g}"


def critical_gain(gains: Sequence[float], slopes: np.ndarray) -> float:
    """Returns the gain at which slopes [gains] turn positive, linear in ln g between gains; NaN if at none."""
    for i in range(len(gains) - 1):
        if slopes[i] < 0 <= slopes[i + 1]:
            return math.exp(np.interp(0, slopes[i : i + 2], np.log(gains[i : i + 2])))
    return math.nan


def with_gains(state: training.TrainState, gains: list[float]) -> training.TrainState:
    """Returns the same seeds at every gain, W_h <- g W_h: [seeds, ...] becomes [gains * seeds, ...]."""
    seeds = len(state.step)
    repeated = jax.tree.map(lambda leaf: jnp.concatenate([leaf] * len(gains)), state)
    scale = jnp.repeat(jnp.asarray(gains), seeds)[:, None, None]
    cell = repeated.params.cell
    return repeated._replace(params=repeated.params._replace(cell=cell._replace(w_h=scale * cell.w_h)))


def measure(plan: Plan, key: jax.Array) -> list[Boundary]:
    """Returns every kind of matrix with every activation, on one batch of the task."""
    config, gains = plan.config, plan.gains
    key_seeds, key_batch = jax.random.split(key)
    batch = plan.task.sample(key_batch, MEASURED_SEQUENCES)
    boundaries = []
    for matrix in MATRICES:
        optimizer = training.SGD(config.learning_rate)
        trainer = training.Trainer(model(config, "tanh", matrix), config.batch_size, optimizer, None)
        unit = training.init(trainer, jax.random.split(key_seeds, config.seeds))
        params = with_gains(unit, gains).params
        for activation in ACTIVATIONS:
            reach = diagnostics.gradient_reach(model(config, activation), plan.task, params, batch)
            norms = np.asarray(reach["last_step"]["total"])
            norms = norms.reshape(len(gains), -1, norms.shape[-1])
            boundaries.append(_boundary(plan, matrix, activation, unit.params, norms))
    return boundaries


def _boundary(plan: Plan, matrix: str, activation: str, unit: Any, norms: np.ndarray) -> Boundary:
    """Adds theory; g is a factor of every Jacobian at rest, so ln g is added to the slope at gain 1."""
    logs = np.log(plan.gains)[:, None]
    largest = np.linalg.norm(np.asarray(unit.cell.w_h, np.float64), ord=2, axis=(1, 2))
    cell, lags = model(plan.config, activation).cell, norms.shape[-1]
    rest = [diagnostics.fit_decay(diagnostics.linearised_reach(cell, p, lags)).slope for p in split_seeds(unit.cell)]
    return Boundary(
        matrix=matrix,
        activation=activation,
        reach=norms,
        slope=np.array([[diagnostics.fit_decay(n).slope for n in seeds] for seeds in norms]),
        largest_singular_value=np.asarray(plan.gains)[:, None] * largest,
        bound=logs + np.log(largest),
        at_rest=logs + np.asarray(rest),
    )
