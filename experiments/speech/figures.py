"""Figures: errors over the training, which digit is taken for which, and what the network says of a recording."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from experiments.speech.measurement import Outcome
from rnn_jax import plotting

DRAWN = 3  # joined recordings


def errors_figure(outcomes: Sequence[Outcome]) -> bytes:
    """Errors on the validation part over the epochs, a line a network: the median over seeds, and their range."""
    figure = plotting.figure((8, 4.5))
    axis = figure.subplots()
    for place, outcome in enumerate(outcomes):
        scores = 100 * outcome.fit.scores
        epochs = np.arange(1, scores.shape[1] + 1)
        label = f"{outcome.problem.question}, {outcome.problem.name}"
        axis.plot(epochs, np.median(scores, axis=0), color=f"C{place}", label=label)
        axis.fill_between(epochs, scores.min(axis=0), scores.max(axis=0), color=f"C{place}", alpha=0.15, lw=0)
    axis.set_yscale("symlog", linthresh=1, linscale=0.4)
    axis.set_ylim(0, 150)
    axis.set_yticks([0, 1, 3, 10, 30, 100], ["0", "1", "3", "10", "30", "100"])
    axis.set(xlabel="epoch", ylabel="digits wrong on the validation part (%)")
    axis.grid(alpha=0.3)
    axis.legend(frameon=False, fontsize=8)
    return plotting.png(figure)


def confusion_figure(outcomes: Sequence[Outcome]) -> bytes:
    """Of single digits, what each was taken for, in percent of its recordings; all seeds and test parts together."""
    by_question = _pairs(outcomes)
    figure = plotting.figure((5.2 * len(by_question), 4.8))
    axes = figure.subplots(1, len(by_question), squeeze=False)[0]
    for axis, (name, pairs) in zip(axes, by_question.items(), strict=True):
        counts = np.zeros((10, 10))
        np.add.at(counts, tuple(np.array(pairs).T), 1)
        shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axis.imshow(shares, cmap="Blues", vmin=0, vmax=100)
        for row, column in zip(*np.nonzero(counts), strict=True):
            color = "white" if shares[row, column] > 50 else "black"
            axis.text(column, row, f"{shares[row, column]:.1f}", ha="center", va="center", fontsize=6.5, color=color)
        axis.set(xlabel="digit read", ylabel="digit said", title=name, xticks=range(10), yticks=range(10))
    return plotting.png(figure)


def joined_figure(outcome: Outcome, hop: float) -> bytes:
    """A few joined recordings: the frames above, below what the network says of each, with what it read and was said.

    Args:
      outcome: of joined recordings.
      hop: seconds from frame to frame.
    """
    part, model = outcome.problem.parts["test"], outcome.problem.trainer.model
    params = jax.tree.map(lambda leaf: leaf[0], outcome.fit.params)
    figure = plotting.figure((11, 3.1 * DRAWN))
    axes = figure.subplots(2 * DRAWN, 1, gridspec_kw={"height_ratios": [1, 1] * DRAWN}, squeeze=False)[:, 0]
    for place in range(min(DRAWN, len(part.frames))):
        frames, (above, below) = part.frames[place], axes[2 * place : 2 * place + 2]
        seconds = hop * np.arange(len(frames))
        above.imshow(
            frames.T, origin="lower", aspect="auto", cmap="magma", extent=(0, seconds[-1] + hop, 0, frames.shape[1])
        )
        said, read = (
            " ".join(str(digit) for digit in digits) for digits in (part.digits[place], outcome.read[0][place])
        )
        above.set(ylabel="mel band", title=f"said {said}; read {read}", xticks=[])
        logits = model.apply(params, jnp.asarray(frames[:, None], jnp.float32), jnp.array([len(frames)]))
        shares = np.asarray(jax.nn.softmax(logits[:, 0]))
        below.plot(seconds, shares[:, 0], color="0.7", lw=1, label="blank")
        for digit in range(10):
            if shares[:, digit + 1].max() > 0.1:
                below.plot(seconds, shares[:, digit + 1], color=f"C{digit}", label=str(digit))
        below.set(xlim=(0, seconds[-1] + hop), ylim=(0, 1.05), ylabel="probability", xlabel="time (s)")
        below.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return plotting.png(figure)


def _pairs(outcomes: Sequence[Outcome]) -> dict[str, list[tuple[int, int]]]:
    """Said and read digits by question."""
    titles = {"digits": "speakers heard in training", "speakers": "a speaker never heard"}
    found: dict[str, list[tuple[int, int]]] = {}
    for outcome in outcomes:
        wanted = outcome.problem.parts["test"].digits
        pairs = found.setdefault(titles[outcome.problem.question], [])
        for read in outcome.read:
            pairs += [(said[0], each[0]) for said, each in zip(wanted, read, strict=True)]
    return found
