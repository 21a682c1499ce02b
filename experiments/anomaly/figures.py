"""The figures: a copy of the test part with scores and alarms, and every detector by kind of anomaly."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from experiments.anomaly.config import Plan
from experiments.anomaly.injection import KINDS
from experiments.anomaly.measurement import Outcome
from rnn_jax import plotting

AROUND = 3  # lengths shown before and after an anomaly
TICKS = 3
CAPTIONS = {"examples": "An anomaly of each kind", "kinds": "Every detector by kind of anomaly"}


def examples(plan: Plan, outcomes: Sequence[Outcome]) -> bytes:
    """The first anomaly of each kind: the series with it, and the scores of the best network and the autoregression.

    Returns:
      A PNG.
    """
    network = max((o for o in outcomes if o.network), key=lambda o: -float(np.mean(o.details["validation/loss"])))
    linear = next(o for o in outcomes if o.name == "autoregression")
    copies, data = plan.copies["test"], plan.data
    kinds = [kind for kind in KINDS if any(event.kind == kind for _, event in copies.events)]
    figure = plotting.figure((4.4 * min(3, len(kinds)), 4.6 * -(-len(kinds) // 3)))
    blocks = figure.subfigures(-(-len(kinds) // 3), min(3, len(kinds)), squeeze=False).ravel()
    for kind, block in zip(kinds, blocks, strict=False):
        copy, event = next(pair for pair in copies.events if pair[1].kind == kind)
        axes: list[Axes] = list(block.subplots(3, 1, sharex=True, height_ratios=(2, 1, 1)))
        span = np.arange(
            max(copies.start, event.start - AROUND * plan.length), min(copies.stop, event.stop + AROUND * plan.length)
        )
        axes[0].plot(span, data.series.values[span], color="grey", lw=0.8, ls=":", label="as it was")
        axes[0].plot(span, copies.values[span, copy], color="black", lw=1.1, label="given")
        axes[0].set(title=kind, ylabel=data.series.name)
        for axis, outcome, color in ((axes[1], network, "C0"), (axes[2], linear, "C1")):
            scores = outcome.points[span, copy]
            axis.plot(span, scores, color=color, lw=1)
            axis.axhline(outcome.scores.threshold, color="black", lw=0.8, ls="--")
            alarms = scores > outcome.scores.threshold
            axis.plot(span[alarms], scores[alarms], "o", ms=3, color="C3")
            axis.set_ylabel(f"{outcome.name},\n-log p (nats)", fontsize=8)
            axis.set_yscale("symlog", linthresh=max(1.0, outcome.scores.threshold))
            axis.margins(y=0.15)
        for axis in axes:
            axis.axvspan(event.start - 0.5, event.stop - 0.5, color="C3", alpha=0.12, lw=0)
            axis.grid(alpha=0.3)
        ticks = span[:: max(1, len(span) // TICKS)]
        axes[2].set_xticks(ticks, [data.series.labels[i] for i in ticks])
        axes[2].set_xlabel("time (units)" if data.source.startswith("Mackey") else "row, by its label")
        if kind == kinds[0]:
            axes[0].legend(frameon=False, fontsize=8)
    return plotting.png(figure)


def kinds(plan: Plan, outcomes: Sequence[Outcome]) -> bytes:
    """AUC by event and share detected of every detector, a kind beside the other. Returns a PNG."""
    figure = plotting.figure((12, 6.6))
    axes = figure.subplots(2, 1, sharex=True)
    present = list(outcomes[0].scores.kinds)
    width = 0.85 / len(outcomes)
    greys = iter(np.linspace(0.8, 0.35, sum(not o.network for o in outcomes)))
    for i, outcome in enumerate(outcomes):
        color = f"C{i % 10}" if outcome.network else str(next(greys))
        each = [outcome.scores.all, *(outcome.scores.kinds[kind] for kind in present)]
        places = np.arange(len(each)) + (i - (len(outcomes) - 1) / 2) * width
        axes[0].bar(places, [of.event_auc for of in each], width, color=color, label=outcome.name)
        axes[1].bar(places, [100 * of.detected for of in each], width, color=color)
    axes[0].axhline(0.5, color="black", lw=1, ls="--")
    axes[0].set(ylabel="ROC AUC by event (0.5 is chance)", ylim=(0, 1.02))
    alarms = [o.scores.false_alarms for o in outcomes]
    axes[1].set(
        ylabel="detected at the threshold (%)",
        title=f"{min(alarms):.1f} to {max(alarms):.1f} false alarms in 1,000 normal points",
    )
    axes[1].set_xticks(np.arange(len(present) + 1), ["all", *present])
    for axis in axes:
        axis.grid(alpha=0.3, axis="y")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle(f"{plan.data.series.name} of {plan.data.source.rpartition('/')[2]}")
    return plotting.png(figure)


FIGURES = {"examples": examples, "kinds": kinds}
