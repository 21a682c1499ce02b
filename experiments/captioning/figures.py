"""The figures: captions over the training, and where the decoder looked for each word."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.captioning import summary
from experiments.captioning.config import Plan
from experiments.captioning.measurement import Outcome
from experiments.captioning.scenes import KINDS
from rnn_jax import plotting


def validation_figure(plan: Plan, outcomes: Sequence[Outcome]) -> bytes:
    """Exact captions of the validation part over the training, a line a seed. Returns a PNG."""
    figure = plotting.figure((8, 4.6))
    axis = figure.subplots()
    for color, outcome in enumerate(outcomes):
        for seed, wrong in enumerate(outcome.fit.scores):
            name: dict[str, Any] = {} if seed else {"label": summary.label(outcome.network)}
            epochs = np.arange(len(wrong)) + 1
            axis.plot(epochs, 100 * (1 - wrong), color=f"C{color}", marker="o", ms=3.5, lw=1.4, **name)
    axis.set(
        xlabel=f"epochs of {len(plan.draft.kinds):,} scenes",
        ylabel="exact captions of the validation part (%)",
        ylim=(0, 101),
    )
    axis.grid(alpha=0.3)
    axis.legend(frameon=False, loc="lower right")
    return plotting.png(figure)


def attention_figure(plan: Plan, outcome: Outcome) -> bytes:
    """A scene of each kind and, word for word, the weights of the attention laid over it. Returns a PNG."""
    height, width, _ = plan.trainers[outcome.network].model.images.map_shape
    places = shown(plan)
    captions = [(*outcome.captions[0][place], "END") for place in places]
    columns = 1 + max(map(len, captions))
    figure = plotting.figure((1.15 * columns + 0.4, 1.45 * len(places) + 0.5))
    axes = np.atleast_2d(figure.subplots(len(places), columns))
    for axis in axes.flat:
        axis.axis("off")
    for line, place, caption in zip(axes, places, captions, strict=True):
        scene = np.asarray(plan.test.examples.whole["scene"][place])[..., 0]
        right = outcome.captions[0][place] == plan.test.draft.sentences[place]
        line[0].imshow(scene, cmap="gray_r", vmin=0, vmax=1)
        line[0].set_title("right" if right else "wrong", fontsize=9, color="black" if right else "C3")
        edge = (-0.5, scene.shape[1] - 0.5, scene.shape[0] - 0.5, -0.5)
        for axis, word, weights in zip(line[1:], caption, outcome.weights[place], strict=False):
            axis.imshow(scene, cmap="gray_r", vmin=0, vmax=2)
            looked = weights.reshape(height, width)
            axis.imshow(
                looked, cmap="Reds", alpha=0.6, extent=edge, vmin=0, vmax=looked.max(), interpolation="bilinear"
            )
            axis.set_title(word, fontsize=9)
    figure.suptitle("The weights of the attention for each word (red; of each word its own scale)", fontsize=10)
    return plotting.png(figure)


def shown(plan: Plan) -> list[int]:
    """The test part's first scene of each kind: not chosen for how it looks."""
    kinds = plan.test.draft.kinds
    return [int(np.flatnonzero(kinds == kind)[0]) for kind in range(len(KINDS)) if np.any(kinds == kind)]
