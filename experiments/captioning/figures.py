"""Figures: exact captions over the training, and the attention weights of each word."""

from collections.abc import Sequence

import numpy as np

from experiments.captioning.config import Plan
from experiments.captioning.measurement import Test
from experiments.captioning.scenes import KINDS
from experiments.common.figures import epochs_figure
from experiments.common.fitting import Outcome
from rnn_jax import plotting


def figures(plan: Plan, outcomes: Sequence[Outcome[Test]]) -> dict[str, tuple[str, bytes]]:
    """Returns caption and PNG by file name; attention.png only if a network has attention."""
    curves = {o.network.title: 100 * (1 - o.fit.scores) for o in outcomes}
    png = epochs_figure(
        curves,
        "exact captions of the validation set (%)",
        xlabel=f"epochs of {len(plan.draft.kinds):,} scenes",
        ylim=(0, 101),
    )
    pngs = {"validation.png": ("Exact captions over the training", png)}
    for outcome in outcomes:
        if outcome.network.name == "attention":
            pngs["attention.png"] = ("Attention weights of each word", attention_figure(plan, outcome))
    return pngs


def attention_figure(plan: Plan, outcome: Outcome[Test]) -> bytes:
    """Draws one scene of each kind and, word for word, the attention weights over it. Returns a PNG."""
    height, width, _ = outcome.network.trainer.model.images.map_shape
    places = first_of_each_kind(plan)
    captions = [(*outcome.test.captions[0][place], "END") for place in places]
    columns = 1 + max(map(len, captions))
    figure = plotting.figure((1.15 * columns + 0.4, 1.45 * len(places) + 0.5))
    axes = np.atleast_2d(figure.subplots(len(places), columns))
    for axis in axes.flat:
        axis.axis("off")
    for line, place, caption in zip(axes, places, captions, strict=True):
        scene = np.asarray(plan.test.examples.whole["scene"][place])[..., 0]
        right = outcome.test.captions[0][place] == plan.test.draft.sentences[place]
        line[0].imshow(scene, cmap="gray_r", vmin=0, vmax=1)
        line[0].set_title("right" if right else "wrong", fontsize=9, color="black" if right else "C3")
        extent = (-0.5, scene.shape[1] - 0.5, scene.shape[0] - 0.5, -0.5)
        for axis, word, weights in zip(line[1:], caption, outcome.test.weights[place], strict=False):
            axis.imshow(scene, cmap="gray_r", vmin=0, vmax=2)
            grid = weights.reshape(height, width)
            axis.imshow(grid, cmap="Reds", alpha=0.6, extent=extent, vmin=0, vmax=grid.max(), interpolation="bilinear")
            axis.set_title(word, fontsize=9)
    figure.suptitle("Attention weights for each word (red; each word has its own scale)", fontsize=10)
    return plotting.png(figure)


def first_of_each_kind(plan: Plan) -> list[int]:
    """Returns the index of the test set's first scene of each kind: chosen without regard to the result."""
    kinds = plan.test.draft.kinds
    return [int(np.flatnonzero(kinds == kind)[0]) for kind in range(len(KINDS)) if np.any(kinds == kind)]
