"""Truncated backpropagation through time: the state is carried from segment to segment, the gradient is not."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import arrays, checks, masking, noise
from rnn_jax.cell import Cell, State
from rnn_jax.engines import Engine, Hoisted
from rnn_jax.gradients.estimator import Estimate, ReadoutLoss, SegmentStart, flagged, require_step
from rnn_jax.models.readout import ReadoutParams
from rnn_jax.static import Static
from rnn_jax.unrolling import Sequences, checked, unroll


class Window(NamedTuple):
    """The carry from segment to segment."""

    start: SegmentStart  # before the first step of the next window
    recent: masking.Flagged | None  # inputs of that window's first w - k steps; not valid before the sequence's start
    seen: jax.Array  # number of steps so far


class SegmentInputs(NamedTuple):
    """A segment, time-major; or several of one length, stacked on a leading axis."""

    xs: Any  # `Flagged` if windows overlap; resets, lengths and key are then None
    resets: Any
    lengths: Any  # steps of each sequence within the segment
    key: Any
    targets: Any


@dataclasses.dataclass(frozen=True)
class TBPTT(Static):
    """Truncated BPTT(w; k): every k steps, the losses of those steps are backpropagated through the last w steps.

    A loss is backpropagated through at least w - k + 1 steps and at most w, or to the start of the sequence. With
    w = k, the usual form, the sequence is split into segments and the gradient is cut between them. With w > k the
    w - k steps before a segment are recomputed with it, from the state before them: w / k times the time. With w = T
    it is BPTT. Williams & Peng 1990, "An efficient gradient-based algorithm for on-line training of recurrent network
    trajectories".

    Memory is O(w), for any T: except for inputs and targets, nothing of the sequence is kept. If k does not divide T,
    one segment is shorter: the last one, or with w > k the first one, so that every window is complete. All segments
    of full length are one compiled loop.

    >>> import jax, jax.numpy as jnp
    >>> from rnn_jax import GRU, gradients, models, tasks
    >>> model, task = models.ReadoutModel(GRU(2, 3), 1), tasks.Adding(length=6)
    >>> params, batch = model.init(jax.random.key(0)), task.sample(jax.random.key(1), 4)
    >>> loss = gradients.task_loss(model, task, batch)
    >>> def gradient(estimator):
    ...     carry = estimator.init(model.cell, params, batch.inputs)
    ...     return estimator(model.cell, loss, params, carry, batch.inputs, batch).gradient.cell.w_h
    >>> exact = gradient(gradients.BPTT())
    >>> [bool(jnp.allclose(gradient(gradients.TBPTT(2, window=w)), exact, atol=1e-6)) for w in (2, 6)]
    [False, True]

    Args:
      segment_length: number of steps k.
      window: number of steps w; None means k.
      engine: engine that solves the recurrence of a window.

    Raises:
      TypeError: by `init`, if the cell has no `step`.
      ValueError: if a number is not a positive integer, if the window is shorter than a segment, or, by a call, if the
        sequence is shorter than a segment.
    """

    segment_length: int
    window: int | None = None
    engine: Engine = Hoisted()

    def __post_init__(self) -> None:
        checks.integer_at_least(1, self.segment_length, "TBPTT: segment_length")
        if self.window is not None:
            checks.integer_at_least(1, self.window, "TBPTT: window")
            if self.window < self.segment_length:
                raise ValueError(
                    f"TBPTT: window must be at least segment_length = {self.segment_length}, got {self.window}: the "
                    "losses of a segment's first steps would be left out"
                )

    @property
    def overlap(self) -> int:
        """Number of steps of a window before its segment, w - k."""
        return 0 if self.window is None else self.window - self.segment_length

    def init(
        self, cell: Cell, params: ReadoutParams, xs: Any, state: State | None = None, key: noise.Key = noise.NOT_GIVEN
    ) -> Window:
        """Returns the carry before the first segment; see `Estimator.init`."""
        xs = arrays.native(xs, "TBPTT")
        start = SegmentStart.create(cell, params.cell, xs, state, key)
        require_step(self, cell, params.cell, xs)
        if not self.overlap:
            return Window(start, None, jnp.array(0))
        inputs = jax.eval_shape(lambda xs: flagged(cell, params.cell, checked(cell, params.cell, xs), start.key), xs)
        recent = jax.tree.map(lambda x: jnp.zeros((self.overlap, *x.shape[1:]), x.dtype), inputs)
        return Window(start, recent, jnp.array(0))

    def __call__(
        self,
        cell: Cell,
        loss: ReadoutLoss,
        params: ReadoutParams,
        carry: Window,
        xs: Any,
        targets: Any,
        *,
        lengths: Any = None,
        resets: Any = None,
    ) -> Estimate:
        """Computes loss and gradient of a segment; see `Estimator.__call__`."""
        sequences = checked(cell, params.cell, xs, lengths=lengths, resets=resets)
        steps, k = sequences.shape[0], self.segment_length
        if steps < k:
            raise ValueError(f"TBPTT: segment_length = {k} is longer than the sequence, which has {steps} steps")
        start, key = carry.start.split_key()
        segment_loss = self._overlapping_loss if self.overlap else self._segment_loss

        def add_segment(total: Estimate, segment: SegmentInputs) -> tuple[Estimate, None]:
            def loss_of(params: ReadoutParams) -> tuple[jax.Array, Window]:
                return segment_loss(cell, loss, params, total.carry, segment)

            (value, carry), gradient = jax.value_and_grad(loss_of, has_aux=True)(params)
            value, gradient = jax.tree.map(jnp.add, (total.value, total.gradient), (value, gradient))
            return Estimate(value, gradient, carry), None

        short, full = self._segments(cell, params, sequences, targets, key)
        value = jax.eval_shape(lambda: segment_loss(cell, loss, params, carry, _at(full, 0))[0])
        zeros = jnp.zeros(value.shape, value.dtype), jax.tree.map(jnp.zeros_like, params)
        total = Estimate(*zeros, carry._replace(start=start))
        if short is not None and self.overlap:
            total, _ = add_segment(total, short)
        total, _ = jax.lax.scan(add_segment, total, full)
        if short is not None and not self.overlap:
            total, _ = add_segment(total, short)
        return total

    def _segments(
        self, cell: Cell, params: ReadoutParams, sequences: Sequences, targets: Any, key: jax.Array | None
    ) -> tuple[SegmentInputs | None, SegmentInputs]:
        """Splits sequences into the shorter segment, if there is one, and all others, stacked.

        With overlap the shorter one is the first, else the last.
        """
        k = self.segment_length
        count, remainder = divmod(sequences.shape[0], k)
        if self.overlap:
            timed = SegmentInputs(flagged(cell, params.cell, sequences, key), None, None, None, targets)
            full = jax.tree.map(lambda leaf: _split(leaf[remainder:], count), timed)
            return (_at(timed, slice(remainder)) if remainder else None), full
        timed = SegmentInputs(sequences.xs, sequences.resets, None, None, targets)
        full = jax.tree.map(lambda leaf: _split(leaf[: count * k], count), timed)
        segments, lengths, keys = count + bool(remainder), None, None
        if sequences.lengths is not None:
            starts = jnp.reshape(jnp.arange(segments) * k, (-1,) + (1,) * sequences.lengths.ndim)
            lengths = jnp.clip(sequences.lengths[None] - starts, 0, k)
        if key is not None:
            keys = jax.random.split(key, segments)
        full = full._replace(lengths=_at(lengths, slice(count)), key=_at(keys, slice(count)))
        if not remainder:
            return None, full
        return _at(timed, slice(count * k, None))._replace(lengths=_at(lengths, -1), key=_at(keys, -1)), full

    def _segment_loss(
        self, cell: Cell, loss: ReadoutLoss, params: ReadoutParams, carry: Window, segment: SegmentInputs
    ) -> tuple[jax.Array, Window]:
        """Returns the loss of a segment without overlap, and the next carry."""
        state, ys = unroll(
            cell,
            params.cell,
            segment.xs,
            carry.start.detached_state(cell, params.cell, segment.xs),
            lengths=segment.lengths,
            resets=segment.resets,
            engine=self.engine,
            key=segment.key,
        )
        return loss(params.readout, ys, segment.targets), carry._replace(start=carry.start.advance(state))

    def _overlapping_loss(
        self, cell: Cell, loss: ReadoutLoss, params: ReadoutParams, carry: Window, segment: SegmentInputs
    ) -> tuple[jax.Array, Window]:
        """Returns the loss of a segment whose window starts before it, and the next carry."""
        steps = len(segment.xs.valid)
        window = jax.tree.map(lambda *parts: jnp.concatenate(parts), carry.recent, segment.xs)
        state = carry.start.detached_state(cell, params.cell, segment.xs.x)
        _, states = self.engine(masking.Masked(cell), params.cell, state, window)
        segment_states = jax.tree.map(lambda s: s[-steps:], states)
        ys = masking.blank(cell.output(params.cell, segment_states, segment.xs.x), segment.xs.valid)
        # The next window starts as many steps later as this segment has.
        seen = carry.seen + steps
        start = carry.start._replace(
            state=jax.tree.map(lambda s: s[steps - 1], states),
            is_initial=carry.start.is_initial & (seen <= self.overlap),
        )
        recent = jax.tree.map(lambda leaf: leaf[steps:], window)
        return loss(params.readout, ys, segment.targets), Window(start, recent, seen)


def _split(leaf: jax.Array, count: int) -> jax.Array:
    """Splits [count * k, ...] into [count, k, ...]."""
    return jnp.reshape(leaf, (count, len(leaf) // count, *leaf.shape[1:]))


def _at(tree: Any, index: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[index], tree)
