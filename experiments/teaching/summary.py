"""Table, findings in words and a figure for each program."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.teaching.measurement import REFERENCE, differences
from experiments.teaching.programs import Setup
from rnn_jax import plotting, report

Record = Mapping[str, Any]

# The widest line first, so that those on it can be seen.
STYLES: dict[str, dict[str, Any]] = {
    "rnn_jax": {"color": "0.75", "lw": 5},
    "Keras": {"color": "C3", "lw": 1.6},
    "PyTorch": {"color": "C0", "lw": 1.6, "ls": (0, (4, 3))},
    "Keras, as written": {"color": "C3", "lw": 0.9, "alpha": 0.55},
    "PyTorch, as written": {"color": "C0", "lw": 0.9, "alpha": 0.55},
}


def _column(header: str, field: str, form: str, scale: float = 1) -> report.Column:
    """Returns a column of a field that some records lack; a step that is None was never reached."""

    def text(row: Record) -> str:
        return "" if field not in row else "never" if row[field] is None else format(scale * row[field], form)

    return report.Column(header, text)


COLUMNS = [
    report.Column("form", lambda row: row["form"].replace(", as written", "*"), right=False),
    _column("loss, nats", "loss/last_epoch", ".4f"),
    _column("diff, nats", "difference/absolute", ".1e"),
    _column("relative", "difference/relative", ".1e"),
    _column(">1e-6", "difference/first_step_above_1e-06", ","),
    _column(">1e-5", "difference/first_step_above_1e-05", ","),
    _column("train, %", "training/accuracy", ".1f", 100),
    _column("fresh, %", "fresh/accuracy", ".1f", 100),
    _column("ms/epoch", "seconds_per_epoch", ",.1f", 1000),
]
CAPTION = (
    "loss: mean of the last epoch. diff, relative: greatest difference of a batch's loss from rnn_jax's, and its ratio "
    "to that. >1e-6, >1e-5: first step with a larger ratio. train, fresh: accuracy on the training data and on new "
    "sequences; the classifier's labels are random, so chance is 50, standard error 1.6. ms/epoch: median; not a "
    "comparison of speed, as batches are read one by one. *: as a user of the library writes it; Keras's Adam adds "
    "epsilon, 1e-7, to an uncorrected v; PyTorch trains two biases in place of one, whose sum moves twice as fast."
)


def title(setup: Setup) -> str:
    """Returns the title of a program's section of the table."""
    program = setup.program
    length, size, features = program.xs.shape
    return (
        f"{program.title}: {size:,} sequences of {length} x {features}, {program.classes} classes, "
        f"{len(setup.batches)} epochs, {setup.steps:,} steps"
    )


def findings(records: Sequence[Record]) -> list[str]:
    """Returns how far the forms are from rnn_jax, what they generate, and which diverged."""
    greatest: dict[str, float] = {}
    texts: dict[str, list[str]] = {}
    for row in records:
        if row["form"] != REFERENCE:
            greatest[row["form"]] = max(row["difference/relative"], greatest.get(row["form"], 0.0))
        if "generated" in row:
            texts.setdefault(row["generated"], []).append(row["form"])
    sentences = {
        "Greatest relative difference of a loss from rnn_jax's": [f"{form} {v:.1e}" for form, v in greatest.items()],
        "Generated text": [f"{text!r} by {'; '.join(forms)}" for text, forms in texts.items()],
        "Diverged": [f"{r['run']}, {r['form']} at step {r['diverged_at']}" for r in records if r["diverged"]],
    }
    return [f"{subject}: {'; '.join(clauses)}." for subject, clauses in sentences.items() if clauses]


def loss_figure(setup: Setup, curves: Mapping[str, np.ndarray]) -> bytes:
    """Draws the loss of every step by form, and below the relative difference from rnn_jax; returns a PNG."""
    from matplotlib.ticker import MaxNLocator

    figure = plotting.figure((9, 7))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1.2, 1))
    steps = 1 + np.arange(setup.steps)
    for form, losses in curves.items():
        above.plot(steps, losses, label=form, **STYLES[form])
        if form != REFERENCE:
            _, relative = differences(losses, curves[REFERENCE])
            below.plot(steps, np.where(relative > 0, relative, np.nan), marker=".", ms=3, **STYLES[form] | {"ls": ""})
    per_epoch = setup.steps / len(setup.batches)
    axis = above.secondary_xaxis("top", functions=(lambda step: step / per_epoch, lambda epoch: epoch * per_epoch))
    axis.set(xlabel="epoch")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    above.set(ylabel="loss of the batch (nats)", ylim=(0, None), xlim=(0, setup.steps + 1))
    below.set(xlabel="optimization step", ylabel="relative difference from rnn_jax", yscale="log")
    for each in (above, below):
        each.grid(alpha=0.3)
    figure.legend(*above.get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    return plotting.png(figure)
