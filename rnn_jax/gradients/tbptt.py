"""Truncated backpropagation through time: `stop_gradient` between segments, the state carried over."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import checks, masking
from rnn_jax.cell import Cell, State
from rnn_jax.engines import Engine, Hoisted
from rnn_jax.gradients.estimator import Estimate, ReadoutLoss, SegmentStart, flagged, refuse_unless_stepped
from rnn_jax.models.readout import ReadoutParams
from rnn_jax.unrolling import checked, unroll


class Window(NamedTuple):
    """Carried from segment to segment."""

    begun: SegmentStart  # before the first of the steps that the next window begins with
    recent: masking.Flagged | None  # those steps, [w - k, *batch, ...]; not valid where the sequence had not begun
    seen: jax.Array  # steps so far


class SegmentInputs(NamedTuple):
    """A segment, or all of them with one more leading axis; time-major within."""

    xs: Any  # `Flagged` where windows overlap, and then the next three are None
    resets: Any
    left: Any  # steps that each sequence has from here on
    key: Any
    targets: Any


@dataclasses.dataclass(frozen=True)
class TBPTT:
    """BPTT(w; k) of Williams & Peng 1990, "An efficient gradient-based algorithm for on-line training of recurrent
    network trajectories": after every k steps, the losses of those k steps are followed back over the last w.

    Every loss is followed back over at least w - k + 1 steps and at most w (or to the start), so a dependency of that
    length is seen and a longer one is not. With w = k, the usual form, the sequence falls into segments, and no
    gradient goes from one to the one before. With w > k the w - k steps before a segment are run again with it, from
    the state that was then: w / k times the time. With w = T it is BPTT.

    Memory is O(w), whatever T: beside inputs and targets nothing of the sequence is kept. Where T is no multiple of k
    one segment is shorter: the last, or with w > k the first, so that no window need be. All whole ones are one
    compiled loop.

    Args:
      segment_length: k, steps.
      window: w, steps; None means k.
      engine: how a window's recurrence is solved.

    Raises:
      TypeError: by `init`, where a layer cannot be carried from segment to segment.
      ValueError: where a number is not a positive integer or the window is shorter than a segment; by a call, where a
        segment is longer than the stretch.
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
        """Steps that a window has before its segment, w - k."""
        return 0 if self.window is None else self.window - self.segment_length

    def init(
        self, cell: Cell, params: ReadoutParams, xs: Any, state: State | None = None, key: jax.Array | None = None
    ) -> Window:
        begun = SegmentStart.of(cell, params.cell, xs, state, key)
        refuse_unless_stepped(self, cell, params.cell, xs)
        if not self.overlap:
            return Window(begun, None, jnp.array(0))
        like = jax.eval_shape(lambda xs: flagged(cell, params.cell, checked(cell, params.cell, xs), key), xs)
        recent = jax.tree.map(lambda x: jnp.zeros((self.overlap, *x.shape[1:]), x.dtype), like)
        return Window(begun, recent, jnp.array(0))

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
        given = checked(cell, params.cell, xs, lengths=lengths, resets=resets)
        steps, k = given.shape[0], self.segment_length
        if steps < k:
            raise ValueError(f"TBPTT: segment_length = {k} is longer than the sequence, which has {steps} steps")
        begun, key = carry.begun.draw()
        window = self._overlapping if self.overlap else self._apart

        def segment(found: Estimate, piece: SegmentInputs) -> tuple[Estimate, None]:
            def of(params: ReadoutParams) -> tuple[jax.Array, Window]:
                return window(cell, loss, params, found.carry, piece)

            (value, carry), gradient = jax.value_and_grad(of, has_aux=True)(params)
            value, gradient = jax.tree.map(jnp.add, (found.value, found.gradient), (value, gradient))
            return Estimate(value, gradient, carry), None

        timed = SegmentInputs(given.xs, given.resets, None, None, targets)
        if self.overlap:
            timed = SegmentInputs(flagged(cell, params.cell, given, key), None, None, None, targets)
        count, tail = divmod(steps, k)
        segments = count + bool(tail)
        left, keys = None, None
        if given.lengths is not None and not self.overlap:
            starts = jnp.reshape(jnp.arange(segments) * k, (-1,) + (1,) * given.lengths.ndim)
            left = jnp.clip(given.lengths[None] - starts, 0, k)
        if key is not None and not self.overlap:
            keys = jax.random.split(key, segments)

        def at(tree: Any, which: Any) -> Any:
            return jax.tree.map(lambda leaf: leaf[which], tree)

        first = tail if self.overlap else 0  # steps before the whole segments
        whole = jax.tree.map(
            lambda leaf: jnp.reshape(leaf[first : first + count * k], (count, k, *leaf.shape[1:])), timed
        )
        whole = whole._replace(left=at(left, slice(count)), key=at(keys, slice(count)))
        value = jax.eval_shape(lambda: window(cell, loss, params, carry, at(whole, 0))[0])
        nothing = jnp.zeros(value.shape, value.dtype), jax.tree.map(jnp.zeros_like, params)
        found = Estimate(*nothing, carry._replace(begun=begun))
        if first:
            found, _ = segment(found, at(timed, slice(first)))
        found, _ = jax.lax.scan(segment, found, whole)
        if tail > first:
            rest = at(timed, slice(count * k, steps))._replace(left=at(left, -1), key=at(keys, -1))
            found, _ = segment(found, rest)
        return found

    def _apart(
        self, cell: Cell, loss: ReadoutLoss, params: ReadoutParams, carry: Window, piece: SegmentInputs
    ) -> tuple[jax.Array, Window]:
        """The loss of a segment that is a window of its own, and the carry after it."""
        state, ys = unroll(
            cell,
            params.cell,
            piece.xs,
            carry.begun.cut(cell, params.cell, piece.xs),
            lengths=piece.left,
            resets=piece.resets,
            engine=self.engine,
            key=piece.key,
        )
        begun = carry.begun._replace(state=state, own=jnp.zeros_like(carry.begun.own))
        return loss(params.readout, ys, piece.targets), carry._replace(begun=begun)

    def _overlapping(
        self, cell: Cell, loss: ReadoutLoss, params: ReadoutParams, carry: Window, piece: SegmentInputs
    ) -> tuple[jax.Array, Window]:
        """The same for a window that begins before its segment."""
        steps = len(piece.xs.valid)
        window = jax.tree.map(lambda *parts: jnp.concatenate(parts), carry.recent, piece.xs)
        start = carry.begun.cut(cell, params.cell, piece.xs.x)
        _, states = self.engine(masking.Masked(cell), params.cell, start, window)
        own_states = jax.tree.map(lambda s: s[-steps:], states)
        ys = masking.blank(cell.output(params.cell, own_states, piece.xs.x), piece.xs.valid)
        # Where the next window begins: as many steps later.
        seen = carry.seen + steps
        begun = carry.begun._replace(
            state=jax.tree.map(lambda s: s[steps - 1], states), own=carry.begun.own & (seen <= self.overlap)
        )
        recent = jax.tree.map(lambda leaf: leaf[steps:], window)
        return loss(params.readout, ys, piece.targets), Window(begun, recent, seen)
