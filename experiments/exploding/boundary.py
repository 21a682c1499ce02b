"""How the gradient changes a step back at initialisation, over the gain of the recurrent matrix; and what theory says.

    slope = d ln ||dL/ds_{T-k}|| / dk,      W_h = g W, act' <= 1:   slope <= ln(g sigma_max(W))   (Pascanu et al. 2013)

At rest, where no unit saturates, the slope is that of ||(g W)^k||_F: ln g for an orthogonal W. A linear network is
always there. A ReLU network of which half the units are on keeps half of the squared norm: ln(g / sqrt(2)), for random
W. What float32 cannot hold takes no part in a slope: a linear network that grows twofold a step is measured near the
end of its sequences alone.
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.exploding.config import ACTIVATIONS, MATRICES, Config, model
from rnn_jax import ReadoutModel, diagnostics, tasks, training

MEASURED_SEQUENCES = 64  # over which gradient norms are averaged


@dataclasses.dataclass(frozen=True)
class Boundary:
    """One kind of matrix with one activation, over gains and seeds."""

    matrix: str
    activation: str
    reach: np.ndarray  # ||dL/ds_{T-k}||, [gains, seeds, lags]
    slope: np.ndarray  # nats per step of lag, [gains, seeds]
    largest_singular_value: np.ndarray  # of g W, [gains, seeds]
    bound: np.ndarray  # which the slope cannot exceed, [gains, seeds]
    at_rest: np.ndarray  # slope of the network linearised at rest, [gains, seeds]

    def run_name(self, gain: float) -> str:
        """Of the seeds at one gain."""
        return f"initial/{self.matrix}/{self.activation}/gain {gain:g}"


def with_gains(state: training.TrainState, gains: list[float]) -> training.TrainState:
    """The same seeds at every gain, W_h <- g W_h: [seeds, ...] to [gains * seeds, ...]."""
    seeds = len(state.step)
    every = jax.tree.map(lambda leaf: jnp.concatenate([leaf] * len(gains)), state)
    scale = jnp.repeat(jnp.asarray(gains), seeds)[:, None, None]
    cell = every.params.cell
    return every._replace(params=every.params._replace(cell=cell._replace(w_h=scale * cell.w_h)))


def measure(config: Config, task: tasks.Task, gains: list[float], key: jax.Array) -> list[Boundary]:
    """Every kind of matrix with every activation, on one batch of the task."""
    key_seeds, key_batch = jax.random.split(key)
    batch = task.sample(key_batch, MEASURED_SEQUENCES)
    found = []
    for matrix in MATRICES:
        optimizer = training.SGD(config.learning_rate)
        trainer = training.Trainer(model(config, "tanh", matrix), config.batch_size, optimizer, None)
        unit = training.init(trainer, jax.random.split(key_seeds, config.seeds))
        params = with_gains(unit, gains).params
        for activation in ACTIVATIONS:
            norms = reach(model(config, activation), task, params, batch, gains)
            found.append(_boundary(config, matrix, activation, unit.params, gains, norms))
    return found


def reach(network: ReadoutModel, task: tasks.Task, params: Any, batch: tasks.Batch, gains: list[float]) -> np.ndarray:
    """||dL/ds_{T-k}|| of parameters [gains * seeds, ...]: [gains, seeds, lags]."""
    norms = np.asarray(diagnostics.gradient_reach(network, task, params, batch)["last_step"]["total"])
    return norms.reshape(len(gains), -1, norms.shape[-1])


def _boundary(
    config: Config, matrix: str, activation: str, unit: Any, gains: list[float], norms: np.ndarray
) -> Boundary:
    """Adds theory; g is a factor of every Jacobian at rest, so that ln g is added to the slope at gain 1."""
    logs = np.log(gains)[:, None]
    w_h = np.asarray(unit.cell.w_h, np.float64)
    largest = np.linalg.norm(w_h, ord=2, axis=(1, 2))
    cell = model(config, activation).cell
    each = [jax.tree.map(lambda leaf, s=s: leaf[s], unit.cell) for s in range(config.seeds)]
    rest = [diagnostics.fit_decay(diagnostics.linearised_reach(cell, p, norms.shape[-1])).slope for p in each]
    return Boundary(
        matrix=matrix,
        activation=activation,
        reach=norms,
        slope=np.array([[diagnostics.fit_decay(n).slope for n in of_gain] for of_gain in norms]),
        largest_singular_value=np.asarray(gains)[:, None] * largest,
        bound=logs + np.log(largest),
        at_rest=logs + np.asarray(rest),
    )


def critical_gain(gains: list[float], slopes: np.ndarray) -> float:
    """The gain at which slopes [gains] first pass from below zero to above, linear in ln g between; NaN: nowhere."""
    for i in range(len(gains) - 1):
        low, high = slopes[i], slopes[i + 1]
        if low < 0 <= high:
            return math.exp(np.interp(0, [low, high], np.log(gains[i : i + 2])))
    return math.nan
