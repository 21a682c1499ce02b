"""Networks trained in epochs on a data set: validation chooses the epoch, the test set is read once, at the end.

Every experiment on a data set is made of these: `fit_job` for each network, `fit_records`, `baseline_record`.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import jax
import numpy as np

from experiments.common import run_files
from experiments.common.flags import FitConfig
from experiments.common.runner import Job, init_state
from rnn_jax import training
from rnn_jax.data import Examples

Test = TypeVar("Test")


@dataclasses.dataclass(frozen=True)
class Network:
    """A network to be trained, all seeds in one program."""

    name: str  # in records and folders
    trainer: training.Trainer[Any]
    label: str = ""  # in tables and figures; empty means `name`

    @property
    def title(self) -> str:
        return self.label or self.name


@dataclasses.dataclass(frozen=True)
class Outcome(Generic[Test]):
    """A trained network; its parameters are those of each seed's best epoch on the validation set."""

    network: Network
    fit: training.Fit
    test: Test  # measurements on the test set

    @property
    def validation(self) -> np.ndarray:
        """Best validation score of each seed [seeds], lower is better; NaN if none was finite."""
        scores = self.fit.scores
        return scores[np.arange(len(scores)), self.fit.best - 1]

    @property
    def minutes(self) -> float:
        """Minutes of training for each seed."""
        return self.fit.seconds / 60 / len(self.fit.scores)


def fit_job(
    network: Network,
    config: FitConfig,
    loss: Callable[..., jax.Array],
    buckets: Sequence[Examples],
    score: Callable[[Any], Any],
    test: Callable[[Any], Test],
    records: Callable[[Outcome[Test]], list[dict[str, Any]]],
    on_epoch: Callable[[training.Fit], None] | None = None,
    init: Callable[[], training.TrainState] | None = None,
) -> Job[Outcome[Test]]:
    """Returns the job that trains a network and then tests it.

    Seeds that diverge keep their last finite parameters; a network whose seeds all diverge is tested and reported like
    any other, with `diverged` in its records and a sentence of `diverged`.

    Args:
      network: network to train.
      config: epochs, batch size, seeds and seed.
      loss: loss of (model, params, batch, key), as for `training.fit`.
      buckets: training examples.
      score: function of params [seeds, ...] that returns validation scores [seeds], lower is better.
      test: function of the best params [seeds, ...] that measures on the test set.
      records: function of the outcome that returns its records.
      on_epoch: function called after every epoch with the fit so far.
      init: function that returns the initial state of all seeds; None means `init_state` with keys of `config.seed`.
    """

    def measure(session: training.Session) -> Outcome[Test] | None:
        keys = jax.random.split(jax.random.key(config.seed), config.seeds)
        state = init_state(network.trainer, keys) if init is None else init()
        fit = training.fit(
            network.trainer, loss, buckets, state, config.epochs, score, on_epoch=on_epoch, session=session
        )
        return None if fit is None else Outcome(network, fit, test(fit.params))

    steps = config.epochs * training.epoch_steps(buckets, network.trainer.batch_size)
    return Job(network.name, steps, measure, records)


def fit_records(
    outcome: Outcome[Any], metric: str, validation: np.ndarray, test: Mapping[str, np.ndarray], **fields: Any
) -> list[dict[str, Any]]:
    """Returns one flat record for each seed.

    Args:
      outcome: trained network.
      metric: name of the validation score as it is reported.
      validation: value of `metric` [seeds] on the validation set, at each seed's best epoch.
      test: measurements on the test set [seeds], by name.
      **fields: further fields, the same for all seeds.
    """
    network, fit = outcome.network, outcome.fit
    return [
        {
            "run": network.name,
            "seed": seed,
            "label": network.title,
            "definition": network.trainer.model,
            "optimizer": repr(network.trainer.optimizer),
            "clip": repr(network.trainer.clip),
            "parameters": network.trainer.parameters,
            "epochs": fit.scores.shape[1],
            "best_epoch": int(fit.best[seed]),
            f"validation/{metric}": float(validation[seed]),
            **{f"test/{name}": float(values[seed]) for name, values in test.items()},
            **fields,
            "seconds": fit.seconds / len(fit.scores),
            **run_files.divergence_fields(fit.history, seed),
        }
        for seed in range(len(fit.scores))
    ]


def baseline_record(name: str, **fields: Any) -> dict[str, Any]:
    """Returns the flat record of a baseline, which has no seeds."""
    return {"run": name, "seed": 0, **fields}


def training_arrays(
    outcomes: Sequence[Outcome[Any]], metric: str, curve: Callable[[np.ndarray], np.ndarray] = np.asarray
) -> dict[str, np.ndarray]:
    """Returns training curves [seeds, steps] and validation curves NAME/validation/METRIC [seeds, epochs].

    Args:
      outcomes: trained networks.
      metric: name of the validation curve.
      curve: function that turns scores into the metric, such as `lambda scores: 1 - scores` for accuracy.
    """
    arrays: dict[str, np.ndarray] = {}
    for outcome in outcomes:
        arrays |= run_files.training_arrays(outcome.network.name, outcome.fit.history)
        arrays[f"{outcome.network.name}/validation/{metric}"] = curve(outcome.fit.scores)
    return arrays


def best_outcome(outcomes: Sequence[Outcome[Test]]) -> Outcome[Test]:
    """Returns the outcome with the lowest mean validation score over seeds."""
    means = [float(np.mean(outcome.validation)) for outcome in outcomes]
    return outcomes[int(np.argmin(np.where(np.isnan(means), np.inf, means)))]


def diverged(outcomes: Sequence[Outcome[Any]]) -> list[str]:
    """Returns a sentence for each network with seeds that diverged."""
    return [f"{o.network.title}: {'; '.join(o.fit.diverged)}." for o in outcomes if o.fit.diverged]
