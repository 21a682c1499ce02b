"""The figures: validation accuracy over the epochs, and the F1 of every tag."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator

from experiments.tagging.config import Plan
from experiments.tagging.measurement import Baseline, Outcome
from rnn_jax import plotting


def accuracy_figure(baselines: Mapping[str, Baseline], outcomes: Sequence[Outcome]) -> bytes:
    """Validation accuracy after every epoch, a line a seed, beside the baselines'. Returns a PNG."""
    figure = plotting.figure((8, 5))
    axis = figure.subplots()
    for place, outcome in enumerate(outcomes):
        for seed, errors in enumerate(outcome.fit.scores):
            label = outcome.network.kind.description if seed == 0 else None
            axis.plot(
                1 + np.arange(len(errors)), 100 * (1 - errors), color=f"C{place}", marker="o", ms=3, lw=1, label=label
            )
    for (name, baseline), style in zip(baselines.items(), (":", "--"), strict=True):
        axis.axhline(100 * baseline.validation, color="0.4", ls=style, lw=1.2, label=name)
    axis.set(xlabel="epoch", ylabel="words tagged right, validation part (%)")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.grid(alpha=0.3)
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=9)
    return plotting.png(figure)


def tags_figure(plan: Plan, baselines: Mapping[str, Baseline], outcomes: Sequence[Outcome]) -> bytes:
    """F1 of every tag on the test part, means over seeds, the most frequent tag first. Returns a PNG."""
    tags, gold = plan.corpus.tags, plan.corpus.parts["test"].gold
    counts = np.array([np.sum(gold == tag) for tag in range(len(tags))])
    order = [tag for tag in np.argsort(-counts, kind="stable") if counts[tag]]
    *_, (name, baseline) = baselines.items()
    bars = [(name, "0.6", baseline.test.f1)]
    bars += [(o.network.kind.description, f"C{place}", o.test.f1) for place, o in enumerate(outcomes)]
    figure = plotting.figure((10, 4.8))
    axis = figure.subplots()
    width = 0.8 / len(bars)
    for place, (label, color, f1) in enumerate(bars):
        axis.bar(
            np.arange(len(order)) + (place - (len(bars) - 1) / 2) * width,
            100 * f1.mean(axis=0)[order],
            width,
            color=color,
            label=label,
        )
    names = [f"{tags[tag]}\n{counts[tag]:,}" for tag in order]
    axis.set_xticks(np.arange(len(order)), names, rotation=45, fontsize=8)
    axis.set(ylabel="F1 on the test part (%)", xlabel="tag, and its words in the test part", ylim=(0, 100))
    axis.grid(axis="y", alpha=0.3)
    axis.set_axisbelow(True)
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=9)
    return plotting.png(figure)
