"""Records, table, figures and findings."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import figures, fitting, margins
from experiments.common.run_folder import Report, Table
from experiments.speech.measurement import QUESTIONS, Baseline, Outcome, Problem
from rnn_jax import plotting, report
from rnn_jax.data import LogMel

DRAWN = 3  # recordings of digits in a row
COLUMNS = [
    report.Column("model", lambda row: row.title, right=False),
    fitting.PARAMETERS,
    report.Column("labels wrong, %", lambda row: report.percent(row.test.label_error_rate)),
    report.Column("recordings, %", lambda row: report.percent(row.test.wrong)),
    fitting.MINUTES,
]
CAPTION = (
    "Test set, median (range) over seeds: labels (digits, speakers or classes) inserted, deleted or replaced, of the "
    "true ones; recordings with such an error. min: minutes of training for each seed. SVM: support vector machine on "
    "16 frames of each recording; digits in a row are cut at pauses."
)


def records(problem: Problem, row: Baseline | Outcome) -> list[dict[str, Any]]:
    """Returns one flat record for each seed of a network, or the one of a baseline."""
    sizes = {f"{name}/recordings": len(split.labels) for name, split in problem.splits.items()}
    if problem.question == "joined":
        sizes["training/without_path"] = problem.splits["training"].without_path
    test = {"label_error_rate": row.test.label_error_rate, "wrong": row.test.wrong}
    return fitting.fit_records(row, {"label_error_rate": row.validation}, test, question=problem.question, **sizes)


def summarize(
    source: str, problems: Sequence[Problem], baselines: Sequence[Baseline], outcomes: Sequence[Outcome]
) -> Report:
    """Returns findings, table and figures."""
    label, top = "labels wrong, validation set (%)", max(1.0, *(110 * float(np.max(o.validation)) for o in outcomes))
    errors = functools.partial(figures.validation_figure, [], outcomes, label, lambda e: 100 * e, ylim=(0, top))
    pngs = {"errors.png": ("Validation errors during training", errors)}
    sections: dict[str, list[Baseline | Outcome]] = {}
    confusions: dict[tuple[str, ...], dict[str, np.ndarray]] = {}
    for problem, baseline, outcome in zip(problems, baselines, outcomes, strict=True):
        title, test = QUESTIONS[problem.question], outcome.test
        sections[title] = [*sections.get(title, []), baseline, outcome]
        if problem.question == "joined":
            pngs["joined.png"] = ("Digits in a row", functools.partial(_joined_figure, problem, outcome))
        else:
            true, predicted = np.array(test.labels)[:, 0], np.array(test.predicted)[..., 0]
            panels = confusions.setdefault(problem.labels, {})
            panels[title] = figures.confusion(true, predicted, len(problem.labels)) + panels.get(title, 0)
    for (labels, panels), name in zip(confusions.items(), ("confusion.png", "speakers.png"), strict=False):
        png = functools.partial(figures.confusion_figure, panels, labels, ylabel="true label")
        pngs[name] = ("Which label is taken for which", png)
    short = [sentence for problem in problems if (sentence := too_short(problem))]
    findings = [*(_finding(title, rows) for title, rows in sections.items()), *fitting.diverged(outcomes), *short]
    beside = margins.column(*(([outcome], svm) for outcome, svm in zip(outcomes, baselines, strict=True)))
    table = Table([*COLUMNS, beside], sections, f"{source}. {CAPTION} {margins.NOTE} Items are recordings.")
    return Report("Spoken digits and sounds", findings, [table], pngs)


def _finding(title: str, rows: Sequence[Baseline | Outcome]) -> str:
    """Returns the networks beside their baselines; rows are a baseline and its network, one pair for each split."""
    svm, network = (100 - 100 * np.mean([np.median(row.test.wrong) for row in rows[i::2]]) for i in range(2))
    mean = f", mean of {len(rows) // 2}" if len(rows) > 2 else ""
    return f"{title}{mean}: the network labels {network:.1f} % of the recordings without error, the SVM {svm:.1f} %."


def too_short(problem: Problem) -> str | None:
    """Returns a sentence about training recordings that CTC cannot learn from; None if there are none."""
    split = problem.splits["training"]
    if problem.question != "joined" or not split.without_path:
        return None
    return (
        f"{split.without_path:,} of {len(split.labels):,} training recordings have fewer frames than their digits "
        "need: CTC has no path for them, and does not train on them."
    )


def _joined_figure(problem: Problem, outcome: Outcome) -> bytes:
    """Draws frames of a few joined recordings, and below them the probabilities by the network's first seed."""
    model, params = outcome.network.trainer.model, jax.tree.map(lambda leaf: leaf[0], outcome.fit.params)
    figure = plotting.figure((11, 3.1 * DRAWN))
    axes = figure.subplots(2 * DRAWN, 1).reshape(DRAWN, 2)
    examples = zip(axes, problem.splits["test"].frames, outcome.test.labels, outcome.test.predicted[0], strict=False)
    for (above, below), frames, *digits in examples:
        spoken, predicted = (" ".join(map(str, each)) for each in digits)
        seconds, end = LogMel.hop * np.arange(len(frames)), LogMel.hop * len(frames)
        above.imshow(frames.T, origin="lower", aspect="auto", cmap="magma", extent=(0, end, 0, frames.shape[1]))
        above.set(ylabel="mel band", title=f"spoken {spoken}; predicted {predicted}", xticks=[])
        logits = model.apply(params, jnp.asarray(frames[:, None]), jnp.array([len(frames)]), key=None)
        shares = np.asarray(jax.nn.softmax(logits[:, 0]))
        below.plot(seconds, shares[:, 0], color="0.7", lw=1, label="blank")
        for digit in np.flatnonzero(shares[:, 1:].max(axis=0) > 0.1):
            below.plot(seconds, shares[:, digit + 1], color=f"C{digit}", label=str(digit))
        below.set(xlim=(0, end), ylim=(0, 1.05), ylabel="probability", xlabel="time (s)")
        below.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return plotting.png(figure)
