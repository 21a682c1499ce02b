"""Classifiers of sequences: networks by name, jobs, predictions, baselines, records, table and figures."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import figures, fitting, margins, networks
from experiments.common.fitting import Network
from experiments.common.flags import FitConfig, setting
from experiments.common.numbers import mean_sd, seeds_note
from experiments.common.run_folder import Table
from experiments.common.runner import Job, Status
from rnn_jax import Bidirectional, Cell, Dropout, plotting, report, significance, training
from rnn_jax.applications import Application
from rnn_jax.data import Encoder, Examples
from rnn_jax.models import Classifier, LastStep, MaxPool, MeanPool, Pooling
from rnn_jax.training.example_source import ExampleLoss

EVALUATED = 256  # sequences at a time
BIDIRECTIONAL = "bi_"  # prefix of a cell's name
POOLINGS: dict[str, Pooling] = {"last": LastStep(), "mean": MeanPool(), "max": MaxPool()}
POOLING_HELP = f"Pooling of the outputs over time: one of {', '.join(POOLINGS)}."


@dataclasses.dataclass(frozen=True)
class ClassifierConfig(FitConfig):
    """Flags of every experiment that classifies sequences."""

    split: tuple[str, ...] = setting(("80", "10", "10"), "Percents: training, validation, test.", checked=False)
    cells: tuple[str, ...] = setting(("rnn", "lstm", "bi_lstm"), f"{networks.CELLS_HELP} Prefix bi_: bidirectional.")
    hidden_size: int = setting(64, "Units in each direction.")


class Split(Protocol):
    """Sequences of a split as arrays in buckets."""

    @property
    def labels(self) -> np.ndarray:
        """Class of each sequence [N]."""

    @property
    def buckets(self) -> list[Examples]:
        """Examples; steps: inputs [T, n, ...]; whole: (lengths [n], labels [n])."""

    @property
    def order(self) -> np.ndarray:
        """Index of each sequence, bucket after bucket [N]."""


class Data(Protocol):
    """Labelled sequences of a run."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""

    @property
    def splits(self) -> Mapping[str, Split]:
        """Training, validation and test set."""

    @property
    def longest(self) -> int:
        """Steps of the longest sequence."""


class Predictions(NamedTuple):
    """Predicted classes of the test set."""

    labels: np.ndarray  # [N]
    predicted: np.ndarray  # [seeds, N]

    @property
    def accuracy(self) -> np.ndarray:
        """Share of correct predictions, [seeds]."""
        return np.mean(self.predicted == self.labels, axis=1)

    @property
    def scored(self) -> significance.Scored:
        """Accuracy, as the main score of a sequence."""
        return significance.means(self.predicted == self.labels)

    @property
    def macro_f1(self) -> np.ndarray:
        """Mean over the classes in the test set of F1 = 2 correct / (predicted + labelled), [seeds]."""
        from sklearn.metrics import f1_score

        options: dict[str, Any] = {"labels": np.unique(self.labels), "average": "macro", "zero_division": 0}
        return np.array([f1_score(self.labels, predicted, **options) for predicted in self.predicted])


Outcome = fitting.Outcome[Predictions]
Baseline = fitting.Baseline[Predictions]
Row = Outcome | Baseline


