"""Networks trained in epochs on a data set: validation chooses the epoch, the test set is read once, at the end.

Experiments on a data set use `fit_job` for each network, `fit_records`, and a table whose rows are baselines and
outcomes.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import jax
import numpy as np

from experiments.common import records
from experiments.common.flags import FitConfig
from experiments.common.moments import split_seeds
from experiments.common.runner import Job, init_state
from rnn_jax import models, report, training
from rnn_jax.applications import Application
from rnn_jax.data import Examples

Test = TypeVar("Test")


@dataclasses.dataclass(frozen=True)
class Network:
    """A network to be trained, all seeds in one program."""

    name: str  # in records and folders
    trainer: training.Trainer[Any]
    label: str = ""  # in tables and figures; empty means `name`
    application: Application | None = None  # of its model, for `--save_model`

    @property
    def title(self) -> str:
        return self.label or self.name


@dataclasses.dataclass(frozen=True, eq=False)
class Outcome(Generic[Test]):
    """A trained network; its parameters are those of each seed's best epoch on the validation set."""

    network: Network
    fit: training.Fit
    test: Test  # measurements on the test set

    @property
    def title(self) -> str:
        return self.network.title

    @property
    def parameters(self) -> int:
        return self.network.trainer.parameters

    @property
    def validation(self) -> np.ndarray:
        """Best validation score of each seed [seeds], lower is better; NaN if none was finite."""
        scores = self.fit.scores
        return scores[np.arange(len(scores)), self.fit.best - 1]

    @property
    def minutes(self) -> float:
        """Minutes of training for each seed."""
        return self.fit.seconds / 60 / len(self.fit.scores)


@dataclasses.dataclass(frozen=True, eq=False)
class Baseline(Generic[Test]):
    """A model that networks are compared with; in a table it is a row like an `Outcome` with one seed.

    Args:
      title: name in records, tables and figures.
      validation: validation score [1], lower is better.
      test: measurements on the test set, in the form of the networks'.
      fields: further fields of its record, such as the setting that validation chose.
      parameters: number of trained parameters; None if it is not reported.
    """

    title: str
    validation: np.ndarray
    test: Test
    fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    parameters: int | None = None
    minutes: None = None


# Columns of a table whose rows are baselines and outcomes.
PARAMETERS = report.Column("params", lambda row: "" if row.parameters is None else f"{row.parameters:,}")
MINUTES = report.Column("min", lambda row: "" if row.minutes is None else f"{row.minutes:.1f}")


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
    any other, with `diverged` in its records and named by `diverged`.

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
    trained = None if network.application is None else functools.partial(trained_best, application=network.application)
    return Job(network.name, steps, measure, records, model=network.trainer.model, trained=trained)


def best_seed(outcome: Outcome[Any]) -> int | None:
    """Returns the seed with the lowest validation score; None if no score is finite."""
    scores = outcome.validation
    return int(np.nanargmin(scores)) if np.isfinite(scores).any() else None


def trained_best(outcome: Outcome[Any], application: Application) -> models.Trained | None:
    """Returns an application of a trained network with the parameters of its best seed; None if all diverged."""
    if (seed := best_seed(outcome)) is None:
        return None
    notes = {"seed": seed, "validation": float(outcome.validation[seed])}
    return models.Trained(application, split_seeds(outcome.fit.params)[seed], notes)


def fit_records(
    row: Outcome[Any] | Baseline[Any],
    validation: Mapping[str, np.ndarray],
    test: Mapping[str, np.ndarray],
    **fields: Any,
) -> list[dict[str, Any]]:
    """Returns one flat record for each seed of a network, or the one of a baseline.

    Args:
      row: trained network, or baseline.
      validation: measurements on the validation set at each seed's best epoch [seeds], by name.
      test: measurements on the test set [seeds], by name.
      **fields: further fields, the same for all seeds.
    """
    measured = {f"validation/{name}": values for name, values in validation.items()}
    measured |= {f"test/{name}": values for name, values in test.items()}
    return [
        {
            "run": row.title if isinstance(row, Baseline) else row.network.name,
            "seed": seed,
            **(row.fields if isinstance(row, Baseline) else _network_fields(row, seed)),
            **{name: float(values[seed]) for name, values in measured.items()},
            **fields,
        }
        for seed in range(len(row.validation))
    ]


def _network_fields(outcome: Outcome[Any], seed: int) -> dict[str, Any]:
    network, fit = outcome.network, outcome.fit
    return {
        "label": network.title,
        "definition": network.trainer.model,
        "optimizer": repr(network.trainer.optimizer),
        "clip": repr(network.trainer.clip),
        "parameters": network.trainer.parameters,
        "epochs": fit.scores.shape[1],
        "best_epoch": int(fit.best[seed]),
        "seconds": fit.seconds / len(fit.scores),
        **records.divergence_fields(fit.history, seed),
    }


def baseline_record(name: str, **fields: Any) -> dict[str, Any]:
    """Returns the flat record of a baseline that has no validation score."""
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
        arrays |= records.training_arrays(outcome.network.name, outcome.fit.history)
        arrays[f"{outcome.network.name}/validation/{metric}"] = curve(outcome.fit.scores)
    return arrays


def best_outcome(outcomes: Sequence[Outcome[Test]]) -> Outcome[Test]:
    """Returns the outcome with the lowest mean validation score over seeds."""
    means = [float(np.mean(outcome.validation)) for outcome in outcomes]
    return outcomes[int(np.argmin(np.where(np.isnan(means), np.inf, means)))]


def diverged(outcomes: Sequence[Outcome[Any]]) -> list[str]:
    """Returns one sentence about all networks with seeds that diverged; none if there is no such network."""
    sentences = [f"{o.title}: {'; '.join(o.fit.diverged)}" for o in outcomes if o.fit.diverged]
    return [f"A lower --learning_rate may help: {'. '.join(sentences)}."] if sentences else []
