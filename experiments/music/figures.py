"""The figures: loss over the epochs, and a drawn piece beside the real one that it begins with."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator

from experiments.music.baselines import Baseline
from experiments.music.measurement import Outcome
from rnn_jax import plotting
from rnn_jax.data.piano_roll import LOWEST_NOTE

ABOVE = 2.0  # nats above the best that are still drawn


def loss_figure(baselines: Mapping[str, Baseline], outcomes: Sequence[Outcome]) -> bytes:
    """Validation loss after every epoch, a line a seed, beside the baselines'. Returns a PNG."""
    figure = plotting.figure((8, 5))
    axis = figure.subplots()
    for place, outcome in enumerate(outcomes):
        for seed, losses in enumerate(outcome.fit.scores):
            label = outcome.network.name if seed == 0 else None
            axis.plot(1 + np.arange(len(losses)), losses, color=f"C{place}", lw=1.2, label=label)
    for (name, baseline), style in zip(baselines.items(), (":", "-.", "--"), strict=True):
        axis.axhline(baseline.validation, color="0.4", ls=style, lw=1.2, label=name)
    best = min(np.nanmin(outcome.fit.scores) for outcome in outcomes)
    axis.set_ylim(best - 0.2, max(best + ABOVE, max(b.validation for b in baselines.values()) + 0.3))
    axis.set(xlabel="epoch", ylabel="validation loss (nats/step)")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.grid(alpha=0.3)
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=9)
    return plotting.png(figure)


def rolls_figure(real: np.ndarray, drawn: np.ndarray, beginning: int, name: str) -> bytes:
    """Two piano rolls [T, 88], time from left to right, one above the other. Returns a PNG.

    Args:
      real: a piece of the test part.
      drawn: what a network went on with.
      beginning: steps that both share.
      name: of the network.
    """
    figure = plotting.figure((10, 6))
    axes = figure.subplots(2, 1, sharex=True, sharey=True)
    keys = np.flatnonzero(real.any(0) | drawn.any(0))
    low, high = (int(keys[0]), int(keys[-1])) if keys.size else (0, 87)
    told = ("a piece of the test part", f"the same {beginning} steps, then what {name} draws")
    for axis, roll, title in zip(axes, (real, drawn), told, strict=True):
        axis.imshow(
            roll[:, low : high + 1].T,
            origin="lower",
            aspect="auto",
            cmap="Greys",
            interpolation="nearest",
            extent=(0, len(roll), low - 0.5, high + 0.5),
            vmin=0,
            vmax=1,
        )
        axis.axvline(beginning, color="C3", lw=1)
        octaves = [key for key in range(low, high + 1) if (key + LOWEST_NOTE) % 12 == 0]
        axis.set_yticks(octaves, [f"C{(key + LOWEST_NOTE) // 12 - 1}" for key in octaves])
        axis.grid(axis="y", alpha=0.4)
        axis.set(ylabel="note", title=title)
    axes[-1].set(xlabel="step")
    return plotting.png(figure)
