"""A language model of a table's rows that detects anomalies: rows that it finds improbable."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import training
from rnn_jax.applications.application import Application
from rnn_jax.data import Examples
from rnn_jax.data.table_rows import RowTokens, read_rows
from rnn_jax.models import LanguageModel

BATCH = 64  # windows at a time


class TableRows(NamedTuple):
    """Rows of a file."""

    lines: list[int]
    rows: list[list[str]]


class RowAnomalies(NamedTuple):
    """Scores of a table's rows."""

    columns: np.ndarray  # [N, columns]: -log p of each cell given the cells and rows before it, in nats
    scores: np.ndarray  # [N]: their sum; NaN for the first rows, which are read and not scored
    alarms: np.ndarray  # booleans [N]: whether the score exceeds the threshold


@dataclasses.dataclass(frozen=True)
class RowDetector(Application):
    """Scores every row of a table by -log p of its cells, one after the other, given the rows before it.

    Args:
      model: language model of the ids, and of one more that begins a window.
      tokens: ids of cells.
      window: number of rows that are read in one sequence; the second half of them is scored.
      threshold: score above which a row is an alarm.
    """

    model: LanguageModel
    tokens: RowTokens
    window: int
    threshold: float = 0.0

    def read(self, path: Any) -> TableRows:
        lines, rows, _ = read_rows(path, self.tokens.categories, self.tokens.numbers)
        return TableRows(lines, rows)

    def predict(self, params: Any, inputs: Any, seed: int = 0) -> RowAnomalies:
        """Returns the scores of `TableRows`, or of a list of rows of cells."""
        rows = inputs.rows if isinstance(inputs, TableRows) else inputs
        if len(rows) < self.window:
            raise ValueError(f"a table must have at least {self.window} rows, got {len(rows)}")
        per_seed = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], params)
        columns = self.surprise(per_seed, self.tokens.encode(rows))[0]
        scores = columns.sum(axis=1)
        return RowAnomalies(columns, scores, scores > self.threshold)

    def surprise(self, params: Any, ids: np.ndarray) -> np.ndarray:
        """Returns -log p of ids [N, columns], [seeds, N, columns]; NaN for the rows of half a window."""
        half, last = self.window // 2, len(ids) - self.window
        starts = np.array(sorted({*range(0, last, self.window - half), last}))
        examples = self.examples(ids, starts)
        losses = training.predict(self, RowDetector.token_losses, params, examples, BATCH)  # [S, windows, T]
        losses = losses.reshape(*losses.shape[:2], self.window, ids.shape[1])
        result = np.full((len(losses), *ids.shape), np.nan)
        for index, start in enumerate(starts):
            result[:, start + half : start + self.window] = losses[:, index, half:]
        return result

    def examples(self, ids: np.ndarray, starts: np.ndarray) -> Examples:
        """Returns windows of rows as sequences of ids, each id the input of the next."""
        targets = ids[starts + np.arange(self.window)[:, None]].transpose(0, 2, 1).reshape(-1, len(starts))
        inputs = np.concatenate([np.full_like(targets[:1], sum(self.tokens.sizes)), targets[:-1]])
        return Examples({"inputs": jnp.asarray(inputs, jnp.int32), "targets": jnp.asarray(targets, jnp.int32)}, ())

    def token_losses(self, params: Any, batch: Examples) -> jax.Array:
        """Returns -log p of each id of a batch, [B, T]."""
        _, logits = self.model.apply(params, batch.steps["inputs"], key=None)
        log_p = jax.nn.log_softmax(logits)
        return -jnp.take_along_axis(log_p, batch.steps["targets"][..., None], axis=-1)[..., 0].T

    def lines(self, inputs: Any, answers: Any) -> Sequence[str]:
        columns = self.tokens.columns
        header = f"line\tscore\tabove {self.threshold:.3g}\tleast probable cell"
        scored = [
            f"{line}\t{score:.3f}\t{'alarm' if alarm else ''}\t{columns[worst]}={row[worst]}"
            for line, row, score, alarm, worst in zip(
                *inputs, answers.scores, answers.alarms, np.argmax(answers.columns, axis=1), strict=True
            )
            if not np.isnan(score)
        ]
        return [header, *scored]
