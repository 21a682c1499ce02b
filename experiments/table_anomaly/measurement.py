"""A language model of a table's cells against simpler detectors: training, scores, records."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from experiments.baselines import table_rows
from experiments.common import detection, fitting
from experiments.common.runner import Job
from experiments.table_anomaly.config import Config, Data, loss
from rnn_jax import models
from rnn_jax.applications import RowDetector
from rnn_jax.significance import Difference, Scored


class Test(NamedTuple):
    """Measurements on the test set."""

    metrics: dict[str, np.ndarray]  # [seeds] each
    auc: Scored


Row = fitting.Baseline[Test] | fitting.Outcome[Test]


def measured(config: Config, data: Data, pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> Test:
    """Returns the metrics of scores of the validation and the test set, a pair for each seed."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    seeds = []
    for validation, test in (pairs := list(pairs)):
        threshold = detection.find_threshold(validation, config.false_alarms)
        alarms = test > threshold
        seeds.append(
            {
                "auc": roc_auc_score(data.anomalous, test),
                "average_precision": average_precision_score(data.anomalous, test),
                "detected": np.mean(alarms[data.anomalous]),
                "false_alarms": 1000 * np.mean(alarms[~data.anomalous]),
                "threshold": threshold,
            }
        )
    metrics = {name: np.array([seed[name] for seed in seeds], float) for name in seeds[0]}
    blocks = np.arange(len(data.test)) // detection.block_length(len(data.test), config.window)
    return Test(metrics, detection.auc(np.array([test for _, test in pairs]), data.anomalous, blocks))


def best(baselines: list[fitting.Baseline[Test]]) -> fitting.Baseline[Test]:
    """Returns the baseline with the highest AUC on the test set, as the validation set has no anomalies."""
    return max(baselines, key=lambda row: float(row.test.metrics["auc"][0]))


def margin(row: Row, reference: Row) -> Difference:
    """Returns the AUC of a detector less that of another."""
    return detection.margin(row.test.auc, reference.test.auc)


def records(data: Data, reference: fitting.Baseline[Test], row: Row) -> list[dict[str, Any]]:
    """Returns the records of a detector; of a network with its margin over the reference."""
    fields: dict[str, Any] = {"source": data.source}
    if isinstance(row, fitting.Outcome):
        fields |= {"reference": reference.title, **detection.margin_fields("auc", margin(row, reference))}
    validation = {"loss": row.validation} if isinstance(row, fitting.Outcome) else {}
    return fitting.fit_records(row, validation, row.test.metrics, **fields)


def baselines(config: Config, data: Data) -> list[fitting.Baseline[Test]]:
    """Returns the detectors without recurrence, tested."""
    training, validation, test = (data.tokens.encode(some) for some in (data.training, data.validation, data.test))
    forest = table_rows.isolation(data.tokens, data.training, [*data.validation, *data.test], config.seed)
    scores = {"isolation forest": (forest[: len(validation)], forest[len(validation) :])}
    for name, score in (("frequencies", table_rows.frequencies), ("neighbours", table_rows.neighbours)):
        scores[name] = (score(training, validation, data.tokens.sizes), score(training, test, data.tokens.sizes))
    return [fitting.Baseline(name, np.full(1, np.nan), measured(config, data, [pair])) for name, pair in scores.items()]


def job(
    config: Config, data: Data, name: str, made: RowDetector, records: Callable[[Row], list[dict[str, Any]]]
) -> Job[fitting.Outcome[Test]]:
    """Returns the training and test of a network."""
    training, validation, test = (data.tokens.encode(some) for some in (data.training, data.validation, data.test))
    last = len(training) - made.window
    bucket = made.examples(training, np.arange(last % (step := max(1, made.window // 4)), last + 1, step))

    def scores(params: Any) -> tuple[np.ndarray, np.ndarray]:
        """Returns the scores of the validation and test set, [seeds, N]; the rows before each are its context."""
        before = (training, validation)
        read = [np.concatenate([a[-made.window :], b]) for a, b in zip(before, (validation, test), strict=True)]
        return tuple(made.surprise(params, ids)[:, made.window :].sum(axis=-1) for ids in read)

    def validate(params: Any) -> np.ndarray:
        return scores(params)[0].mean(axis=1)

    def measure(params: Any) -> Test:
        return measured(config, data, zip(*scores(params), strict=True))

    def trained(outcome: fitting.Outcome[Test]) -> models.Trained | None:
        seed = fitting.best_seed(outcome)
        threshold = 0.0 if seed is None else float(outcome.test.metrics["threshold"][seed])
        return fitting.trained_best(outcome, dataclasses.replace(made, threshold=threshold))

    trainer = config.trainer(made.model, [bucket])
    made_job = fitting.fit_job(fitting.Network(name, trainer), config, loss, [bucket], validate, measure, records)
    return dataclasses.replace(made_job, trained=trained)