def make_networks(
    config: ClassifierConfig,
    data: Data,
    inputs: Encoder | int,
    loss: ExampleLoss,
    pooling: Pooling,
    dropout: float,
    input_dropout: float = 0.0,
    application: Callable[[Classifier], Application] | None = None,
) -> list[Network]:
    """Returns the networks of a config.

    Args:
      config: names and sizes of the cells.
      data: data.
      inputs: encoder of tokens, or the number of features of a step.
      loss: loss, which is traced once.
      pooling: pooling of the outputs over time.
      dropout: share of the pooled features dropped.
      input_dropout: share of the cell's inputs dropped.
      application: function of a model that returns what `--save_model` writes.

    Raises:
      UserError: if there is no such cell, or it cannot be trained.
    """
    encoder, features = (None, inputs) if isinstance(inputs, int) else (inputs, inputs.features)
    buckets, made = data.splits["training"].buckets, []
    for name in config.cells:
        bare = name.removeprefix(BIDIRECTIONAL)
        cell: Cell = networks.make_cell(bare, features, config.hidden_size, data.longest)
        if bare != name:
            cell = Bidirectional(cell)
        if input_dropout:
            cell = Dropout(cell, input_dropout)
        model = Classifier(cell, len(data.classes), encoder, pooling, dropout)
        networks.probe_loss(f"--cells: {name}", model, loss, buckets)
        applied = None if application is None else application(model)
        made.append(Network(name, config.trainer(model, buckets), application=applied))
    return made


def job(
    config: FitConfig,
    data: Data,
    network: Network,
    loss: ExampleLoss,
    records: Callable[[Outcome], list[dict[str, Any]]],
    status: Status,
) -> Job[Outcome]:
    """Returns the job that trains all seeds of a network, reports its validation accuracy, and tests it."""
    predict = functools.partial(predictions, network.trainer.model)
    validation, test = data.splits["validation"], data.splits["test"]

    def line(fit: training.Fit) -> str:
        last, best = 100 * (1 - fit.scores[:, -1].mean()), 100 * (1 - fit.scores.min(axis=1).mean())
        return f"epoch {fit.scores.shape[1]}: validation {last:.1f} %, best {best:.1f} %"

    def on_epoch(fit: training.Fit) -> None:
        status[network.name] = line(fit)

    fit_job = fitting.fit_job(
        network,
        config,
        loss,
        data.splits["training"].buckets,
        score=lambda params: 1 - Predictions(validation.labels, predict(params, validation)).accuracy,
        test=lambda params: Predictions(test.labels, predict(params, test)),
        records=records,
        on_epoch=on_epoch,
    )
    return dataclasses.replace(fit_job, summary=lambda outcome: f"{network.name}: {line(outcome.fit)}")


def predictions(model: Classifier, params: Any, split: Split) -> np.ndarray:
    """Returns the most probable class of each sequence, in the order of `split.labels` [seeds, N]."""
    by_bucket = [training.predict(model, _predict, params, examples, EVALUATED) for examples in split.buckets]
    return np.concatenate(by_bucket, axis=1)[:, np.argsort(split.order)]


def _predict(model: Classifier, params: Any, batch: Examples) -> jax.Array:
    return jnp.argmax(model.apply(params, batch.steps, batch.whole[0], key=None), axis=-1)


def best_baseline(title: str, candidates: Mapping[str, Any], inputs: Mapping[str, Any], data: Data) -> Baseline:
    """Fits estimators with `fit` and `predict`, and returns the one with the fewest errors on the validation set.

    Args:
      title: name in records, tables and figures.
      candidates: estimators by setting; the first of several that are equally good is chosen.
      inputs: what they read of each split, in the order of its labels.
      data: data.
    """
    labels = {part: split.labels for part, split in data.splits.items()}
    errors = {}
    for name, estimator in candidates.items():
        estimator.fit(inputs["training"], labels["training"])
        errors[name] = 1 - np.mean(estimator.predict(inputs["validation"]) == labels["validation"])
    best = min(errors, key=lambda name: errors[name])
    predicted = candidates[best].predict(inputs["test"])[None]
    return Baseline(title, np.array([errors[best]]), Predictions(labels["test"], predicted), {"settings": best})


def records(baselines: Sequence[Baseline], row: Row, **fields: Any) -> list[dict[str, Any]]:
    """Returns one flat record for each seed of a network, or the one of a baseline."""
    fields |= margins.fields(row, margins.reference(baselines))
    test = {"accuracy": row.test.accuracy, "macro_f1": row.test.macro_f1}
    return fitting.fit_records(row, {"accuracy": accuracy(row.validation)}, test, **fields)


