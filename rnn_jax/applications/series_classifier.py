"""A classifier of time series of several channels."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rnn_jax.applications.application import Application
from rnn_jax.applications.classified import Classified, classify
from rnn_jax.data import LabelledSeries, read_labelled_series
from rnn_jax.data.csv_series import read_channels
from rnn_jax.models import Classifier


@dataclasses.dataclass(frozen=True)
class SeriesClassifier(Application):
    """Returns the most probable class of each series, and its probability.

    Args:
      model: classifier of standardised values.
      classes: names of the classes.
      channels: names of the channels.
      mean: mean of each channel in the training set.
      deviation: standard deviation of each channel there.
      fill: longest gap, in steps, that is filled by interpolation.
      delimiter: semicolon, tab or comma of CSV files; None finds it.
      decimal: point or comma of CSV files; None finds it.
    """

    model: Classifier
    classes: tuple[str, ...]
    channels: tuple[str, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    fill: int = 0
    delimiter: str | None = None
    decimal: str | None = None

    def predict(self, params: Any, inputs: Any, seed: int = 0) -> list[Classified]:
        """Returns the classes of `LabelledSeries`, whose labels are not read, or of a list of arrays [T, channels]."""
        named = isinstance(inputs, LabelledSeries)
        series = inputs if named else LabelledSeries.of(inputs, [""] * len(inputs), self.channels)
        if series.channels != self.channels:
            expected, got = (", ".join(names) for names in (self.channels, series.channels))
            raise ValueError(f"{series.places[0]}: must have the channels {expected:.100}, got {got:.100}")
        values = [((one - np.array(self.mean)) / np.array(self.deviation)).astype(np.float32) for one in series.values]
        return classify(self, params, values, self.classes)

    def read(self, path: Any) -> LabelledSeries:
        """Returns the series of a `.ts` file or of a folder, or the one of a CSV file, as `read_labelled_series`.

        Classes in the file are not used; a CSV file has none.
        """
        layout = (self.fill, self.delimiter, self.decimal)
        if Path(path).suffix.lower() != ".csv":
            return read_labelled_series(path, *layout)
        channels, values, filled = read_channels(Path(path), *layout)
        return LabelledSeries.of([values], [""], channels, [str(path)], [filled])

    def lines(self, inputs: Any, answers: Any) -> Sequence[str]:
        return [f"{label}\t{p:.3f}\t{place}" for place, (label, p) in zip(inputs.places, answers, strict=True)]
