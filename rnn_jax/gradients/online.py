"""Estimators that only go forward: in place of the past they carry its influence, or something smaller.

    M_t = ds_t/dtheta = (ds_t/ds_{t-1}) M_{t-1} + dstep/dtheta,      dL/dtheta = sum_t (dL_t/ds_t) M_t

(Williams & Zipser 1989; the common view of the approximations: Marschall, Cho & Savin 2020, arXiv:1907.02649). Memory
does not depend on T, and after every step there is a gradient. Each sequence of a batch has an influence of its own.
"""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jax import flatten_util

from rnn_jax import masking
from rnn_jax.cell import Cell, Params, State
from rnn_jax.diagnostics.coordinates import ravel
from rnn_jax.gradients.estimator import Estimate, ReadoutLoss, SegmentStart, batch_shape, flagged, refuse_unless_stepped
from rnn_jax.models.readout import ReadoutParams
from rnn_jax.unrolling import checked

Influence = Any


@dataclasses.dataclass(frozen=True)
class Vectors:
    """A cell's step on one sequence with its parameters and state as vectors [P] and [S]; inputs are `Flagged`."""

    cell: masking.Masked
    params: Callable[[jax.Array], Params]
    state: Callable[[jax.Array], State]

    @classmethod
    def of(cls, cell: Cell, params: Params) -> "Vectors":
        return cls(masking.Masked(cell), flatten_util.ravel_pytree(params)[1], ravel(cell.initial_state(params))[1])

    def initial(self, theta: jax.Array) -> jax.Array:
        """The state before the first step."""
        return ravel(self.cell.initial_state(self.params(theta)))[0]

    def step(self, theta: jax.Array, s: jax.Array, x: masking.Flagged) -> jax.Array:
        """s_t."""
        params = self.params(theta)
        return ravel(self.cell.step(params, self.state(s), self.cell.project(params, x)))[0]

    def activate(self, theta: jax.Array, s: jax.Array, x: masking.Flagged) -> jax.Array:
        """s_t of a split cell, the recurrent product taken for a constant."""
        params, state = self.params(theta), self.state(s)
        drive = self.cell.project(params, x)
        r = jax.lax.stop_gradient(self.cell.recurrent(params, self.cell.enter(params, state, drive)))
        return ravel(self.cell.activate(params, state, drive, r))[0]


class Carry(NamedTuple):
    """From stretch to stretch."""

    begun: SegmentStart
    influence: Influence  # every leaf [N, ...], N the sequences of the batch


class Online(abc.ABC):
    """The base: a subclass says what the influence is. Its three functions are of one sequence."""

    draws: ClassVar[bool] = False  # whether it needs random numbers

    @abc.abstractmethod
    def begin(self, vectors: Vectors, theta: jax.Array, x: Any, own: bool, key: jax.Array | None) -> Influence:
        """Before the first step; x is a step's input. Zero, but where the initial state is the cell's `own`."""

    @abc.abstractmethod
    def advance(
        self, vectors: Vectors, theta: jax.Array, s: jax.Array, x: Any, influence: Influence, key: jax.Array | None
    ) -> Influence:
        """Over the step from state s on input x."""

    @abc.abstractmethod
    def gradient(self, vectors: Vectors, theta: jax.Array, x: Any, influence: Influence, of_state: Any) -> jax.Array:
        """dL_t/ds_t M_t, [P]."""

    def init(
        self, cell: Cell, params: ReadoutParams, xs: Any, state: State | None = None, key: jax.Array | None = None
    ) -> Carry:
        begun = SegmentStart.of(cell, params.cell, xs, state, key)
        refuse_unless_stepped(self, cell, params.cell, xs)
        if self.draws and key is None:
            raise ValueError(f"{type(self).__name__} is random: init needs a key")
        begun, drawn = begun.draw()
        vectors, theta = Vectors.of(cell, params.cell), flatten_util.ravel_pytree(params.cell)[0]
        like = jax.eval_shape(
            lambda xs: _rows(_first(flagged(cell, params.cell, checked(cell, params.cell, xs), key)), xs), xs
        )
        x = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape[1:], leaf.dtype), like)
        keys = _keys(self, drawn, len(like.valid))

        def begin(key: jax.Array | None) -> Influence:
            return self.begin(vectors, theta, x, state is None, key)

        return Carry(begun, jax.vmap(begin, axis_size=len(like.valid))(keys))

    def __call__(
        self,
        cell: Cell,
        loss: ReadoutLoss,
        params: ReadoutParams,
        carry: Carry,
        xs: Any,
        targets: Any,
        *,
        lengths: Any = None,
        resets: Any = None,
    ) -> Estimate:
        given = checked(cell, params.cell, xs, lengths=lengths, resets=resets)
        begun, key_noise = carry.begun.draw()
        begun, key = begun.draw()
        inputs = flagged(cell, params.cell, given, key_noise)
        vectors, theta = Vectors.of(cell, params.cell), flatten_util.ravel_pytree(params.cell)[0]
        masked = vectors.cell

        def body(found: Any, at: Any) -> tuple[Any, None]:
            state, influence, value, (of_theta, of_readout) = found
            x, target, key = at
            rows = _rows(x, xs)
            advance = jax.vmap(lambda s, x, i, k: self.advance(vectors, theta, s, x, i, k))
            before = jax.vmap(lambda s: ravel(s)[0])(_rows(state, xs))
            influence = advance(before, rows, influence, _keys(self, key, len(rows.valid)))
            state = masked.step(params.cell, state, masked.project(params.cell, x))

            def of_step(cell_params: Params, readout: Any, after: jax.Array) -> jax.Array:
                moved = jax.tree.map(lambda leaf, s: jnp.reshape(leaf, s.shape), jax.vmap(vectors.state)(after), state)
                y = masking.blank(masked.output(cell_params, moved, x), x.valid)
                one = jax.tree.map(lambda leaf: leaf[None], (y, target))
                return loss(readout, *one)

            after = jax.vmap(lambda s: ravel(s)[0])(_rows(state, xs))
            more, of = jax.value_and_grad(of_step, argnums=(0, 1, 2))(params.cell, params.readout, after)
            read = jax.vmap(lambda x, i, c: self.gradient(vectors, theta, x, i, c))(rows, influence, of[2])
            of_theta = of_theta + flatten_util.ravel_pytree(of[0])[0] + jnp.sum(read, axis=0)
            of_readout = jax.tree.map(jnp.add, of_readout, of[1])
            return (state, influence, value + more, (of_theta, of_readout)), None

        state = begun.cut(cell, params.cell, xs)
        keys = jax.random.split(key, given.shape[0]) if self.draws and key is not None else None
        nothing = jnp.zeros_like(theta), jax.tree.map(jnp.zeros_like, params.readout)
        found, _ = jax.lax.scan(
            body, (state, carry.influence, jnp.zeros((), theta.dtype), nothing), (inputs, targets, keys)
        )
        state, influence, value, (of_theta, of_readout) = found
        begun = begun._replace(state=state, own=jnp.zeros_like(begun.own))
        return Estimate(value, ReadoutParams(vectors.params(of_theta), of_readout), Carry(begun, influence))


def _first(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[0], tree)


def _rows(tree: Any, xs: Any) -> Any:
    """Leaves [*batch, ...] as [N, ...]."""
    dims = len(batch_shape(xs))
    return jax.tree.map(lambda leaf: jnp.reshape(leaf, (-1, *leaf.shape[dims:])), tree)


def _keys(estimator: Online, key: jax.Array | None, count: int) -> jax.Array | None:
    return jax.random.split(key, count) if estimator.draws and key is not None else None