def accuracy(errors: np.ndarray) -> np.ndarray:
    """Returns the accuracy of validation scores, which are shares of wrong predictions."""
    return 1 - errors


def _chosen(row: Row) -> str:
    return row.fields["settings"] if isinstance(row, fitting.Baseline) else ",".join(map(str, row.fit.best))


COLUMNS = [
    report.Column("classifier", lambda row: row.title, right=False),
    fitting.PARAMETERS,
    report.Column("best", _chosen),
    report.Column("validation", lambda row: mean_sd(100 * accuracy(row.validation), 1)),
    report.Column("test", lambda row: mean_sd(100 * row.test.accuracy, 1)),
    report.Column("macro-F1", lambda row: mean_sd(100 * row.test.macro_f1, 1)),
]


def table(
    data: Data, baselines: Sequence[Baseline], outcomes: Sequence[Outcome], source: str, nouns: str, note: str
) -> Table:
    """Returns the table of baselines and networks.

    Args:
      data: data.
      baselines: baselines.
      outcomes: networks.
      source: description of the data.
      nouns: name of the sequences.
      note: end of its caption.
    """
    rows: list[Row] = [*baselines, *outcomes]
    counts = ", ".join(f"{len(split.order):,} {name}" for name, split in data.splits.items())
    caption = (
        "Accuracy, and macro-F1 on the test set, in percent"
        f"{seeds_note(max(len(row.validation) for row in rows))}; best: epoch or setting that validation chose. "
        f"{margins.NOTE} {note}"
    )
    columns = [*COLUMNS, margins.column((rows, margins.reference(baselines)))]
    return Table(columns, {f"{source}: {len(data.classes)} classes; {counts} {nouns}": rows}, caption)


def finding(baselines: Sequence[Baseline], outcomes: Sequence[Outcome]) -> str:
    """Returns the network and the baseline that validation chooses, compared on the test set."""
    best, baseline = fitting.best_outcome(outcomes), margins.reference(baselines)
    return (
        f"Validation chooses {best.title}: {mean_sd(100 * best.test.accuracy, 1)} % of the test set, "
        f"{margins.words(best, baseline)} ({100 * baseline.test.accuracy[0]:.1f} %)."
    )


def accuracy_figures(baselines: Sequence[Baseline], outcomes: Sequence[Outcome], nouns: str) -> plotting.Drawings:
    """Returns caption and drawing of validation.png and test.png; `nouns` is the name of the sequences."""
    ylabel = "accuracy, validation set (%)"
    validation = functools.partial(
        figures.validation_figure, baselines, outcomes, ylabel, lambda errors: 100 * accuracy(errors)
    )
    return {
        "validation.png": ("Validation accuracy during training", validation),
        "test.png": ("Test accuracy of each seed", functools.partial(_test_figure, baselines, outcomes, nouns)),
    }


def _test_figure(baselines: Sequence[Baseline], outcomes: Sequence[Outcome], nouns: str) -> bytes:
    """Draws the test accuracy: a dot for each seed and a bar at their mean."""
    rows: list[Row] = [*outcomes, *baselines]
    figure = plotting.figure((8, 0.9 + 0.42 * len(rows)))
    axis = figure.subplots()
    for place, row in enumerate(rows):
        color, values = "black" if isinstance(row, fitting.Baseline) else "C0", 100 * row.test.accuracy
        axis.plot(values, np.full(len(values), place), "o", color=color, alpha=0.6)
        axis.plot([values.mean()] * 2, [place - 0.3, place + 0.3], color=color, lw=2)
    count = len(baselines[0].test.labels)
    axis.set(xlabel=f"accuracy, test set of {count:,} {nouns} (%); standard error at most {50 / np.sqrt(count):.1f}")
    axis.set_yticks(range(len(rows)), [row.title for row in rows])
    axis.invert_yaxis()
    axis.grid(alpha=0.3, axis="x")
    return plotting.png(figure)
