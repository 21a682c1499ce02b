"""Records, table, figures and findings."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.common import figures, fitting, margins, splits
from experiments.common.numbers import mean_sd, seeds_note
from experiments.common.run_folder import Report, Table
from experiments.question_answering.measurement import Baseline, Outcome
from experiments.question_answering.task_questions import TaskQuestions
from rnn_jax import plotting, report

PASSED = 0.95  # accuracy from which a task counts as passed, in Weston et al. 2015
SHOWN = 12  # sentences of a story in the figure at most


class Result(NamedTuple):
    """A task, and the baselines and trained networks that answered its questions."""

    task: TaskQuestions
    baselines: list[Baseline]
    outcomes: list[Outcome]

    @property
    def rows(self) -> list[Baseline | Outcome]:
        """Baselines, then networks."""
        return [*self.baselines, *self.outcomes]


def records(task: TaskQuestions, baselines: Sequence[Baseline], row: Baseline | Outcome) -> list[dict[str, Any]]:
    """Returns one flat record for each seed of a network, or the one of a baseline."""
    questions = {name: split.questions for name, split in task.corpus.splits.items()}
    fields: dict[str, Any] = {"task": task.name, "source": task.source}
    fields |= {"answers": len(task.corpus.answers), "vocabulary": len(task.corpus.words)}
    fields |= splits.sizes(questions, task.repeated, "questions", "repeated")
    fields |= margins.fields(row, margins.reference(baselines))
    if isinstance(row, fitting.Baseline):
        fields["run"] = f"{task.name}: {row.title}"
    test = {"accuracy": row.test.accuracy, **({} if row.test.weights is None else {"attended_facts": row.test.facts})}
    return fitting.fit_records(row, {"accuracy": 1 - row.validation}, test, **fields)


COLUMNS = [
    report.Column("answers by", lambda row: row.title, right=False),
    fitting.PARAMETERS,
    report.Column("epoch", lambda row: ",".join(map(str, row.fit.best)) if row.minutes else ""),
    report.Column("validation, %", lambda row: mean_sd(100 * (1 - row.validation), 1)),
    report.Column("test, %", lambda row: mean_sd(100 * row.test.accuracy, 1)),
    report.Column("facts, %", lambda row: "" if row.test.weights is None else mean_sd(100 * row.test.facts, 1)),
    fitting.MINUTES,
]


def summarize(results: Sequence[Result], sentences: int) -> Report:
    """Returns findings, table and figures."""
    sections, repeats = {}, []
    for result in results:
        task = result.task
        counts = ", ".join(f"{len(split.questions):,} {name}" for name, split in task.corpus.splits.items())
        sections[f"{task.name}, {task.source}: {len(task.corpus.answers)} answers; {counts} questions"] = result.rows
        repeats.append(f"{task.name} {sum(task.repeated.values()):,}")
    caption = (
        f"Questions answered correctly{seeds_note(len(results[0].outcomes[0].validation))}. epoch: the one that "
        "validation chose. facts: supporting facts of the test questions that have the largest attention weight at one "
        f"hop or more. min: minutes of training for each seed. {margins.NOTE} Items are stories. The last {sentences} "
        f"sentences of a story are read. Questions that a later split has again (kept): {', '.join(repeats)}."
    )
    margin = margins.column(*((result.rows, margins.reference(result.baselines)) for result in results))
    table = Table([*COLUMNS, margin], sections, caption)
    pngs = {"accuracy.png": ("Test accuracy of each task", functools.partial(_accuracy_figure, results))}
    if any(outcome.test.weights is not None for result in results for outcome in result.outcomes):
        attention = functools.partial(_attention_figure, results)
        pngs["attention.png"] = ("Attention weights and supporting facts", attention)
    return Report("Questions about stories", findings(results), [table], pngs)


def findings(results: Sequence[Result]) -> list[str]:
    """Returns the tasks that each model passes, what attention gains, and divergence."""
    tasks = _accuracies(results).items()
    counts = ", ".join(f"{title} {sum(share >= PASSED for share in shares)}" for title, shares in tasks)
    sentences = [f"Tasks passed (at least {100 * PASSED:.0f} %), of {len(results)}: {counts}."]
    pairs = {result.task.name: sorted(result.outcomes, key=lambda row: row.test.weights is None) for result in results}
    gains = "; ".join(f"{task} {margins.margin(*pair)}" for task, pair in pairs.items() if len(pair) == 2)
    sentences += [f"Points that attention gains, with 95 % intervals: {gains}."] * bool(gains)
    return sentences + fitting.diverged([outcome for result in results for outcome in result.outcomes])


def _accuracies(results: Sequence[Result]) -> dict[str, list[float]]:
    """Returns the test accuracy on each task, mean over seeds, by model."""
    models = zip(*(result.rows for result in results), strict=True)
    return {rows[0].title: [float(np.mean(row.test.accuracy)) for row in rows] for rows in models}


def _accuracy_figure(results: Sequence[Result]) -> bytes:
    """Draws the test accuracy of every model on each task, means over seeds."""
    figure = plotting.figure((3 + 1.4 * len(results), 4.2))
    axis = figure.subplots()
    bars = {title: [100 * share for share in shares] for title, shares in _accuracies(results).items()}
    figures.grouped_bars(axis, [result.task.name for result in results], bars, ["0.75", "0.5", "C0", "C1"])
    axis.axhline(100 * PASSED, color="0.35", ls=":", lw=1.2, label="passed")
    axis.set(ylabel="accuracy, test set (%)", ylim=(0, 101))
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=9)
    return plotting.png(figure)


def _attention_figure(results: Sequence[Result]) -> bytes:
    """Draws the attention weights of a test question of each task, with a dot beside every supporting fact.

    It is the first question with the most sentences up to SHOWN, chosen without regard to its answer.
    """
    rows = [(result.task, o.test, o.test.weights) for result in results for o in result.outcomes]
    attending = [(task, test, weights) for task, test, weights in rows if weights is not None]
    figure = plotting.figure((8.4, 3.4 * len(attending)))
    axes = figure.subplots(len(attending), squeeze=False)[:, 0]
    for axis, (task, test, by_question) in zip(axes, attending, strict=True):
        questions = task.corpus.splits["test"].questions
        lengths = np.array([len(question.story) for question in questions])
        place = int(np.argmax(np.where(lengths <= max(SHOWN, lengths.min()), lengths, 0)))
        question, weights = questions[place], by_question[place][:, : lengths[place]]
        image = axis.imshow(weights.T, cmap="Greys", vmin=0, vmax=1, aspect="auto")
        hops = len(weights)
        axis.plot([hops] * len(question.support), question.support, "o", color="C3")
        axis.set_xlim(-0.5, hops + 0.5)
        axis.set_xticks(range(hops + 1), [*(f"hop {hop + 1}" for hop in range(hops)), "fact"])
        axis.set_yticks(range(lengths[place]), question.story)
        answer = task.corpus.answers[test.predicted[place]]
        verdict = "right" if answer == question.answer else f"wrong, expected {question.answer}"
        axis.set_title(f"{task.name}: {question.question} {answer} ({verdict})", fontsize=10)
    figure.colorbar(image, ax=figure.axes, label="attention weight", shrink=0.4)
    return plotting.png(figure)
