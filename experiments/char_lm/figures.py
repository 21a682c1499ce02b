"""Figure: training and validation loss over the steps, beside the n-gram model's."""

import numpy as np

from experiments.char_lm.config import Plan
from experiments.char_lm.measurement import NGRAM, Outcome
from experiments.common.figures import windows
from rnn_jax import plotting

WINDOWS = 200  # of the training loss, whose means are drawn


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
    # The first training losses, of an untrained network, are left out.
    axis.set_ylim(min(*shown, *losses[0]) - 0.05, max(shown) + 0.25)
    axis.set(xlabel="optimization step", ylabel="loss (nats/character)", xlim=(0, 1.02 * plan.steps))
    axis.grid(alpha=0.3)
    bit = np.log(2)
    bits = axis.secondary_yaxis("right", functions=(lambda n: np.divide(n, bit), lambda n: np.multiply(n, bit)))
    bits.set_ylabel("bits/character")
    epochs = axis.secondary_xaxis("top", functions=(lambda n: np.divide(n, epoch), lambda n: np.multiply(n, epoch)))
    epochs.set_xlabel(f"epochs of {len(plan.corpus.training) - 1:,} characters")
    axis.legend(frameon=False)
    return plotting.png(figure)
