"""The contract of an estimator of dL/dtheta, and the functions that all estimators share.

    L = sum_t loss(readout, y_t, target_t),      s_t = step(theta, s_{t-1}, d_t),   y_t = output(theta, s_t, x_t)

A sequence is given in one or more segments. What an estimator needs from earlier segments is its carry, a pytree that
the caller passes from call to call; so every estimator runs under `jax.jit`, `jax.vmap` and `jax.lax.scan`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from rnn_jax import masking, noise, static
from rnn_jax.cell import Cell, State
from rnn_jax.engines import Scan
from rnn_jax.models import ReadoutModel
from rnn_jax.models.readout import ReadoutParams
from rnn_jax.tasks import Batch, Task
from rnn_jax.unrolling import Sequences, checked, unroll

# (readout parameters, outputs [n, *batch, ...], targets [n, ...]) -> scalar. It is a sum over the n steps: an estimator
# calls it for one step, for a segment or for the whole sequence.
ReadoutLoss = Callable[[Any, Any, Any], jax.Array]


class Estimate(NamedTuple):
    """The result of one segment."""

    value: jax.Array  # L, summed over the steps of the segment
    gradient: ReadoutParams  # estimate of dL/dparams of the segment
    carry: Any  # for the next segment


class Estimator(Protocol):
    """A frozen dataclass; its value and its gradient of the readout are exact, that of the cell is an estimate."""

    def init(
        self, cell: Cell, params: ReadoutParams, xs: Any, state: State | None = None, key: noise.Key = noise.NOT_GIVEN
    ) -> Any:
        """Returns the carry before the first segment.

        Args:
          cell: recurrent core; static.
          params: parameters of the cell and of the readout.
          xs: inputs of a segment as in `__call__`; only their shapes and dtypes are used.
          state: state before the first step, every leaf [*batch, ...]; None means the cell's initial state, whose
            parameters, if it has any, then receive their gradient.
          key: random key for cells with noise and for random estimators, which must be given one; None means a cell in
            evaluation.

        Returns:
          A pytree to pass to `__call__`.

        Raises:
          TypeError: if the estimator does not support the cell.
          ValueError: if a key is needed and not given.
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
        """Computes the loss of a segment and estimates its gradient.

        Args:
          cell: the cell passed to `init`; static.
          loss: function (readout parameters, outputs [n, *batch, ...], targets [n, ...]) -> scalar, a sum over steps.
            Outputs beyond a sequence's length are zero; the loss decides what they cost.
          params: parameters at which the gradient is taken. If they change between segments, the carry still holds
            quantities computed with the earlier ones.
          carry: result of `init`, or the carry of the previous segment.
          xs: inputs [T, *batch, input_size].
          targets: pytree, every leaf [T, ...].
          lengths: steps of each sequence within this segment, as for `rnn_jax.unroll`.
          resets: booleans [T, *batch], as for `rnn_jax.unroll`.

        Returns:
          An `Estimate`: the loss [], a gradient like `params`, and the carry of the next segment.

        Raises:
          TypeError, ValueError: as `rnn_jax.unroll`.
        """
        ...


class SegmentStart(NamedTuple):
    """The state before the first step of a segment; a part of every carry."""

    state: State
    is_initial: jax.Array  # boolean: `state` is the cell's initial state, whose parameters receive a gradient
    key: jax.Array | None  # for the segments to come

    @classmethod
    def create(cls, cell: Cell, params: Any, xs: Any, state: State | None, key: noise.Key) -> "SegmentStart":
        """Returns the start of the first segment; arguments of `Estimator.init`, but `params` are the cell's."""
        jax.eval_shape(lambda xs, s: checked(cell, params, xs, s).state, xs, state)
        if isinstance(key, noise.NotGiven):
            jax.eval_shape(lambda xs: unroll(cell, params, xs, engine=Scan()), xs)  # refuses noise without a key
            key = None
        is_initial = state is None
        return cls(cell.initial_state(params, batch_shape(xs)) if is_initial else state, jnp.array(is_initial), key)

    def detached_state(self, cell: Cell, params: Any, xs: Any) -> State:
        """Returns the state as a constant, or the initial state as a function of `params` if it is still that one."""
        initial = cell.initial_state(params, batch_shape(xs))
        return jax.tree.map(lambda i, s: jnp.where(self.is_initial, i, jax.lax.stop_gradient(s)), initial, self.state)

    def split_key(self) -> tuple["SegmentStart", jax.Array | None]:
        """Returns the start with a new key, and a key for this segment."""
        if self.key is None:
            return self, None
        key, segment_key = jax.random.split(self.key)
        return self._replace(key=key), segment_key

    def advance(self, state: State) -> "SegmentStart":
        """Returns the start of the next segment, given the final state of this one."""
        return self._replace(state=state, is_initial=jnp.zeros_like(self.is_initial))


def batch_shape(xs: Any) -> tuple[int, ...]:
    """Returns [*batch] of inputs [T, *batch, features]."""
    return tuple(jax.tree.leaves(xs)[0].shape[1:-1])


def require_step(estimator: Any, cell: Cell, params: Any, xs: Any) -> None:
    """Refuses a layer that has no `step`, as one that also reads the sequence in reverse.

    Raises:
      TypeError: if `cell.step` raises one; the message names the estimator, the cell and the reason.
    """

    def step(xs: Any) -> State:
        x = jax.tree.map(lambda leaf: leaf[0], xs)
        return cell.step(params, cell.initial_state(params, batch_shape(xs)), cell.project(params, x))

    try:
        jax.eval_shape(step, xs)
    except TypeError as error:
        name = type(estimator).__name__
        raise TypeError(f"{name} goes from step to step, which {type(cell).__name__} cannot: {error}") from error


def flagged(cell: Cell, params: Any, sequences: Sequences, key: jax.Array | None) -> masking.Flagged:
    """Returns checked inputs for `masking.Masked(cell)`, with the noise of every step and with both flags set."""
    every = jnp.ones(sequences.shape, bool)
    valid = every if sequences.valid is None else sequences.valid
    resets = ~every if sequences.resets is None else sequences.resets
    step_noise = None if key is None else cell.noise(params, key, sequences.shape)
    return masking.Flagged(noise.join(sequences.xs, step_noise), valid, resets)


def task_loss(model: ReadoutModel, task: Task, batch: Batch) -> ReadoutLoss:
    """Returns the loss of a task on a batch in the form that estimators take, with `Batch` as the type of its targets.

    A task's loss is a mean over all weighted steps of all sequences; the loss of n steps is their share of that mean.

    Args:
      model: the cell and its readout.
      task: definition of the loss.
      batch: the whole batch, [T, B, ...]; its weights normalise the loss.

    Returns:
      A function (readout parameters, outputs [n, B, ...], `Batch` of n steps) -> scalar.
    """
    static.refuse_class(model, "task_loss: model")
    static.refuse_class(task, "task_loss: task")
    total = jnp.sum(batch.weights)
    total = jnp.where(total > 0, total, 1)

    def loss(readout: Any, hs: Any, segment: Batch) -> jax.Array:
        outputs = model.read(ReadoutParams((), readout), hs)
        return task.loss(outputs, segment) * (jnp.sum(segment.weights) / total)

    return loss
