"""Config, flags, and the rows and networks that follow from them."""

import dataclasses
import itertools
from collections import Counter
from typing import Any

import jax
import numpy as np

from experiments.common import detection, flags, networks, splits
from experiments.common.flags import FitConfig, UserError, setting, user_errors
from experiments.table_anomaly.connections import COLUMNS, generate_connections
from rnn_jax.applications import RowDetector
from rnn_jax.data import Embedding, Examples, RowTokens, read_rows, split_ends
from rnn_jax.models import LanguageModel

ROWS, SEED = 6000, 1  # of the generated connections
GENERATED: dict[str, Any] = {"label": "label", "categories": ("protocol", "service"), "numbers": ("duration", "bytes")}


@dataclasses.dataclass(frozen=True)
class Config(FitConfig):
    """Config of a run; every field is a flag."""

    data: str | None = setting(
        None,
        "File .csv (commas) or .tsv with a header, a row an event, such as network traffic or a log, the earliest "
        f"first; by default {ROWS:,} generated network connections.",
    )
    label: str | None = setting(None, "Column that labels each row of --data.")
    categories: tuple[str, ...] = setting((), "Comma list of the columns of categories.", checked=False)
    numbers: tuple[str, ...] = setting((), "Comma list of the columns of numbers.", checked=False)
    normal: str | None = setting(None, "Label of normal rows; by default the most frequent of the training set.")
    split: tuple[str, ...] = setting(
        ("50", "20", "30"), "Comma list of percents: training, validation and test set, in the file's order."
    )
    cells: tuple[str, ...] = setting(
        ("gru", "lstm"), f"Networks that read a row's cells one after the other. {networks.CELLS_HELP}"
    )
    hidden_size: int = setting(32, "Units of each layer.")
    layers: int = setting(1, "Number of layers.")
    window: int = setting(16, "Rows that a network reads in one sequence; the second half of them is scored.", least=2)
    false_alarms: float = setting(10.0, detection.FALSE_ALARMS_HELP.format("rows"))
    epochs: int = setting(15)
    learning_rate: float = setting(0.01)


QUICK = Config(cells=("gru",), hidden_size=16, epochs=5, seeds=2)


@dataclasses.dataclass(frozen=True, eq=False)
class Data:
    """Rows in three splits by their order; training and validation without anomalies."""

    source: str
    note: str
    tokens: RowTokens
    training: list[list[str]]
    validation: list[list[str]]
    test: list[list[str]]
    anomalous: np.ndarray  # booleans, of the test set


def plan(config: Config) -> tuple[Data, dict[str, RowDetector]]:
    """Returns the rows and the networks, by name, of a config.

    Raises:
      UserError: if a flag's value cannot be run, or the file cannot be read or has too few rows or no anomalies.
    """
    flags.check(config)
    detection.check_false_alarms(config.false_alarms)
    data = load(config)
    return data, {name: _detector(config, data, name) for name in config.cells}


def load(config: Config) -> Data:
    """Returns the rows of a config; errors as `plan`."""
    source, rows, labels = _read(config)
    if config.data is None:
        config = dataclasses.replace(config, **GENERATED)
    with user_errors(f"--split={','.join(config.split)}, {source}"):
        ends = split_ends(len(rows), splits.shares(config.split), least=config.window)
    normal = config.normal or Counter(labels[: ends.training]).most_common(1)[0][0]
    clean = [label == normal for label in labels]
    before = list(itertools.compress(range(ends.validation), clean))
    training = [rows[i] for i in before if i < ends.training]
    validation = [rows[i] for i in before if i >= ends.training]
    anomalous = ~np.array(clean[ends.validation :])
    if min(len(training), len(validation)) < config.window or anomalous.all() or not anomalous.any():
        raise UserError(
            f"{source}: must hold normal rows ({config.label}={normal}; --normal) in each split and anomalies in "
            f"the test set, got {len(training)} of {ends.training} and {len(validation)} of {ends[1] - ends[0]} "
            f"normal, and {anomalous.sum()} anomalies in {len(anomalous)}"
        )
    tokens = RowTokens.of(config.categories, config.numbers, training)
    categories, numbers = (", ".join(columns) or "none" for columns in (tokens.categories, tokens.numbers))
    note = (
        f"{source}: categories {categories}, numbers {numbers}, normal is {config.label}={normal}; in the "
        f"order of rows {len(training):,} for training and {len(validation):,} for validation, without "
        f"{ends.validation - len(before):,} anomalies; {len(anomalous):,} for the test, {anomalous.sum():,} anomalies, "
        f"{tokens.unseen(rows[ends.validation :]):,} cells of unseen categories"
    )
    return Data(config.data or source.lower(), note, tokens, training, validation, rows[ends.validation :], anomalous)


def _read(config: Config) -> tuple[str, list[list[str]], list[str]]:
    """Returns a description of the source, the cells of each row, categories first, and its label."""
    if config.data is None:
        for name in (*GENERATED, "normal"):
            if getattr(config, name):
                raise UserError(f"--{name} names what a file holds: give --data=FILE, too")
        columns = dict(zip(COLUMNS, zip(*generate_connections(ROWS, SEED), strict=True), strict=True))
        rows = [columns[name] for name in (*GENERATED["categories"], *GENERATED["numbers"])]
        return "Generated connections", list(map(list, zip(*rows, strict=True))), list(columns["label"])
    if config.label is None or not (config.categories or config.numbers):
        raise UserError("--data needs --label=COLUMN, and columns by --categories or --numbers")
    with user_errors("--data"):
        _, cells, labels = read_rows(config.data, config.categories, config.numbers, config.label)
    return f"{config.data} (UTF-8)", cells, labels


def loss(model: LanguageModel, params: Any, batch: Examples, key: jax.Array) -> jax.Array:
    """Returns the loss of a batch, for `training.fit`."""
    return model.loss(params, batch.steps["inputs"], batch.steps["targets"], key=key)[1]


def _detector(config: Config, data: Data, name: str) -> RowDetector:
    size = sum(data.tokens.sizes) + 1
    steps = config.window * len(data.tokens.sizes)
    cell = networks.make_stack(name, config.hidden_size, config.hidden_size, steps, config.layers)
    made = RowDetector(LanguageModel(Embedding(size, config.hidden_size), cell), data.tokens, config.window)
    example = made.examples(data.tokens.encode(data.training[: config.window]), np.zeros(1, int))
    networks.probe_loss(f"cell {name!r}", made.model, loss, [example])
    return made
