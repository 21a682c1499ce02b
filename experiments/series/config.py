"""Config, flags, and the data and networks that follow from them."""

import dataclasses
from typing import Any

import jax
import numpy as np

from experiments.common import flags
from experiments.common.classification import POOLING_HELP, POOLINGS, ClassifierConfig, make_networks
from experiments.common.fitting import Network
from experiments.common.flags import Need, given, setting, user_errors
from experiments.common.splits import MADE, SplitFiles, shares
from experiments.series.sets import Data, divide, prepare, with_validation
from rnn_jax.applications import SeriesClassifier
from rnn_jax.data import Examples, LabelledSeries, heartbeats, read_labelled_series
from rnn_jax.data.number_table import DECIMALS, DELIMITERS
from rnn_jax.models import Classifier

FORMS = (
    "A .ts file (UCR and UEA archives), a folder of folders CLASS with one CSV file a series, or a .csv with the "
    "columns file and label"
)


def _reads_csv(config: "Config") -> bool:
    paths = [*config.files.values(), *([config.data] if config.data else [])]
    return any(not path.lower().endswith(".ts") for path in paths)


CSV = Need(_reads_csv, "without CSV files from --data or --train")


@dataclasses.dataclass(frozen=True)
class Config(SplitFiles, ClassifierConfig):
    """Config of a run; every field is a flag."""

    data: str | None = setting(None, f"{FORMS}; by default generated heartbeats.")
    train: str | None = setting(
        None, "Training set in one of these forms; with --test, and --validation if there is one, in place of --data."
    )
    series: int = setting(2000, "Generated heartbeats.", least=100, needs=MADE)
    fill: int = setting(
        0,
        "Longest gap, in steps, that is filled by interpolation; a longer one is refused.",
        least=0,
        needs=given("data", "train"),
    )
    delimiter: str | None = setting(
        None,
        "What separates columns of CSV files: semicolon, tab or comma; by default found.",
        choices=tuple(DELIMITERS),
        needs=CSV,
    )
    decimal: str | None = setting(
        None, "Decimal sign of CSV files, point or comma; by default found.", choices=tuple(DECIMALS), needs=CSV
    )
    split: tuple[str, ...] = setting(
        ("70", "15", "15"),
        "Percents: training, validation, test; without --validation the first two divide the training file.",
        checked=False,
    )
    cells: tuple[str, ...] = setting(("rnn", "lstm", "gru", "bi_gru"))
    pooling: str = setting("mean", POOLING_HELP, choices=tuple(POOLINGS))
    dropout: float = setting(0.3, "Share of the pooled features dropped in training.", share=True)
    buckets: int = setting(
        1,
        "Lengths that series are padded to. Several save time if lengths differ much; a batch then holds series of "
        "like length, which may be of one class.",
    )
    bands: tuple[str, ...] = setting(
        ("0.05", "0.1", "1"),
        "Comma list of shares of a series by which dynamic time warping warps at most; the validation set chooses.",
    )
    neighbours: int = setting(
        1000, "Training series, drawn at random, that dynamic time warping compares with at most."
    )
    epochs: int = setting(30)
    batch_size: int = setting(16)
    learning_rate: float = setting(3e-3)


QUICK = Config(series=300, cells=("gru",), hidden_size=24, bands=("0.1",), epochs=8, learning_rate=0.01, seeds=1)


def loss(model: Classifier, params: Any, batch: Examples, key: jax.Array) -> jax.Array:
    """Returns the loss of a batch, for `training.fit`."""
    lengths, labels = batch.whole
    return model.loss(params, batch.steps, labels, lengths, key=key)


def plan(config: Config) -> tuple[Data, list[Network]]:
    """Returns the data and the networks of a config.

    Raises:
      UserError: if a flag's value cannot be run.
    """
    flags.check(config)
    flags.numbers(config, "bands")
    data = _load(config)
    shape = len(data.channels), loss, POOLINGS[config.pooling], config.dropout

    def application(model: Classifier) -> SeriesClassifier:
        mean, deviation = tuple(map(float, data.mean)), tuple(map(float, data.deviation))
        layout = (config.fill, config.delimiter, config.decimal)
        return SeriesClassifier(model, data.classes, data.channels, mean, deviation, *layout)

    return data, make_networks(config, data, *shape, application=application)


def _load(config: Config) -> Data:
    def read(path: str) -> LabelledSeries:
        return read_labelled_series(path, config.fill, config.delimiter, config.decimal)

    percents, given = shares(config.split), config.read_splits(read, drawn=("validation",))
    with user_errors(f"--split={','.join(config.split)}"):
        if given is not None:
            drawn = "" if "validation" in given else ", which gives the validation set, too"
            return prepare(
                f"{config.train}{drawn}; {config.test}",
                with_validation(given, percents, config.data_seed),
                config.buckets,
            )
    if config.data is None:
        source, everything = "Generated heartbeats", heartbeats(config.series, np.random.default_rng(config.data_seed))
    else:
        with user_errors("--data"):
            source, everything = config.data, read(config.data)
    with user_errors(f"--split={','.join(config.split)}, {source}"):
        return prepare(source, divide(everything, percents, config.data_seed), config.buckets)
