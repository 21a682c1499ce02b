"""Connectionist temporal classification: a recurrent network that predicts a sequence of labels without their times.

Graves et al. 2006, "Connectionist temporal classification: labelling unsegmented sequence data with recurrent neural
networks".
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from rnn_jax import checks, integers, masking, noise
from rnn_jax.cell import Cell
from rnn_jax.models.readout import ReadoutModel, ReadoutParams
from rnn_jax.static import Static

BLANK = 0  # the label "none"
NO_PATH = 1e5  # loss of labels that no path collapses to; finite, so that a batch is still trained on its others


class Labelling(NamedTuple):
    """Sequences of labels; `rnn_jax.data.unpad(*labelling)` returns a list of them without padding."""

    labels: jax.Array  # int32 [N, B], 0 beyond a sequence's length
    lengths: jax.Array  # int32 [B]


@dataclasses.dataclass(frozen=True)
class CTC(Static):
    """p(l | x) = sum over all paths that collapse to l of prod_t softmax(h_t V + c)_{path_t}.

    A path has a label or the blank at every step; it collapses by removing first repeated labels, then blanks. Labels
    are 1 .. `labels`, 0 is the blank.

    >>> import jax, jax.numpy as jnp
    >>> from rnn_jax import GRU
    >>> from rnn_jax.models import CTC
    >>> model = CTC(GRU(3, 8), labels=4)
    >>> params = model.init(jax.random.key(0))
    >>> xs, labels = jnp.ones((6, 2, 3)), jnp.array([[1, 4], [2, 4]])  # [T, B, F], [N, B]
    >>> bool(model.loss(params, xs, jnp.array([6, 5]), labels, jnp.array([2, 2])) > 0)
    True
    >>> model.decode(params, xs, jnp.array([6, 5])).labels.shape
    (6, 2)

    Args:
      cell: cell or layer that reads the inputs; a `Bidirectional` also reads the future.
      labels: number of labels, without the blank.

    Raises:
      ValueError: if labels is not a positive integer.
    """

    cell: Cell
    labels: int

    def __post_init__(self) -> None:
        checks.integer_at_least(1, self.labels, "CTC: labels")

    @property
    def network(self) -> ReadoutModel:
        """The network that gives the logits."""
        return ReadoutModel(self.cell, self.labels + 1)

    def init(self, key: jax.Array) -> ReadoutParams:
        return self.network.init(key)

    def apply(
        self, params: ReadoutParams, xs: Any, lengths: Any = None, *, key: noise.Key = noise.NOT_GIVEN
    ) -> jax.Array:
        """Returns the logits [T, B, labels + 1] of inputs xs [T, B, F]; lengths and key as in `rnn_jax.unroll`."""
        return self.network.apply(params, xs, lengths=lengths, key=key)[1]

    def loss(
        self,
        params: ReadoutParams,
        xs: Any,
        lengths: Any,
        labels: Any,
        label_lengths: Any,
        *,
        key: noise.Key = noise.NOT_GIVEN,
    ) -> jax.Array:
        """Returns -mean log p(labels | xs) over the sequences, in nats per sequence, by `optax.ctc_loss`.

        Args:
          params: parameters from `init`.
          xs: inputs [T, B, F].
          lengths: number of steps of each sequence, integers [B].
          labels: integers [N, B] in 1 .. `labels`.
          label_lengths: number of labels of each sequence, integers [B].
          key: random key of the cell's noise, required if there is some; None means evaluation.

        Raises:
          TypeError: if labels are not integers.
          ValueError: if a shape does not fit; if labels are out of range, or have no path: each needs a step, and two
            equal neighbours one more between them. Traced labels cannot be checked: out of range, they make the loss
            NaN; a sequence without a path has the loss 1e5, far above any other, and no gradient. A call outside of
            `jax.jit` names it, and `has_path` finds all of them before a training.
        """
        lengths, labels, label_lengths = (
            integers.int32(values, f"CTC: {name}")
            for name, values in (("lengths", lengths), ("labels", labels), ("label_lengths", label_lengths))
        )
        _check(labels, label_lengths, lengths, self.labels)
        logits = self.apply(params, xs, lengths, key=key)
        steps, inside = masking.before_end(lengths, len(logits)), masking.before_end(label_lengths, len(labels))
        losses = optax.ctc_loss(logits.swapaxes(0, 1), 1.0 - steps.T, labels.T, 1.0 - inside.T, blank_id=BLANK)
        # The sums over paths round to a probability above 1 if it is close to 1 (optax 0.2.6).
        losses = losses - jax.lax.stop_gradient(jnp.minimum(losses, 0))
        losses = jnp.where(has_path(labels, label_lengths, jnp.sum(steps, axis=0)), losses, NO_PATH)
        unknown = jnp.any(inside & ((labels < 1) | (labels > self.labels)), axis=0)
        return jnp.mean(jnp.where(unknown, jnp.nan, losses))

    def decode(self, params: ReadoutParams, xs: Any, lengths: Any) -> Labelling:
        """Returns the labels [T, B] of the most probable path of inputs xs [T, B, F] (section 3.2)."""
        return best_path(self.apply(params, xs, lengths, key=None), lengths)


def best_path(logits: jax.Array, lengths: Any) -> Labelling:
    """Collapses the most probable path of logits [T, B, labels + 1]; lengths are integers [B].

    Returns:
      The labels [T, B], and their number [B].
    """
    steps = len(logits)
    path = jnp.argmax(logits, axis=-1).astype(jnp.int32)
    before = jnp.concatenate([jnp.full_like(path[:1], BLANK), path[:-1]])
    kept = (path != BLANK) & (path != before) & masking.before_end(lengths, steps)
    # Kept labels move up to their rank among the kept ones; the others get the place `steps`, which is dropped.
    place = jnp.where(kept, jnp.cumsum(kept, axis=0) - 1, steps)
    columns = jnp.broadcast_to(jnp.arange(path.shape[1]), path.shape)
    labels = jnp.zeros_like(path).at[place, columns].set(path, mode="drop")
    return Labelling(labels, jnp.sum(kept, axis=0, dtype=jnp.int32))


def has_path(labels: Any, label_lengths: Any, lengths: Any) -> jax.Array:
    """Returns for each sequence whether a path collapses to its labels, booleans [B]; see `CTC.loss`.

    >>> import numpy as np
    >>> from rnn_jax.models import has_path
    >>> has_path(np.array([[1, 1], [1, 2]]), label_lengths=[2, 2], lengths=[2, 2])  # 1 1 needs a blank between
    Array([False,  True], dtype=bool)

    Args:
      labels: integers [N, B].
      label_lengths: number of labels of each sequence, integers [B].
      lengths: number of steps of each sequence, integers [B].
    """
    labels = jnp.asarray(integers.int32(labels, "has_path: labels"))
    inside = masking.before_end(label_lengths, len(labels))
    return _least_steps(labels, inside) <= jnp.asarray(integers.int32(lengths, "has_path: lengths"))


def _least_steps(labels: Any, inside: Any) -> Any:
    """Returns the number of steps [B] that labels [N, B] need: one each, and one between equal neighbours."""
    return inside.sum(axis=0) + (inside[1:] & (labels[1:] == labels[:-1])).sum(axis=0)


def _check(labels: Any, label_lengths: Any, lengths: Any, count: int) -> None:
    if labels.ndim != 2 or label_lengths.shape != labels.shape[1:] or lengths.shape != labels.shape[1:]:
        raise ValueError(
            f"CTC: labels must be [N, B], label_lengths and lengths [B], got shapes {list(labels.shape)}, "
            f"{list(label_lengths.shape)}, {list(lengths.shape)}"
        )
    if any(isinstance(array, jax.core.Tracer) for array in (labels, label_lengths, lengths)):
        return
    labels, label_lengths, lengths = np.asarray(labels), np.asarray(label_lengths), np.asarray(lengths)
    # By NumPy: within `jax.jit` operations of JAX give tracers, of constants too.
    least_steps = _least_steps(labels, np.arange(len(labels))[:, None] < label_lengths)
    for column, (size, steps) in enumerate(zip(label_lengths.tolist(), lengths.tolist(), strict=True)):
        if not 0 <= size <= len(labels):
            raise ValueError(f"CTC: label_lengths must be in [0, {len(labels)}], got {size} at {column}")
        sequence = labels[:size, column]
        if np.any((sequence < 1) | (sequence > count)):
            raise ValueError(f"CTC: labels must be in [1, {count}], got {sequence.tolist()} at sequence {column}")
        if steps < (least := least_steps[column]):
            raise ValueError(
                f"CTC: the {size} labels of sequence {column} need at least {least} steps (one each, and one between "
                f"equal neighbours), got {steps}"
            )


def label_error_rate(predicted: Sequence[Sequence[int]], labels: Sequence[Sequence[int]]) -> float:
    """Returns edit distances over numbers of labels, both summed over the examples (Graves et al. 2006).

    >>> from rnn_jax.models import label_error_rate
    >>> label_error_rate([[1, 9, 3], []], [[1, 2, 3], [4]])
    0.5

    Args:
      predicted: labels predicted for each example.
      labels: labels of each example.

    Raises:
      ValueError: if the numbers of examples differ, or no example has a label.
    """
    if not any(map(len, labels)):
        raise ValueError("label_error_rate: labels must hold at least one label, got none")
    return sum(edit_distance(*pair) for pair in zip(predicted, labels, strict=True)) / sum(map(len, labels))


def edit_distance(first: Sequence[int], second: Sequence[int]) -> int:
    """Returns the least number of insertions, deletions and replacements (Levenshtein 1966)."""
    row = list(range(len(second) + 1))
    for place, label in enumerate(first, 1):
        above, row = row, [place]
        for index, other in enumerate(second):
            row.append(min(above[index] + (label != other), above[index + 1] + 1, row[index] + 1))
    return row[-1]
