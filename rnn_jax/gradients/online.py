"""Base class of the estimators that only go forward: they carry the influence of the past, or an approximation of it.

    M_t = ds_t/dtheta = (ds_t/ds_{t-1}) M_{t-1} + dstep/dtheta,      dL/dtheta = sum_t (dL_t/ds_t) M_t

Memory does not depend on T, and there is a gradient after every step. Each sequence of a batch has its own influence.
Williams & Zipser 1989; for a common view of the approximations, Marschall, Cho & Savin 2020, arXiv:1907.02649.
"""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jax import flatten_util

from rnn_jax import arrays, masking, noise
from rnn_jax.cell import Cell, Params, State
from rnn_jax.coordinates import ravel
from rnn_jax.gradients.estimator import Estimate, ReadoutLoss, SegmentStart, batch_shape, flagged, require_step
from rnn_jax.models.readout import ReadoutParams
from rnn_jax.static import Static
from rnn_jax.unrolling import checked

Influence = Any


@dataclasses.dataclass(frozen=True)
class FlatCell:
    """A cell on one sequence, with parameters and state as vectors theta [P] and s [S]; its inputs are `Flagged`."""

    cell: masking.Masked
    params: Callable[[jax.Array], Params]  # from theta
    state: Callable[[jax.Array], State]  # from s

    @classmethod
    def create(cls, cell: Cell, params: Params) -> "FlatCell":
        return cls(masking.Masked(cell), flatten_util.ravel_pytree(params)[1], ravel(cell.initial_state(params))[1])

    def initial(self, theta: jax.Array) -> jax.Array:
        """Returns the state before the first step."""
        return ravel(self.cell.initial_state(self.params(theta)))[0]

    def step(self, theta: jax.Array, s: jax.Array, x: masking.Flagged) -> jax.Array:
        """Returns s_t from s_{t-1} and x_t."""
        params = self.params(theta)
        return ravel(self.cell.step(params, self.state(s), self.cell.project(params, x)))[0]

    def activate(self, theta: jax.Array, s: jax.Array, x: masking.Flagged) -> jax.Array:
        """Returns s_t of a split cell, with the recurrent product as a constant."""
        params, state = self.params(theta), self.state(s)
        drive = self.cell.project(params, x)
        r = jax.lax.stop_gradient(self.cell.recurrent(params, self.cell.enter(params, state, drive)))
        return ravel(self.cell.activate(params, state, drive, r))[0]


class OnlineCarry(NamedTuple):
    """The carry of an online estimator."""

    start: SegmentStart
    influence: Influence  # every leaf [N, ...], N the number of sequences in the batch


