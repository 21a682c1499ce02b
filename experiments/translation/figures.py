"""The figures: the loss over the training, the score over the length of the source, and where the decoder looked."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.translation.config import Plan
from experiments.translation.corpus import Item
from experiments.translation.measurement import Outcome
from rnn_jax import plotting

WINDOWS = 100  # means of the training loss that are drawn at the most
ALIGNED = 3


def loss_figure(plan: Plan, outcomes: Mapping[str, Outcome]) -> bytes:
    """Nats per token over steps, of training (thin) and validation; of every seed. Returns a PNG."""
    figure, axis = _figure((8.5, 4.8))
    per_epoch = 0
    for color, (name, outcome) in enumerate(outcomes.items()):
        history = np.asarray(outcome.fit.history.loss)
        epochs = outcome.fit.scores.shape[1]
        per_epoch = history.shape[1] // epochs
        for seed, losses in enumerate(history):
            label = {} if seed else {"label": f"{_label(name)}, training"}
            width = max(1, len(losses) // WINDOWS)
            count = len(losses) // width
            smooth = np.mean(losses[: count * width].reshape(count, width), axis=1)
            axis.plot((np.arange(count) + 0.5) * width, smooth, color=f"C{color}", lw=1, alpha=0.7, **label)
            steps = (np.arange(epochs) + 1) * per_epoch
            label = {} if seed else {"label": f"{_label(name)}, validation"}
            axis.plot(steps, outcome.fit.scores[seed], color=f"C{color}", marker="o", ms=5, lw=1.8, ls="--", **label)
    unit = "word" if plan.corpus.by_words else "character"
    axis.set(xlabel="optimization step", ylabel=f"loss (nats/{unit})", ylim=(0, None))
    axis.secondary_xaxis("top", functions=(lambda s: s / per_epoch, lambda e: e * per_epoch)).set(
        xlabel=f"epochs of {len(plan.corpus.parts.training):,} pairs"
    )
    axis.grid(alpha=0.3)
    axis.legend(frameon=False)
    return plotting.png(figure)


def length_figure(plan: Plan, found: Mapping[str, Sequence[Mapping[str, Any]]]) -> bytes:
    """BLEU, or exact matches, over the length of the source; the mean of the seeds, each a point. Returns a PNG."""
    figure, axis = _figure((8.5, 4.8))
    key, scale = ("bleu", 1) if plan.corpus.by_words else ("exact", 100)
    groups = next(iter(found.values()))[0]["test/by_length"]
    places = np.arange(len(groups))
    for color, (name, of_run) in enumerate(found.items()):
        values = scale * np.array([[group[key] for group in record["test/by_length"]] for record in of_run])
        network = name in plan.trainers
        style = {"lw": 2, "marker": "o"} if network else {"lw": 1.2, "ls": "--", "marker": "."}
        axis.plot(places, values.mean(axis=0), color=f"C{color}", label=_label(name) if network else name, **style)
        if len(values) > 1:
            axis.plot(places, values.T, color=f"C{color}", ls="", marker="_", ms=9)
    texts = [
        f"{g['shortest']} to {g['longest']}\n{g['items']} sources"
        if g["shortest"] < g["longest"]
        else f"{g['longest']}\n{g['items']} sources"
        for g in groups
    ]
    axis.set_xticks(places, texts)
    unit = "words" if plan.corpus.by_words else "characters"
    score = "BLEU (lower-cased)" if plan.corpus.by_words else "translations without an error (%)"
    axis.set(xlabel=f"length of the source ({unit}, punctuation counted in)", ylabel=score, ylim=(0, None))
    axis.grid(alpha=0.3)
    axis.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return plotting.png(figure)


def alignment_figure(plan: Plan, items: Sequence[Item], outcome: Outcome) -> bytes:
    """Weights of the attention for three sources of the test part, the words read beside those written. A PNG."""
    assert outcome.weights is not None
    places = aligned(items)
    figure = plotting.figure((4.6 * len(places), 4.8))
    image: Any = None
    for axis, place in zip(np.atleast_1d(figure.subplots(1, len(places))), places, strict=True):
        source, written = items[place].source, [*outcome.translations[0][place], "END"]
        weights = outcome.weights[place][: len(written), : len(source)]
        image = axis.imshow(weights, cmap="Greys", vmin=0, vmax=1, aspect="auto")
        axis.set_xticks(range(len(source)), [_visible(word) for word in source], rotation=60, ha="right")
        axis.set_yticks(range(len(written)), [_visible(word) for word in written])
        axis.set(xlabel="source, read", ylabel="translation, written")
    figure.colorbar(image, ax=figure.axes, label="weight of the attention", shrink=0.8)
    return plotting.png(figure)


def aligned(items: Sequence[Item]) -> list[int]:
    """Three sources of the longer ones, spread evenly over the test part: not chosen for how they look."""
    lengths = np.array([len(item.source) for item in items])
    longer = np.flatnonzero(lengths >= np.quantile(lengths, 0.75))
    places = np.linspace(0, len(longer) - 1, ALIGNED + 2)[1:-1].astype(int)
    return sorted({int(longer[place]) for place in places})


def _visible(word: str) -> str:
    return word if word.strip() else "\u2423"


def _label(name: str) -> str:
    return "no attention" if name == "none" else f"attention ({name})"


def _figure(size: tuple[float, float]) -> tuple[Figure, Any]:
    figure = plotting.figure(size)
    return figure, figure.subplots()
