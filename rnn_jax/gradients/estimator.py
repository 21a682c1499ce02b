"""The contract of an estimator of dL/dtheta, and the loss that all of them share.

    L = sum_t loss(readout, y_t, target_t),      s_t = step(theta, s_{t-1}, d_t),   y_t = output(theta, s_t, x_t)

A stream of inputs is read by stretches; what an estimator must remember from one to the next is its carry, a pytree
that the caller holds. So all of them run under jit, vmap and scan, and a sequence may be one stretch or many.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from rnn_jax import masking, noise
from rnn_jax.cell import Cell, State
from rnn_jax.models import ReadoutModel
from rnn_jax.models.readout import ReadoutParams
from rnn_jax.tasks import Batch, Task
from rnn_jax.unrolling import Sequences, checked

# (readout parameters, outputs [n, *batch, ...], targets [n, ...]) -> scalar. A sum over the n steps: estimators call it
# with as many steps at once as suits them.
ReadoutLoss = Callable[[Any, Any, Any], jax.Array]


class Estimate(NamedTuple):
    """Of one stretch."""

    value: jax.Array  # L, summed over the steps of the stretch
    gradient: ReadoutParams  # of L in the cell's and the readout's parameters, as far as the estimator sees it
    carry: Any  # for the next stretch


class Estimator(Protocol):
    """A frozen dataclass. The readout's gradient is exact with all of them; they differ in what reaches the cell's."""

    def init(
        self, cell: Cell, params: ReadoutParams, xs: Any, state: State | None = None, key: jax.Array | None = None
    ) -> Any:
        """The carry before the first stretch.

        Args:
          cell: the recurrent core.
          params: its parameters and the readout's.
          xs: inputs of a stretch as `__call__` will get them; only their shapes and dtypes are read.
          state: before the first step; None means the cell's initial state, whose parameters, where it has some, then
            have their share in the gradient.
          key: draws the noise of cells that have some, and of estimators that do.

        Raises:
          TypeError: where the estimator cannot serve the cell.
          ValueError: where a key is needed and none was given.
        """
        ...

    def __call__(
        self,
        cell: Cell,
        loss: ReadoutLoss,
        params: ReadoutParams,
        carry: Any,
        xs: Any,
        targets: Any,
        *,
        lengths: Any = None,
        resets: Any = None,
    ) -> Estimate:
        """The loss of a stretch and the estimate of its gradient.

        Args:
          cell: of `init`.
          loss: sum over steps. Outputs beyond a sequence's length are zero; what they cost is the loss's business.
          params: where the gradient is wanted. They may have moved since the last stretch; what is carried is of then.
          carry: from `init` or the last stretch.
          xs: inputs [T, *batch, input_size].
          targets: a pytree, every leaf [T, ...].
          lengths: as `rnn_jax.unroll`'s, of this stretch.
          resets: as `rnn_jax.unroll`'s.

        Raises:
          TypeError, ValueError: as `rnn_jax.unroll`.
        """
        ...


class SegmentStart(NamedTuple):
    """The state at the start of a stretch, as a carry holds it."""

    state: State
    own: jax.Array  # whether it is still the cell's initial one, to whose parameters the gradient goes on
    key: jax.Array | None

    @classmethod
    def of(cls, cell: Cell, params: Any, xs: Any, state: State | None, key: jax.Array | None) -> "SegmentStart":
        """Before the first step; arguments of `Estimator.init`, but for the cell's own parameters."""
        jax.eval_shape(lambda xs, s: checked(cell, params, xs, s).state, xs, state)
        own = state is None
        return cls(cell.initial_state(params, batch_shape(xs)) if own else state, jnp.array(own), key)

    def cut(self, cell: Cell, params: Any, xs: Any) -> State:
        """The state, beyond which no gradient goes unless to the parameters of the initial one."""
        initial = cell.initial_state(params, batch_shape(xs))
        return jax.tree.map(lambda i, s: jnp.where(self.own, i, jax.lax.stop_gradient(s)), initial, self.state)

    def draw(self) -> tuple["SegmentStart", jax.Array | None]:
        """A key for this stretch, and what is left."""
        if self.key is None:
            return self, None
        key, drawn = jax.random.split(self.key)
        return self._replace(key=key), drawn


def batch_shape(xs: Any) -> tuple[int, ...]:
    """[*batch] of inputs [T, *batch, features]."""
    return tuple(jax.tree.leaves(xs)[0].shape[1:-1])


def refuse_unless_stepped(estimator: Any, cell: Cell, params: Any, xs: Any) -> None:
    """Refuses a layer that sees the sequence from its end as well.

    Raises:
      TypeError: with the estimator, the cell and the reason.
    """

    def step(xs: Any) -> State:
        x = jax.tree.map(lambda leaf: leaf[0], xs)
        return cell.step(params, cell.initial_state(params, batch_shape(xs)), cell.project(params, x))

    try:
        jax.eval_shape(step, xs)
    except TypeError as error:
        name = type(estimator).__name__
        raise TypeError(f"{name} goes from step to step, which {type(cell).__name__} cannot: {error}") from error


def flagged(cell: Cell, params: Any, given: Sequences, key: jax.Array | None) -> masking.Flagged:
    """Checked inputs as `masking.Masked(cell)` wants them: with the noise of their steps, and every flag there."""
    every = jnp.ones(given.shape, bool)
    valid = every if given.valid is None else given.valid
    resets = ~every if given.resets is None else given.resets
    drawn = None if key is None else cell.noise(params, key, given.shape)
    return masking.Flagged(noise.join(given.xs, drawn), valid, resets)


def task_loss(model: ReadoutModel, task: Task, batch: Batch) -> ReadoutLoss:
    """The task's loss on a batch as an estimator wants it, with the whole `Batch` as targets.

    A task's loss is a mean over all weighted steps of all sequences: each step gives its share of the mean.
    """
    total = jnp.sum(batch.weights)
    total = jnp.where(total > 0, total, 1)

    def loss(readout: Any, hs: Any, piece: Batch) -> jax.Array:
        outputs = model.read(ReadoutParams((), readout), hs)
        return task.loss(outputs, piece) * (jnp.sum(piece.weights) / total)

    return loss
