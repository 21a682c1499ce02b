"""The gradient by lag: dL/ds_t for every step t of any cell, its norms and how they decay.

A perturbation e_t added to every state turns the adjoint into an ordinary gradient:

    s_t = step(params, s_{t-1}, d_t) + e_t,      dL/ds_t = dL/de_t at e = 0

It is part of the drive, so it needs no support by cells or engines.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import parameters
from rnn_jax.cell import Cell, Params, State
from rnn_jax.engines import Engine, Hoisted
from rnn_jax.linear import Transition
from rnn_jax.norms import scaled_norm
from rnn_jax.trees import named_leaves
from rnn_jax.unrolling import unroll
from rnn_jax.wrapper import Advance, Wrapper


@dataclasses.dataclass(frozen=True)
class Perturbed(Wrapper):
    """`cell` with inputs (x_t, e_t), where e_t, a pytree like the state, is added to s_t."""

    def inner_input(self, params: Params, x: Any) -> Any:
        return x[0]

    def project(self, params: Params, x: Any) -> Any:
        return super().project(params, x), x[1]

    def around(self, params: Params, state: State, drive: Any, advance: Advance) -> State:
        drive, perturbation = drive
        return jax.tree.map(jnp.add, advance(params, state, drive), perturbation)

    def linear(self, params: Params, drive: Any) -> tuple[Transition, State]:
        drive, perturbation = drive
        transition, b = super().linear(params, drive)
        return transition, jax.tree.map(jnp.add, b, perturbation)

    def enter(self, params: Params, state: State, drive: Any) -> State:
        return super().enter(params, state, drive[0])

    def noise(self, params: Params, key: jax.Array, shape: tuple[int, ...]) -> None:
        """Returns None: the cell is measured as in evaluation."""


def state_gradients(
    cell: Cell,
    params: Params,
    xs: jax.Array,
    loss: Callable[[Any], jax.Array],
    *,
    engine: Engine = Hoisted(),
) -> State:
    """Computes dL/ds_t for every step t.

    The components of a state are separate coordinates: an LSTM's dL/dc_t keeps h_t fixed and contains the paths through
    c_{t+1}, h_{t+1}, ..., so it is zero at the last step if only h is read there. An integer component (a counter) has
    no gradient; its leaf has JAX's dtype `float0`.

    >>> import jax, jax.numpy as jnp, rnn_jax
    >>> cell = rnn_jax.LinearRNN(1, 1)
    >>> params = cell.init(jax.random.key(0))._replace(w_h=jnp.array([[0.5]]))
    >>> gradients = state_gradients(cell, params, jnp.ones((4, 1, 1)), lambda ys: jnp.sum(ys[-1]))
    >>> gradient_norms(gradients)["total"][:, 0]  # 0.5^k at lag k, for the steps t = 1..4
    Array([0.125, 0.25 , 0.5  , 1.   ], dtype=float32)

    Args:
      cell: the cell.
      params: parameters of the cell.
      xs: inputs [T, *batch, input_size].
      loss: scalar function of the outputs [T, *batch, ...]. For the gradients of the sequences' separate losses it is
        their sum over the batch, as sequences do not affect one another.
      engine: engine that solves the recurrence and its adjoint.

    Returns:
      A pytree like the state, every leaf [T, *batch, ...].

    Raises:
      TypeError, ValueError: as `rnn_jax.unroll`.
    """
    parameters.check(cell, params)
    state = cell.initial_state(params, xs.shape[1:-1])
    zeros = jax.tree.map(lambda s: jnp.zeros((xs.shape[0], *s.shape), s.dtype), state)

    def perturbed_loss(perturbations: State) -> jax.Array:
        _, ys = unroll(Perturbed(cell), params, (xs, perturbations), engine=engine, key=None)
        return loss(ys)

    return jax.grad(perturbed_loss, allow_int=True)(zeros)


def gradient_norms(gradients: State, batch_dims: int = 1) -> dict[str, jax.Array]:
    """Computes Euclidean norms of state gradients, for each component of the state and for all of them.

    Args:
      gradients: result of `state_gradients`, every leaf [T, *batch, ...].
      batch_dims: number of batch dimensions.

    Returns:
      Norms [T, *batch] by the component's field in the state (`h`, `c`; `h` for a state that is one array), and the
      norm of all components as `total`. Integer components are left out.
    """
    leaves = {
        name or "h": jnp.reshape(leaf, (*leaf.shape[: 1 + batch_dims], -1))
        for name, leaf in named_leaves(gradients).items()
        if leaf.dtype != jax.dtypes.float0
    }
    by_name = {name: scaled_norm(jnp.abs(leaf)) for name, leaf in leaves.items()}  # real for complex leaves, too
    by_name["total"] = scaled_norm(jnp.stack(list(by_name.values()), axis=-1))
    return by_name


def align_to_last(norms: jax.Array, weights: jax.Array) -> jax.Array:
    """Reorders norms by lag, counted back from each sequence's last step of positive weight.

    Args:
      norms: norms by step [T, B].
      weights: weights of the loss [T, B].

    Returns:
      Norms by lag [T, B]; NaN for lags that exceed the sequence's length.
    """
    steps = jnp.arange(norms.shape[0])
    last = jnp.max(jnp.where(weights > 0, steps[:, None], -1), axis=0)
    source = last[None] - steps[:, None]
    return jnp.where(source >= 0, jnp.take_along_axis(norms, jnp.maximum(source, 0), axis=0), jnp.nan)


class Decay(NamedTuple):
    """Decay of gradient norms with the lag; a growing gradient has a positive slope and a negative half-life."""

    slope: float  # slope of ln norm over lag, per step, by least squares
    half_life: float  # -ln 2 / slope, steps
    kept_share: float  # norm at the largest lag, as a share of that at the smallest usable lag


def fit_decay(norms: np.ndarray) -> Decay:
    """Fits ||dL/ds_{T-k}|| ~ exp(slope k) by least squares of the logarithms.

    Lags whose norm is zero, not finite or below the normal range of its dtype (underflow) do not enter the slope.

    Args:
      norms: norms by lag [lags].

    Returns:
      A `Decay`; all its fields are NaN if fewer than two lags are usable.
    """
    norms = np.asarray(norms)
    usable = np.isfinite(norms) & (norms >= np.finfo(norms.dtype).tiny)
    if usable.sum() < 2:
        return Decay(math.nan, math.nan, math.nan)
    lags = np.arange(len(norms))[usable]
    slope = float(np.polyfit(lags, np.log(norms[usable].astype(np.float64)), 1)[0])
    half_life = -math.log(2) / slope if slope else math.inf
    return Decay(slope, half_life, float(norms[-1]) / float(norms[usable][0]))
