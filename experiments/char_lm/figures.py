"""The figure: training and validation loss over the steps, beside the n-gram model's."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from experiments.char_lm.config import Plan
from experiments.char_lm.measurement import ORDER, Baselines, Outcome
from rnn_jax import plotting

WINDOWS = 200  # means of the training loss that are drawn at the most


def loss_figure(plan: Plan, baselines: Baselines, outcome: Outcome, dropout: bool) -> bytes:
    """Nats per character over steps (below) and epochs (above), bits per character on the right. Returns a PNG.

    Args:
      plan: what was run.
      baselines: the lines to be compared with.
      outcome: what came of it.
      dropout: whether units were dropped in training, which raises its loss.
    """
    figure = plotting.figure((9, 5.2))
    axis = figure.subplots()
    looks, epoch = outcome.looks, plan.streams["training"].segments
    steps, losses = _smooth(outcome.history.loss[0])
    axis.plot(steps, losses, color="C0", lw=1, label=f"training{', dropout on' if dropout else ''}")
    axis.plot(looks.steps, looks.validation, color="C1", marker="o", ms=4, label="validation")
    best = looks.best_look
    axis.plot(looks.steps[best], looks.validation[best], color="C1", marker="*", ms=15, ls="", label="best validation")
    axis.plot(looks.steps[best], outcome.test, color="C2", marker="D", ms=7, ls="", label="test, of these parameters")
    for part, color in (("validation", "C1"), ("test", "C2")):
        axis.axhline(baselines.ngram[part], color=color, lw=1.2, ls="--", label=f"{ORDER}-gram (Kneser-Ney), {part}")
    told = [*looks.validation, outcome.test, *baselines.ngram.values()]
    # The first training losses, of a network that knows nothing yet, are left out.
    axis.set_ylim(min(*told, *losses) - 0.05, max(told) + 0.25)
    axis.set(xlabel="optimization step", ylabel="loss (nats/character)", xlim=(0, 1.02 * plan.steps))
    axis.grid(alpha=0.3)
    axis.secondary_yaxis("right", functions=_scale(math.log(2))).set(ylabel="bits/character")
    axis.secondary_xaxis("top", functions=_scale(epoch)).set(xlabel=f"epochs of {plan.characters:,} characters")
    axis.legend(frameon=False)
    return plotting.png(figure)


def _scale(unit: float) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """To an axis in units of something, and back."""
    return lambda value: value / unit, lambda count: count * unit


def _smooth(losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Steps in the middles of windows, and the means over them."""
    width = max(1, len(losses) // WINDOWS)
    count = len(losses) // width
    return (np.arange(count) + 0.5) * width, np.mean(losses[: count * width].reshape(count, width), axis=1)
