"""Record, arrays, table, sentences and figure of a run."""

import math
import operator
from typing import Any

import numpy as np

from experiments.char_lm.config import Config, Plan
from experiments.char_lm.measurement import NGRAM, Evaluations, Outcome
from experiments.common import margins, records
from experiments.common.figures import second_axis, windows
from experiments.common.run_folder import Table
from rnn_jax import plotting, report

WINDOWS = 200  # of the training loss, whose means are drawn
UNITS = {"nats": 1.0, "bits": math.log(2)}  # in nats
Losses = dict[str, dict[str, float]]  # nats per character by model and split


def record(
    plan: Plan, config: Config, baselines: Losses, evaluations: Evaluations, outcome: Outcome | None = None
) -> dict[str, Any]:
    """Returns the flat record of a run, so far or (with its outcome) complete; losses are means over characters."""
    best, corpus = evaluations.best_index, plan.corpus
    nats = {f"{name}/{split}": loss for name, losses in baselines.items() for split, loss in losses.items()}
    nats["validation"] = evaluations.validation[best]
    fields = {
        "run": config.cell,
        "seed": 0,
        "baseline": baselines["unigram"]["test"],
        "optimizer": repr(plan.trainer.optimizer),
        "clip": repr(plan.trainer.clip),
        "finished": outcome is not None,
        "source": plan.source,
        "definition": plan.model.cell,
        "parameters": plan.trainer.parameters,
        "vocabulary": len(corpus.vocabulary),
        **{f"{split}/characters": len(getattr(corpus, split)) for split in plan.streams},
        **{f"{split}/unknown_characters": count for split, count in corpus.unknown.items()},
        "steps": evaluations.steps[-1],
        "best_step": evaluations.steps[best],
    }
    if outcome is not None:
        nats["test"] = outcome.test
        fields |= {
            "after/loss": outcome.test,
            **margins.NATS.fields(outcome.margin, NGRAM),
            "seconds": outcome.seconds,
            "characters_per_second": outcome.characters_per_second,
            **records.divergence_fields(outcome.history, 0),
            "prompt": plan.prompt,
            "sample": outcome.sample,
        }
    return fields | {f"{key}/{unit}_per_character": loss / n for key, loss in nats.items() for unit, n in UNITS.items()}


def arrays(config: Config, outcome: Outcome) -> dict[str, np.ndarray]:
    """Returns the training curves and NAME/validation/... [evaluations]."""
    curve = {"step": outcome.evaluations.steps, "loss": outcome.evaluations.validation}
    named = {f"{config.cell}/validation/{name}": np.array(values) for name, values in curve.items()}
    return records.training_arrays(config.cell, outcome.history) | named


def table(plan: Plan, config: Config, baselines: Losses, outcome: Outcome) -> Table:
    """Returns the table of the network and the baselines."""

    def row(title: str, *losses: float, beside: str = "") -> tuple[str, ...]:
        return (title, *(f"{loss / unit:.4f}" for loss in losses for unit in UNITS.values()), beside)

    best, unknown = outcome.evaluations.validation[outcome.evaluations.best_index], plan.corpus.unknown
    network = f"{config.cell}, {config.layers} x {config.hidden_size}"
    rows = [
        row(network, best, outcome.test, beside=outcome.margin.text(".3f")),
        row(f"{NGRAM} (interpolated Kneser-Ney)", *baselines[NGRAM].values()),
        row("unigram", *baselines["unigram"].values()),
    ]
    headers = ("model", "validation: nats", "bits", "test: nats", "bits", f"test: nats beside {NGRAM}")
    columns = [report.Column(header, operator.itemgetter(i), right=i > 0) for i, header in enumerate(headers)]
    caption = (
        f"{len(plan.corpus.vocabulary)} tokens of the training set; unknown characters: {unknown['validation']} in the "
        f"validation set, {unknown['test']} in the test set. In brackets: 95 % interval over {margins.PARTS} "
        "parts of the test text; if it holds 0, it is a tie."
    )
    title = f"Next character of {plan.source}: {len(plan.corpus.training):,} training characters"
    return Table(columns, {title: rows}, caption)


def findings(plan: Plan, outcome: Outcome) -> list[str]:
    """Returns the test loss beside the n-gram model's, when validation was best, the speed, and a divergence."""
    evaluations, epoch = outcome.evaluations, plan.streams["training"].segments
    step = evaluations.steps[evaluations.best_index]
    sentences = [
        f"Test set: {outcome.test:.3f} nats per character, {margins.NATS.words(outcome.margin, NGRAM)}.",
        f"Lowest validation loss at step {step:,} of {plan.steps:,}, epoch {step / epoch:.1f}; "
        f"{evaluations.validation[-1]:.4f} nats at the last evaluation, after a training loss of "
        f"{np.mean(outcome.history.loss[0, -epoch:]):.4f} over the last epoch.",
        f"{outcome.characters_per_second:,.0f} characters a second over {outcome.seconds / 60:.1f} minutes.",
    ]
    return sentences if outcome.diverged is None else [*sentences, f"{outcome.diverged}."]


def loss_figure(plan: Plan, baselines: dict[str, dict[str, float]], outcome: Outcome, dropout: bool) -> bytes:
    """Draws nats per character over steps (below) and epochs (above), bits on the right. Returns a PNG."""
    figure = plotting.figure((9, 5.2))
    axis = figure.subplots()
    evaluations, epoch = outcome.evaluations, plan.streams["training"].segments
    steps, losses = windows(outcome.history.loss, WINDOWS)
    axis.plot(steps, losses[0], color="C0", lw=1, label=f"training{', dropout on' if dropout else ''}")
    axis.plot(evaluations.steps, evaluations.validation, color="C1", marker="o", ms=4, label="validation")
    best = evaluations.steps[evaluations.best_index]
    axis.plot(best, min(evaluations.validation), "C1*", ms=15, label="best validation")
    axis.plot(best, outcome.test, "C2D", ms=7, label="test, by these parameters")
    for split, color in (("validation", "C1"), ("test", "C2")):
        axis.axhline(baselines[NGRAM][split], color=color, lw=1.2, ls="--", label=f"{NGRAM} (Kneser-Ney), {split}")
    shown = [*evaluations.validation, outcome.test, *baselines[NGRAM].values()]
    axis.set_ylim(min(*shown, *losses[0]) - 0.05, max(shown) + 0.25)  # without the first training losses
    axis.set(xlabel="optimization step", ylabel="loss (nats/character)", xlim=(0, 1.02 * plan.steps))
    axis.grid(alpha=0.3)
    second_axis(axis, "right", UNITS["bits"], "bits/character")
    second_axis(axis, "top", epoch, f"epochs of {len(plan.corpus.training) - 1:,} characters")
    axis.legend(frameon=False)
    return plotting.png(figure)
