"""The figure of a program: everybody's loss on top of each other, and below how far each is from ours."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from experiments.teaching import ours
from experiments.teaching.measurement import Difference, Outcome
from experiments.teaching.program import Lesson
from rnn_jax import plotting

# The wide line first, so that what lies on it can be seen.
STYLES: dict[str, dict[str, Any]] = {
    "rnn_jax": {"color": "0.75", "lw": 5},
    "Keras": {"color": "C3", "lw": 1.6},
    "PyTorch": {"color": "C0", "lw": 1.6, "ls": (0, (4, 3))},
    "Keras, as written": {"color": "C3", "lw": 0.9, "alpha": 0.55},
    "PyTorch, as written": {"color": "C0", "lw": 0.9, "alpha": 0.55},
}


def loss_figure(lesson: Lesson, outcomes: Mapping[str, Outcome]) -> bytes:
    """Loss of every step over the steps, and below the relative difference from ours. Returns a PNG."""
    drawn = plotting.figure((9, 7))
    above, below = drawn.subplots(2, 1, sharex=True, height_ratios=(1.2, 1))
    steps = 1 + np.arange(lesson.work)
    for name, outcome in outcomes.items():
        above.plot(steps, outcome.losses, label=name, **STYLES[name])
        if name != ours.NAME:
            relative = Difference.between(outcome.losses, outcomes[ours.NAME].losses).relative
            below.plot(steps, np.where(relative > 0, relative, np.nan), marker=".", ms=3, **STYLES[name] | {"ls": ""})
    per_epoch = lesson.work / len(lesson.batches)
    axis = above.secondary_xaxis("top", functions=(lambda step: step / per_epoch, lambda epoch: epoch * per_epoch))
    axis.set(xlabel="epoch")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    above.set(ylabel="loss of the batch (nats)", ylim=(0, None), xlim=(0, lesson.work + 1))
    below.set(xlabel="optimization step", yscale="log")
    below.set_ylabel(f"relative difference from {ours.NAME}")
    for each in (above, below):
        each.grid(alpha=0.3)
    drawn.legend(*above.get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    return plotting.png(drawn)
