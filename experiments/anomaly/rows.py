"""Labelled rows of a table, as of network traffic: a language model of their cells against simpler detectors."""

import dataclasses
import functools
import itertools
from collections import Counter
from typing import Any

import jax
import numpy as np

from experiments.anomaly.config import Config, check_false_alarms
from experiments.baselines import table_rows
from experiments.common import fitting, flags, networks, splits
from experiments.common.flags import UserError, user_errors
from experiments.common.run_folder import Report, RunFolder, Table
from experiments.common.runner import Job, run_jobs
from experiments.common.settings import Settings
from rnn_jax import models, plotting, report
from rnn_jax.applications import RowDetector
from rnn_jax.data import Embedding, Examples, RowTokens, read_rows, split_ends
from rnn_jax.models import LanguageModel

METRICS = {"auc": "AUC", "average_precision": "av. precision", "detected": "detected", "false_alarms": "false/1000"}
WINDOW = 16  # rows


@dataclasses.dataclass(frozen=True, eq=False)
class Data:
    """Rows in three splits by their order; training and validation without anomalies."""

    note: str
    tokens: RowTokens
    training: list[list[str]]
    validation: list[list[str]]
    test: list[list[str]]
    anomalous: np.ndarray  # booleans, of the test set
    false_alarms: float  # in 1,000 normal validation rows, which set the threshold

    def threshold(self, validation: np.ndarray) -> float:
        return float(np.quantile(validation, 1 - self.false_alarms / 1000))

    def measured(self, validation: np.ndarray, test: np.ndarray) -> dict[str, float]:
        """Returns the metrics of scores of the validation and the test set."""
        from sklearn.metrics import average_precision_score, roc_auc_score

        alarms = test > self.threshold(validation)
        return {
            "auc": float(roc_auc_score(self.anomalous, test)),
            "average_precision": float(average_precision_score(self.anomalous, test)),
            "detected": float(np.mean(alarms[self.anomalous])),
            "false_alarms": 1000 * float(np.mean(alarms[~self.anomalous])),
        }


def load(config: Config) -> Data:
    """Reads the rows of a config.

    Raises:
      UserError: if flags do not fit, or the file cannot be read or has too few rows or no anomalies.
    """
    flags.check(config)
    check_false_alarms(config)
    if config.data is None or not (config.categories or config.covariates):
        raise UserError("--label needs --data=FILE, and columns by --categories or --covariates")
    for name in ("target", "calendar", "delimiter", "decimal"):
        if getattr(config, name):
            raise UserError(f"--{name} is for series; with --label name columns by --categories and --covariates")
    with user_errors("--data"):
        _, rows, labels = read_rows(config.data, config.categories, config.covariates, config.label)
    with user_errors(f"--split={','.join(config.split)}, {config.data}"):
        ends = split_ends(len(rows), splits.shares(config.split), least=config.window or WINDOW)
    normal = config.normal or Counter(labels[: ends.training]).most_common(1)[0][0]
    clean = [label == normal for label in labels]
    before = list(itertools.compress(range(ends.validation), clean))
    training = [rows[i] for i in before if i < ends.training]
    validation = [rows[i] for i in before if i >= ends.training]
    anomalous = ~np.array(clean[ends.validation :])
    if min(len(training), len(validation)) < (config.window or WINDOW) or anomalous.all() or not anomalous.any():
        raise UserError(
            f"{config.data}: must hold normal rows ({config.label}={normal}; --normal) in each split and anomalies in "
            f"the test set, got {len(training)} of {ends.training} and {len(validation)} of {ends[1] - ends[0]} "
            f"normal, and {anomalous.sum()} anomalies in {len(anomalous)}"
        )
    tokens = RowTokens.of(config.categories, config.covariates, training)
    categories, numbers = (", ".join(names) or "none" for names in (tokens.categories, tokens.numbers))
    note = (
        f"{config.data} (UTF-8): categories {categories}, numbers {numbers}, normal is {config.label}={normal}; in the "
        f"order of rows {len(training):,} for training and {len(validation):,} for validation, without "
        f"{ends.validation - len(before):,} anomalies; {len(anomalous):,} for the test, {anomalous.sum():,} anomalies, "
        f"{tokens.unseen(rows[ends.validation :]):,} cells of unseen categories"
    )
    return Data(note, tokens, training, validation, rows[ends.validation :], anomalous, config.false_alarms)


def detector(config: Config, data: Data, name: str) -> RowDetector:
    """Returns a detector with the network called `name`.

    Raises:
      UserError: if it cannot be made or used.
    """
    window = config.window or WINDOW
    size = sum(data.tokens.sizes) + 1
    steps = window * len(data.tokens.sizes)
    cell = networks.make_stack(name, config.hidden_size, config.hidden_size, steps, config.layers)
    made = RowDetector(LanguageModel(Embedding(size, config.hidden_size), cell), data.tokens, window)
    example = made.examples(data.tokens.encode(data.training[:window]), np.zeros(1, int))
    networks.probe_loss(f"cell {name!r}", made.model, _loss, [example])
    return made


