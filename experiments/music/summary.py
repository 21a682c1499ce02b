"""Records, table, figures and findings."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.common import figures, fitting, margins, splits
from experiments.common.numbers import mean_sd, seeds_note
from experiments.common.run_folder import Report, Table
from experiments.music.measurement import Baseline, Data, Outcome, prefix_length
from rnn_jax import plotting, report
from rnn_jax.data.piano_roll import LOWEST_NOTE


def records(data: Data, baselines: Sequence[Baseline], row: Baseline | Outcome) -> list[dict[str, Any]]:
    """Returns one flat record for each seed of a network, or the one of a baseline."""
    fields: dict[str, Any] = splits.sizes(data.pieces, data.removed, "pieces")
    fields |= {f"{name}/steps": sum(len(piece) - 1 for piece in pieces) for name, pieces in data.pieces.items()}
    reference = margins.reference(baselines)
    fields |= margins.fields(row, reference, margins.NATS)
    if isinstance(row, fitting.Outcome):
        fields["baseline"] = float(reference.test.nats_per_step[0])
    rows = fitting.fit_records(
        row, {"nats_per_step": row.validation}, {"nats_per_step": row.test.nats_per_step}, **fields
    )
    if isinstance(row, fitting.Baseline):
        return rows
    return [{**record, "after/loss": record["test/nats_per_step"]} for record in rows]


COLUMNS = [
    report.Column("model", lambda row: row.title, right=False),
    fitting.PARAMETERS,
    report.Column("validation, nats", lambda row: mean_sd(row.validation, 3)),
    report.Column("test, nats", lambda row: mean_sd(row.test.nats_per_step, 3)),
]


def summarize(
    data: Data, baselines: Sequence[Baseline], outcomes: Sequence[Outcome], rolls: plotting.Drawing
) -> Report:
    """Returns findings, table and figures."""
    caption = (
        "Nats per step: binary cross-entropy, summed over 88 keys, mean over all steps of all pieces but each piece's "
        f"first{seeds_note(len(outcomes[0].validation))}. min: minutes of training for each seed. "
        f"{margins.NOTE} Items are pieces. {splits.removed_note(data.removed, 'pieces')}"
    )
    rows: list[Baseline | Outcome] = [*baselines, *outcomes]
    columns = [*COLUMNS, margins.column((rows, margins.reference(baselines)), metric=margins.NATS), fitting.MINUTES]
    title = f"{data.source}: {len(data.pieces['training'])} training pieces"
    table = Table(columns, {title: rows}, caption)
    scores = np.concatenate([row.validation for row in rows])
    finite = scores[np.isfinite(scores)]
    limits = float(finite.min()) - 0.2, float(finite.max()) + 0.3  # without the first epochs
    losses = functools.partial(
        figures.validation_figure, baselines, outcomes, "loss, validation set (nats/step)", ylim=limits
    )
    pngs: plotting.Drawings = {
        "loss.png": ("Validation loss during training", losses),
        "rolls.png": ("A real piece, and a drawn one with the same start", rolls),
    }
    return Report("The next chord", findings(baselines, outcomes), [table], pngs)


def findings(baselines: Sequence[Baseline], outcomes: Sequence[Outcome]) -> list[str]:
    """Returns the network and the baseline that validation chooses, compared on the test set."""
    best, baseline = fitting.best_outcome(outcomes), margins.reference(baselines)
    loss, reference = (float(np.mean(row.test.nats_per_step)) for row in (best, baseline))
    return [
        f"Validation chooses {best.title}: {loss:.3f} nats/step on the test set, "
        f"{margins.words(best, baseline, margins.NATS)} ({reference:.3f}).",
        *fitting.diverged(outcomes),
    ]


def rolls_figure(real: np.ndarray, drawn: np.ndarray, network: str) -> bytes:
    """Draws two piano rolls [T, 88], time from left to right, one above the other; returns a PNG.

    Args:
      real: piece of the test set.
      drawn: its start, continued by a network.
      network: title of the network.
    """
    figure, prefix = plotting.figure((10, 6)), prefix_length(real)
    axes = figure.subplots(2, 1, sharex=True, sharey=True)
    keys = np.flatnonzero(real.any(0) | drawn.any(0))
    low, high = (int(keys[0]), int(keys[-1])) if keys.size else (0, 87)
    octaves = [key for key in range(low, high + 1) if (key + LOWEST_NOTE) % 12 == 0]
    titles = ("piece of the test set", f"its first {prefix} steps, continued by {network}")
    for axis, roll, title in zip(axes, (real, drawn), titles, strict=True):
        extent = (0, len(roll), low - 0.5, high + 0.5)
        style: dict[str, Any] = {"cmap": "Greys", "interpolation": "nearest", "vmin": 0, "vmax": 1}
        axis.imshow(roll[:, low : high + 1].T, origin="lower", aspect="auto", extent=extent, **style)
        axis.axvline(prefix, color="C3", lw=1)
        axis.set_yticks(octaves, [f"C{(key + LOWEST_NOTE) // 12 - 1}" for key in octaves])
        axis.grid(axis="y", alpha=0.4)
        axis.set(ylabel="note", title=title)
    axes[-1].set(xlabel="step")
    return plotting.png(figure)