class Online(Static, abc.ABC):
    """An estimator that carries an influence; a subclass defines three functions of it, each for one sequence.

    Their arguments: `flat`, the cell; `theta` [P]; a state `s` [S]; `x`, the `Flagged` input of one step; `key`, a
    random key if `is_random`, else None.
    """

    is_random: ClassVar[bool] = False

    @abc.abstractmethod
    def init_influence(
        self, flat: FlatCell, theta: jax.Array, x: Any, is_initial: bool, key: jax.Array | None
    ) -> Influence:
        """Returns M_0: ds_0/dtheta if s_0 is the cell's initial state (`is_initial`), else zero."""

    @abc.abstractmethod
    def update_influence(
        self, flat: FlatCell, theta: jax.Array, s: jax.Array, x: Any, influence: Influence, key: jax.Array | None
    ) -> Influence:
        """Returns M_t from M_{t-1}, with s = s_{t-1} and x = x_t."""

    @abc.abstractmethod
    def contract(
        self, flat: FlatCell, theta: jax.Array, x: Any, influence: Influence, state_bar: jax.Array
    ) -> jax.Array:
        """Returns dL_t/ds_t M_t [P], with `state_bar` = dL_t/ds_t [S]."""

    def init(
        self, cell: Cell, params: ReadoutParams, xs: Any, state: State | None = None, key: noise.Key = noise.NOT_GIVEN
    ) -> OnlineCarry:
        """Returns the carry before the first segment; see `Estimator.init`."""
        xs = arrays.native(xs, type(self).__name__)
        start = SegmentStart.create(cell, params.cell, xs, state, key)
        require_step(self, cell, params.cell, xs)
        if self.is_random and start.key is None:
            raise ValueError(f"{type(self).__name__} is random: init needs a key")
        key = start.key
        start, segment_key = start.split_key()

        def first_rows(xs: Any) -> masking.Flagged:
            inputs = flagged(cell, params.cell, checked(cell, params.cell, xs), key)
            return _rows(jax.tree.map(lambda leaf: leaf[0], inputs), len(batch_shape(xs)))

        rows = jax.eval_shape(first_rows, xs)
        x = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape[1:], leaf.dtype), rows)
        flat, theta = FlatCell.create(cell, params.cell), flatten_util.ravel_pytree(params.cell)[0]
        count = len(rows.valid)
        init = jax.vmap(lambda key: self.init_influence(flat, theta, x, state is None, key), axis_size=count)
        return OnlineCarry(start, init(self._keys(segment_key, count)))

    def __call__(
        self,
        cell: Cell,
        loss: ReadoutLoss,
        params: ReadoutParams,
        carry: OnlineCarry,
        xs: Any,
        targets: Any,
        *,
        lengths: Any = None,
        resets: Any = None,
    ) -> Estimate:
        """Computes loss and gradient of a segment; see `Estimator.__call__`."""
        sequences = checked(cell, params.cell, xs, lengths=lengths, resets=resets)
        start, noise_key = carry.start.split_key()
        start, key = start.split_key()
        flat, theta = FlatCell.create(cell, params.cell), flatten_util.ravel_pytree(params.cell)[0]

        def body(sums: Any, at: Any) -> tuple[Any, None]:
            state, influence, value, theta_bar, readout_bar = sums
            x, target, key = at
            influence = self._update_rows(flat, theta, state, x, influence, key)
            state = flat.cell.step(params.cell, state, flat.cell.project(params.cell, x))
            step_value, direct, through_state, step_readout = self._step_gradient(
                flat, theta, loss, params, state, x, target, influence
            )
            theta_bar = theta_bar + direct + through_state
            readout_bar = jax.tree.map(jnp.add, readout_bar, step_readout)
            return (state, influence, value + step_value, theta_bar, readout_bar), None

        inputs = flagged(cell, params.cell, sequences, noise_key)
        zeros = jnp.zeros((), theta.dtype), jnp.zeros_like(theta), jax.tree.map(jnp.zeros_like, params.readout)
        first = (start.detached_state(cell, params.cell, xs), carry.influence, *zeros)
        sums, _ = jax.lax.scan(body, first, (inputs, targets, self._keys(key, sequences.shape[0])))
        state, influence, value, theta_bar, readout_bar = sums
        gradient = ReadoutParams(flat.params(theta_bar), readout_bar)
        return Estimate(value, gradient, OnlineCarry(start.advance(state), influence))

    def _update_rows(
        self, flat: FlatCell, theta: jax.Array, state: State, x: Any, influence: Influence, key: jax.Array | None
    ) -> Influence:
        """Updates the influence of every sequence; `state` is the one before the step, leaves [*batch, ...]."""
        rows = _rows(x, x.valid.ndim)
        update = jax.vmap(lambda s, x, i, k: self.update_influence(flat, theta, s, x, i, k))
        return update(_vectors(state, x.valid.ndim), rows, influence, self._keys(key, len(rows.valid)))

    def _step_gradient(
        self,
        flat: FlatCell,
        theta: jax.Array,
        loss: ReadoutLoss,
        params: ReadoutParams,
        state: State,
        x: Any,
        target: Any,
        influence: Influence,
    ) -> tuple[jax.Array, jax.Array, jax.Array, Any]:
        """Returns the loss of one step, its direct gradient and that through the state [P], and the readout's."""

        def step_loss(cell_params: Params, readout: Any, s: jax.Array) -> jax.Array:
            after = jax.tree.map(lambda leaf, like: jnp.reshape(leaf, like.shape), jax.vmap(flat.state)(s), state)
            y = masking.blank(flat.cell.output(cell_params, after, x), x.valid)
            return loss(readout, *jax.tree.map(lambda leaf: leaf[None], (y, target)))

        dims = x.valid.ndim
        value, (cell_bar, readout_bar, state_bar) = jax.value_and_grad(step_loss, argnums=(0, 1, 2))(
            params.cell, params.readout, _vectors(state, dims)
        )
        contract = jax.vmap(lambda x, i, s_bar: self.contract(flat, theta, x, i, s_bar))
        through_state = jnp.sum(contract(_rows(x, dims), influence, state_bar), axis=0)
        return value, flatten_util.ravel_pytree(cell_bar)[0], through_state, readout_bar

    def _keys(self, key: jax.Array | None, count: int) -> jax.Array | None:
        return jax.random.split(key, count) if self.is_random and key is not None else None


def _rows(tree: Any, dims: int) -> Any:
    """Reshapes leaves [*batch, ...] with `dims` batch dimensions to [N, ...]."""
    return jax.tree.map(lambda leaf: jnp.reshape(leaf, (-1, *leaf.shape[dims:])), tree)


def _vectors(state: State, dims: int) -> jax.Array:
    """Returns states, leaves [*batch, ...], as vectors [N, S]."""
    return jax.vmap(lambda s: ravel(s)[0])(_rows(state, dims))
