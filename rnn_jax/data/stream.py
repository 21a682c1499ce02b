"""One long sequence of ids as parallel streams that are read segment by segment: the input of truncated BPTT."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import checks, integers, mesh


class Segment(NamedTuple):
    """A segment of every stream, time-major."""

    ids: jax.Array  # int32 [segment_length, B]
    targets: jax.Array  # int32 [segment_length, B]: the next ids
    weights: jax.Array  # [segment_length, B]: 1, and 0 beyond the end of the sequence


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Streams:
    """A sequence of N ids cut into B contiguous streams, one per column (Mikolov et al. 2010; Zaremba et al. 2014).

    Stream b starts where stream b - 1 ends; a state carried from segment to segment has read its whole stream up to
    there. Every id but the first is a target exactly once. A pytree, to be passed to compiled programs.

    >>> import numpy as np
    >>> from rnn_jax import data
    >>> streams = data.Streams.of(np.arange(9), batch_size=2, segment_length=2)
    >>> streams.segments
    2
    >>> streams.segment(1).ids.tolist(), streams.segment(1).targets.tolist()  # [segment_length, B]
    ([[2, 6], [3, 7]], [[3, 7], [4, 8]])

    Attributes:
      columns: ids in reading order, int32 [segments * segment_length + 1, B], zero beyond the end.
      counts: number of targets of each stream, int32 [B].
      segment_length: number of steps in a segment.
    """

    columns: jax.Array = dataclasses.field(repr=False)
    counts: jax.Array = dataclasses.field(repr=False)
    segment_length: int = dataclasses.field(metadata={"static": True})

    @classmethod
    def of(cls, ids: Any, batch_size: int, segment_length: int) -> "Streams":
        """Cuts ids into streams.

        Args:
          ids: integers [N].
          batch_size: number of streams, B.
          segment_length: number of steps in a segment.

        Raises:
          TypeError: if ids are not integers.
          ValueError: if ids is not [N], a number is not a positive integer, or N is less than
            batch_size * segment_length + 1, one segment of each stream.
        """
        checks.integer_at_least(1, batch_size, "Streams: batch_size")
        checks.integer_at_least(1, segment_length, "Streams: segment_length")
        ids = np.asarray(integers.int32(ids, "Streams: ids"))
        if ids.ndim != 1:
            raise ValueError(f"Streams: ids must be [N], got shape {list(ids.shape)}")
        needed = batch_size * segment_length + 1
        if len(ids) < needed:
            raise ValueError(
                f"Streams: {batch_size} streams of at least one segment of {segment_length} steps need {needed:,} ids, "
                f"got {len(ids):,}"
            )
        targets = len(ids) - 1
        length = -(-targets // batch_size)
        starts = np.arange(batch_size) * length
        steps = -(-length // segment_length) * segment_length
        indices = starts[None] + np.arange(steps + 1)[:, None]
        columns = np.where(indices < len(ids), ids[np.minimum(indices, targets)], 0)
        counts = np.clip(targets - starts, 0, length)
        columns, counts = columns.astype(np.int32), counts.astype(np.int32)
        return cls(mesh.place_batch(columns, 1), mesh.place_batch(counts, 0), segment_length)

    @property
    def batch_size(self) -> int:
        return self.columns.shape[1]

    @property
    def segments(self) -> int:
        """Number of segments in one epoch, from the start of the streams to their end."""
        return (len(self.columns) - 1) // self.segment_length

    def segment(self, index: Any) -> Segment:
        """Returns segment `index`, 0 to `segments` - 1; `index` may be traced."""
        start = index * self.segment_length
        ids = jax.lax.dynamic_slice_in_dim(self.columns, start, self.segment_length + 1)
        remaining = (self.counts - start)[None]
        return Segment(ids[:-1], ids[1:], (jnp.arange(self.segment_length)[:, None] < remaining).astype(float))
