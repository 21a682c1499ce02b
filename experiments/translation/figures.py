"""Figures: score over the length of the source, attention weights. Both return a PNG."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.translation.corpus import Corpus
from experiments.translation.measurement import Outcome
from rnn_jax import plotting
from rnn_jax.data import Referenced

ALIGNED = 3


def length_figure(corpus: Corpus, runs: Mapping[str, Sequence[Mapping[str, Any]]], networks: Sequence[str]) -> bytes:
    """Draws BLEU, or exact matches, over the length of the source; the mean of the seeds, and each seed as a mark."""
    figure = plotting.figure((8.5, 4.8))
    axis = figure.subplots()
    key, _, scale = corpus.score
    groups = next(iter(runs.values()))[0]["test/by_length"]
    places = np.arange(len(groups))
    for color, (name, records) in enumerate(runs.items()):
        values = scale * np.array([[group[key] for group in record["test/by_length"]] for record in records])
        style: dict[str, Any] = {"lw": 2, "marker": "o"} if name in networks else {"lw": 1.2, "ls": "--", "marker": "."}
        axis.plot(places, values.mean(axis=0), color=f"C{color}", label=name, **style)
        if len(values) > 1:
            axis.plot(places, values.T, color=f"C{color}", ls="", marker="_", ms=9)
    spans = [f"{g['shortest']} to {g['longest']}" if g["shortest"] < g["longest"] else g["longest"] for g in groups]
    axis.set_xticks(places, [f"{span}\n{g['items']} sources" for span, g in zip(spans, groups, strict=True)])
    unit = "words" if corpus.by_words else "characters"
    score = "BLEU (lower-cased)" if corpus.by_words else "translations without an error (%)"
    axis.set(xlabel=f"length of the source ({unit}, punctuation included)", ylabel=score, ylim=(0, None))
    axis.grid(alpha=0.3)
    axis.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return plotting.png(figure)


def alignment_figure(items: Sequence[Referenced], outcome: Outcome) -> bytes:
    """Draws the attention weights of three test sources, source words against written words."""
    assert outcome.test.weights is not None
    places = aligned(items)
    figure = plotting.figure((4.6 * len(places), 4.8))
    image: Any = None
    for axis, place in zip(np.atleast_1d(figure.subplots(1, len(places))), places, strict=True):
        source, written = items[place].source, [*outcome.test.translations[0][place], "END"]
        weights = outcome.test.weights[place][: len(written), : len(source)]
        image = axis.imshow(weights, cmap="Greys", vmin=0, vmax=1, aspect="auto")
        axis.set_xticks(range(len(source)), [_visible(word) for word in source], rotation=60, ha="right")
        axis.set_yticks(range(len(written)), [_visible(word) for word in written])
        axis.set(xlabel="source", ylabel="translation")
    figure.colorbar(image, ax=figure.axes, label="attention weight", shrink=0.8)
    return plotting.png(figure)


def aligned(items: Sequence[Referenced]) -> list[int]:
    """Returns three of the longer sources, evenly spread over the test set, without regard to the result."""
    lengths = np.array([len(item.source) for item in items])
    longer = np.flatnonzero(lengths >= np.quantile(lengths, 0.75))
    places = np.linspace(0, len(longer) - 1, ALIGNED + 2)[1:-1].astype(int)
    return sorted({int(longer[place]) for place in places})


def _visible(word: str) -> str:
    return word if word.strip() else "\u2423"
