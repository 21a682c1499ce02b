"""Connectionist temporal classification: a recurrent network that says a sequence of labels, not when each of them is.

Graves et al. 2006, "Connectionist temporal classification: labelling unsegmented sequence data with recurrent neural
networks".
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from rnn_jax import checks, masking
from rnn_jax.cell import Cell
from rnn_jax.models.readout import ReadoutModel, ReadoutParams

BLANK = 0  # the label that says nothing


class Labelling(NamedTuple):
    """Sequences of labels; `rnn_jax.data.unpad(*labelling)` gives them apart."""

    labels: jax.Array  # int32 [N, B], 0 beyond a sequence's length
    lengths: jax.Array  # int32 [B]


@dataclasses.dataclass(frozen=True)
class CTC:
    """p(l | x) = sum over all paths that read as l of prod_t softmax(h_t V + c)_{path_t}.

    A path has a label or the blank at every step; it reads as what is left of it without repetitions, then without
    blanks. Labels are 1 .. `labels`, 0 is the blank.

    Args:
      cell: a cell or layer that reads the inputs; one that is `Bidirectional` hears what comes after, too.
      labels: how many there are, the blank not counted.

    Raises:
      ValueError: where labels is not a positive integer.
    """

    cell: Cell
    labels: int

    def __post_init__(self) -> None:
        checks.integer_at_least(1, self.labels, "CTC: labels")

    @property
    def network(self) -> ReadoutModel:
        """What gives the logits."""
        return ReadoutModel(self.cell, self.labels + 1)

    def init(self, key: jax.Array) -> ReadoutParams:
        return self.network.init(key)

    def apply(self, params: ReadoutParams, xs: Any, lengths: Any = None, *, key: jax.Array | None = None) -> jax.Array:
        """The logits [T, B, labels + 1] of inputs [T, B, F]; lengths and key as `rnn_jax.unroll`'s."""
        return self.network.apply(params, xs, lengths=lengths, key=key)[1]

    def loss(
        self,
        params: ReadoutParams,
        xs: Any,
        lengths: Any,
        labels: Any,
        label_lengths: Any,
        *,
        key: jax.Array | None = None,
    ) -> jax.Array:
        """-mean log p(labels | xs) over the sequences, in nats a sequence, by `optax.ctc_loss`.

        Args:
          params: from `init`.
          xs: [T, B, F].
          lengths: integers [B].
          labels: integers [N, B].
          label_lengths: integers [B].
          key: as `rnn_jax.unroll`'s.

        Raises:
          TypeError: where labels are not integers.
          ValueError: where a shape does not fit; where labels that can be read are not in 1 .. `labels`, or have no
            path: they need a step each, and one between two that are alike. Traced, such a sequence has a loss of 1e5.
        """
        _check(labels, label_lengths, lengths, self.labels)
        logits = self.apply(params, xs, lengths, key=key)
        found, label_lengths = jnp.asarray(labels), jnp.asarray(label_lengths)
        padding = 1.0 - masking.before_end(jnp.asarray(lengths), len(logits))
        label_padding = 1.0 - masking.before_end(label_lengths, len(found))
        losses = optax.ctc_loss(logits.swapaxes(0, 1), padding.T, found.T, label_padding.T, blank_id=BLANK)
        return jnp.mean(losses)

    def decode(self, params: ReadoutParams, xs: Any, lengths: Any) -> Labelling:
        """What the most probable path reads as (best path decoding, section 3.2): xs [T, B, F] to labels [T, B]."""
        return best_path(self.apply(params, xs, lengths), lengths)


def best_path(logits: jax.Array, lengths: Any) -> Labelling:
    """The most probable label of every step, without repetitions and blanks: logits [T, B, labels + 1] to [T, B]."""
    steps = len(logits)
    path = jnp.argmax(logits, axis=-1).astype(jnp.int32)
    before = jnp.concatenate([jnp.full_like(path[:1], BLANK), path[:-1]])
    said = (path != BLANK) & (path != before) & masking.before_end(jnp.asarray(lengths), steps)
    # What is said moves up to its place among what is said; the rest falls off the end.
    place = jnp.where(said, jnp.cumsum(said, axis=0) - 1, steps)
    columns = jnp.broadcast_to(jnp.arange(path.shape[1]), path.shape)
    labels = jnp.zeros_like(path).at[place, columns].set(path, mode="drop")
    return Labelling(labels, jnp.sum(said, axis=0, dtype=jnp.int32))


def _check(labels: Any, label_lengths: Any, lengths: Any, count: int) -> None:
    if any(isinstance(array, jax.core.Tracer) for array in (labels, label_lengths, lengths)):
        return
    labels, label_lengths, lengths = np.asarray(labels), np.asarray(label_lengths), np.asarray(lengths)
    if not np.issubdtype(labels.dtype, np.integer):
        raise TypeError(f"CTC: labels must be integers, got {labels.dtype}")
    if labels.ndim != 2 or label_lengths.shape != labels.shape[1:] or lengths.shape != labels.shape[1:]:
        raise ValueError(
            f"CTC: labels must be [N, B], label_lengths and lengths [B], got shapes {list(labels.shape)}, "
            f"{list(label_lengths.shape)}, {list(lengths.shape)}"
        )
    for column, (size, steps) in enumerate(zip(label_lengths.tolist(), lengths.tolist(), strict=True)):
        if not 0 <= size <= len(labels):
            raise ValueError(f"CTC: label_lengths must be in [0, {len(labels)}], got {size} at {column}")
        these = labels[:size, column]
        if np.any((these < 1) | (these > count)):
            raise ValueError(f"CTC: labels must be in [1, {count}], got {these.tolist()} at sequence {column}")
        least = size + int(np.sum(these[1:] == these[:-1]))
        if steps < least:
            raise ValueError(
                f"CTC: the {size} labels of sequence {column} need at least {least} steps (one each, and one between "
                f"two that are alike), got {steps}"
            )
