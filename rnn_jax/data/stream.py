"""One long sequence of ids as streams side by side, read segment by segment: what truncated BPTT trains on."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import checks, mesh


class Segment(NamedTuple):
    """A segment of every stream, time-major."""

    ids: jax.Array  # int32 [segment_length, B]
    targets: jax.Array  # int32 [segment_length, B]: the id after each
    weights: jax.Array  # [segment_length, B]: 1, or 0 beyond the end of the sequence


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Streams:
    """A sequence of N ids cut into B contiguous streams, one a column: Mikolov et al. 2010; Zaremba et al. 2014.

    Stream b goes on where stream b - 1 ends, so that a state carried from segment to segment has read all of the stream
    before it. Every id but the first is a target once. A pytree, to be given to a compiled program.

    Attributes:
      columns: int32 [segments * segment_length + 1, B], the ids in reading order, zero beyond the end.
      counts: int32 [B], targets of each stream.
      segment_length: number of steps in a segment.
    """

    columns: jax.Array = dataclasses.field(repr=False)
    counts: jax.Array = dataclasses.field(repr=False)
    segment_length: int = dataclasses.field(metadata={"static": True})

    @classmethod
    def of(cls, ids: Any, batch_size: int, segment_length: int) -> "Streams":
        """Cuts ids [N] into `batch_size` streams, read by segments.

        Raises:
          TypeError: where ids are not integers.
          ValueError: where ids is not [N], a number is not a positive integer, or N is less than
            batch_size * segment_length + 1, a segment of each stream.
        """
        checks.integer_at_least(1, batch_size, "Streams: batch_size")
        checks.integer_at_least(1, segment_length, "Streams: segment_length")
        ids = np.asarray(ids)
        if ids.ndim != 1:
            raise ValueError(f"Streams: ids must be [N], got shape {list(ids.shape)}")
        if not np.issubdtype(ids.dtype, np.integer):
            raise TypeError(f"Streams: ids must be integers, got {ids.dtype}")
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
        places = starts[None] + np.arange(steps + 1)[:, None]
        columns = np.where(places < len(ids), ids[np.minimum(places, targets)], 0)
        counts = np.clip(targets - starts, 0, length)
        columns, counts = columns.astype(np.int32), counts.astype(np.int32)
        return cls(mesh.place_batch(columns, 1), mesh.place_batch(counts, 0), segment_length)

    @property
    def batch_size(self) -> int:
        return self.columns.shape[1]

    @property
    def segments(self) -> int:
        """Segments from the beginning of the streams to their end: one epoch."""
        return (len(self.columns) - 1) // self.segment_length

    def segment(self, index: Any) -> Segment:
        """Returns segment `index`, 0 to `segments` - 1; `index` may be traced."""
        start = index * self.segment_length
        ids = jax.lax.dynamic_slice_in_dim(self.columns, start, self.segment_length + 1)
        left = (self.counts - start)[None]
        return Segment(ids[:-1], ids[1:], (jnp.arange(self.segment_length)[:, None] < left).astype(float))