def baselines(data: Data, seed: int) -> list[fitting.Baseline[dict[str, np.ndarray]]]:
    """Returns the detectors without recurrence, tested."""
    training, *others = (data.tokens.encode(some) for some in (data.training, data.validation, data.test))
    forest = table_rows.isolation(data.tokens, data.training, [*data.validation, *data.test], seed)
    scores = {"isolation forest": np.split(forest, [len(data.validation)])}
    for name, score in (("frequencies", table_rows.frequencies), ("neighbours", table_rows.neighbours)):
        scores[name] = [score(training, ids, data.tokens.sizes) for ids in others]
    measured = {name: data.measured(*each) for name, each in scores.items()}
    return [
        fitting.Baseline(name, np.full(1, np.nan), {key: np.array([value]) for key, value in each.items()})
        for name, each in measured.items()
    ]


def _loss(model: LanguageModel, params: Any, batch: Examples, key: jax.Array) -> jax.Array:
    return model.loss(params, batch.steps["inputs"], batch.steps["targets"], key=key)[1]


def job(config: Config, data: Data, name: str, made: RowDetector) -> Job[fitting.Outcome[dict[str, np.ndarray]]]:
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

    def measure(params: Any) -> dict[str, np.ndarray]:
        pairs = zip(*scores(params), strict=True)
        each = [{**data.measured(*pair), "threshold": data.threshold(pair[0])} for pair in pairs]
        return {key: np.array([one[key] for one in each]) for key in each[0]}

    def records(outcome: fitting.Outcome[dict[str, np.ndarray]]) -> list[dict[str, Any]]:
        return fitting.fit_records(outcome, {"loss": outcome.validation}, outcome.test, source=config.data)

    def trained(outcome: fitting.Outcome[dict[str, np.ndarray]]) -> models.Trained | None:
        seed = fitting.best_seed(outcome)
        threshold = 0.0 if seed is None else float(outcome.test["threshold"][seed])
        return fitting.trained_best(outcome, dataclasses.replace(made, threshold=threshold))

    trainer = config.trainer(made.model, [bucket])
    made_job = fitting.fit_job(fitting.Network(name, trainer), config, _loss, [bucket], validate, measure, records)
    return dataclasses.replace(made_job, trained=trained)


def run(config: Config, workdir: str, settings: Settings) -> None:
    """Runs the experiment on labelled rows and writes config.json, results.json, arrays.npz, a figure and a page."""
    data = load(config)
    made = {name: detector(config, data, name) for name in config.cells}
    folder = RunFolder(config, workdir, settings)
    folder.print(data.note)
    known = baselines(data, config.seed)
    first = [record for each in known for record in fitting.fit_records(each, {}, each.test, source=config.data)]
    outcomes = run_jobs(folder, [job(config, data, name, each) for name, each in made.items()], first)
    folder.arrays(fitting.training_arrays(outcomes, "loss"))
    rows = [*known, *outcomes]
    columns = [report.Column("detector", lambda row: row.title, right=False)] + [
        report.Column(title, functools.partial(lambda key, row: f"{np.mean(row.test[key]):.3f}", key))
        for key, title in METRICS.items()
    ]
    caption = (
        f"{config.false_alarms:g} in 1,000 normal validation rows exceed the threshold; detected anomalies and false "
        "alarms in 1,000 normal test rows follow from it. Means over seeds.\n"
    )
    best = max(known, key=lambda row: row.test["auc"][0])
    margins = [f"{o.title} {np.mean(o.test['auc']) - best.test['auc'][0]:+.3f}" for o in outcomes]
    findings = [
        f"Best baseline on the test set: {best.title}, AUC {best.test['auc'][0]:.3f}; networks against it: "
        f"{'; '.join(margins)}.",
        *fitting.diverged(outcomes),
    ]
    figures = {"detectors.png": ("Every detector, with the range over seeds", functools.partial(_bars, rows))}
    folder.show(
        Report("Anomalous rows", findings, [Table(columns, {f"Rows of {config.data}": rows}, caption)], figures)
    )


def _bars(rows: list[Any]) -> bytes:
    figure = plotting.figure((8, 3.2))
    axes = figure.subplots(1, 2, sharey=True)
    for axis, key in zip(axes, ("auc", "average_precision"), strict=True):
        means = [float(np.mean(row.test[key])) for row in rows]
        ranges = [[m - np.min(r.test[key]), np.max(r.test[key]) - m] for m, r in zip(means, rows, strict=True)]
        axis.barh([row.title for row in rows], means, xerr=np.transpose(ranges), color="C0")
        axis.set(xlabel=METRICS[key], xlim=(0, 1))
    return plotting.png(figure)
