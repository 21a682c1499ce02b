"""Measurements of a network on a task at one moment, all seeds: gradient reach, test metrics, saturation."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from rnn_jax import ReadoutModel, diagnostics, tasks, training
from rnn_jax.seeds import fetch

MEASURED_SEQUENCES = 64  # over which gradient norms and saturation are averaged
TEST_BATCH = 256


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Moment:
    """Measurements of all seeds at one moment, such as before or after training."""

    reach: dict[str, dict[str, np.ndarray]]  # loss -> component -> [seeds, lags]; `diagnostics.gradient_reach`
    metrics: dict[str, np.ndarray]  # on the test set, [seeds]
    saturation: dict[str, diagnostics.Saturation]  # nonlinearity -> shares [seeds]; `diagnostics.saturation`
    not_finite: dict[str, np.ndarray]  # parameter -> number of NaN and infinities, [seeds]

    @property
    def total(self) -> np.ndarray:
        """||dL/ds_{T-k}|| [seeds, lags] for the loss at the last step."""
        return self.reach["last_step"]["total"]

    @property
    def relative(self) -> np.ndarray:
        """||dL/ds_{T-k}|| / ||dL/ds_T|| [seeds, lags] for the loss at the last step; zero for a dead network."""
        norms = self.total.astype(np.float64)
        return norms / np.where(norms[:, :1] > 0, norms[:, :1], 1)


def measure_moment(
    model: ReadoutModel, task: tasks.Task, params: Any, batch: tasks.Batch, key_test: jax.Array
) -> Moment:
    """Measures all seeds.

    Args:
      model: cell and readout.
      task: task that gives the test set.
      params: parameters [seeds, ...].
      batch: sequences on which reach and saturation are measured.
      key_test: key of the test set.
    """
    reach = diagnostics.gradient_reach(model, task, params, batch)
    metrics = training.evaluate(model, task, params, key_test, TEST_BATCH)
    seeds = split_seeds(params)
    inputs_not_finite = diagnostics.not_finite({"inputs": batch.inputs})
    lags = diagnostics.common_lags(batch)
    return Moment(
        reach=jax.tree.map(lambda norms: norms[:, :lags], fetch(reach)),
        metrics=metrics,
        saturation=stack_seeds([diagnostics.saturation(model.cell, p.cell, batch.inputs) for p in seeds]),
        not_finite=stack_seeds([diagnostics.not_finite(p) | inputs_not_finite for p in seeds]),
    )


def measure_memory(
    model: ReadoutModel, task: tasks.Task, params: Any, key: jax.Array, sequences: int = 16
) -> dict[str, np.ndarray]:
    """Measures how long the state and its gradient last, all seeds, over the longest of 16 times as many sequences.

    Args:
      model: cell and readout.
      task: task of which the sequences are drawn.
      params: parameters [seeds, ...].
      key: key of the sequences.
      sequences: number of sequences.

    Returns:
      By name, [seeds]: `kept`, the norm of the gradient of the last step's loss at the longest lag that all sequences
      have, as a share of that at the shortest; `exponent`, the largest Lyapunov exponent in nats a step.
    """
    drawn = task.sample(key, 16 * sequences)
    last = np.max(np.where(drawn.weights > 0, np.arange(len(drawn.weights))[:, None], -1), axis=0)
    batch = jax.tree.map(lambda leaf: leaf[:, np.argsort(-last, stable=True)[:sequences]], drawn)
    lags = min(diagnostics.common_lags(batch), task.dependency + 1)
    norms = fetch(diagnostics.gradient_reach(model, task, params, batch)["last_step"]["total"])[:, :lags]
    warmup = len(drawn.weights) // 10
    exponents = [
        np.mean(diagnostics.largest_lyapunov_exponent(model.cell, each.cell, batch.inputs, warmup))
        for each in split_seeds(params)
    ]
    return {
        "kept": np.array([diagnostics.fit_decay(each).kept_share for each in norms]),
        "exponent": np.array(exponents, float),
    }


def split_seeds(params: Any) -> list[Any]:
    """Returns one pytree of NumPy arrays for each seed of params [seeds, ...]."""
    fetched = fetch(params)
    return [jax.tree.map(lambda leaf, s=s: leaf[s], fetched) for s in range(len(jax.tree.leaves(fetched)[0]))]


def stack_seeds(seeds: Sequence[Any]) -> Any:
    """Returns one pytree of arrays [seeds, ...] for a list of pytrees."""
    return jax.tree.map(lambda *values: np.stack(values), *seeds)
