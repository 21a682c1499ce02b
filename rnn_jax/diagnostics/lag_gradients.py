"""How much of the gradient reaches back k steps: ||dL/ds_t|| for every t, for any cell.

A perturbation e_t added to every state makes the adjoint an ordinary gradient:

    s_t = step(params, s_{t-1}, d_t) + e_t,      dL/ds_t = dL/de_t at e = 0

It travels in the drive, as everything from outside does, so no cell and no engine knows of it.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax.cell import Cell, Params, State
from rnn_jax.engines import Engine, Hoisted
from rnn_jax.linear import Transition
from rnn_jax.trees import named_leaves
from rnn_jax.unrolling import unroll
from rnn_jax.wrapper import Advance, Wrapper


@dataclasses.dataclass(frozen=True)
class Perturbed(Wrapper):
    """`cell` with inputs (x_t, e_t) whose states are moved by e_t, a pytree like the state."""

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
        """None: what is measured is the cell as it is evaluated."""


def state_gradients(
    cell: Cell,
    params: Params,
    xs: jax.Array,
    loss: Callable[[Any], jax.Array],
    *,
    engine: Engine = Hoisted(),
) -> State:
    """dL/ds_t for every t: a pytree like the state, every leaf [T, *batch, ...].

    The components of a state are coordinates of their own: an LSTM's dL/dc_t holds h_t fixed (it is what reaches c_t
    through c_{t+1}, h_{t+1}, ...), so it is zero at a last step of which only h is read. A component of integers (a
    counter) has no gradient: its leaf has JAX's dtype `float0`.

    Args:
      cell: any cell.
      params: its parameters.
      xs: inputs [T, *batch, input_size].
      loss: scalar function of the outputs [T, *batch, ...]. For the gradient of each sequence's own loss give their
        *sum* over the batch: sequences do not influence one another.
      engine: how the recurrence and its adjoint are solved.

    Raises:
      TypeError, ValueError: as `rnn_jax.unroll`.
    """
    state = cell.initial_state(params, xs.shape[1:-1])
    zeros = jax.tree.map(lambda s: jnp.zeros((xs.shape[0], *s.shape), s.dtype), state)

    def perturbed_loss(perturbations: State) -> jax.Array:
        _, ys = unroll(Perturbed(cell), params, (xs, perturbations), engine=engine)
        return loss(ys)

    return jax.grad(perturbed_loss, allow_int=True)(zeros)


def gradient_norms(gradients: State, batch_dims: int = 1) -> dict[str, jax.Array]:
    """Euclidean norms [T, *batch] of each component of `state_gradients`, by its name, and of their `total`.

    A component's name is its field in the state (`h`, `c`); a state that is one array is `h`. Integers have none.
    """
    leaves = {
        name or "h": jnp.reshape(leaf, (*leaf.shape[: 1 + batch_dims], -1))
        for name, leaf in named_leaves(gradients).items()
        if leaf.dtype != jax.dtypes.float0
    }
    norms = {name: _norm(leaf) for name, leaf in leaves.items()}
    norms["total"] = _norm(jnp.stack(list(norms.values()), axis=-1))
    return norms


def _norm(x: jax.Array) -> jax.Array:
    """Norm over the last axis. The largest entry is taken out first: squares of 1e-20 underflow in float32."""
    x = jnp.abs(x)  # of complex numbers too
    largest = jnp.max(x, axis=-1)
    scale = jnp.where(largest > 0, largest, 1)
    return largest * jnp.sqrt(jnp.sum((x / scale[..., None]) ** 2, axis=-1))


def align_to_last(norms: jax.Array, weights: jax.Array) -> jax.Array:
    """Reorders norms [T, B] by lag, counted back from each sequence's last step of positive weight: [T, B].

    Row k is lag k; NaN where the sequence has no step so far back.
    """
    steps = jnp.arange(norms.shape[0])
    last = jnp.max(jnp.where(weights > 0, steps[:, None], -1), axis=0)
    source = last[None] - steps[:, None]
    return jnp.where(source >= 0, jnp.take_along_axis(norms, jnp.maximum(source, 0), axis=0), jnp.nan)


class Decay(NamedTuple):
    """How norms fall with the lag. A growing gradient has a positive slope and a negative half-life."""

    slope: float  # of ln norm over lag, per step, by least squares
    half_life: float  # -ln 2 / slope, steps
    first_over_last: float  # norm at the largest lag / norm at the smallest lag that has one


def fit_decay(norms: np.ndarray) -> Decay:
    """Fits ||dL/ds_{T-k}|| ~ exp(slope k) to norms [lags].

    Lags whose norm is zero, not finite or below the normal range of its dtype (underflown) take no part in the slope;
    they do in the ratio. All NaN where fewer than two lags remain.
    """
    norms = np.asarray(norms)
    usable = np.isfinite(norms) & (norms >= np.finfo(norms.dtype).tiny)
    if usable.sum() < 2:
        return Decay(math.nan, math.nan, math.nan)
    lags = np.arange(len(norms))[usable]
    slope = float(np.polyfit(lags, np.log(norms[usable].astype(np.float64)), 1)[0])
    half_life = -math.log(2) / slope if slope else math.inf
    return Decay(slope, half_life, float(norms[-1]) / float(norms[usable][0]))
