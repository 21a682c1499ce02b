"""NVIDIA's own LSTM: cuDNN runs all steps, by `jax.experimental.rnn`.

cuDNN returns h_1..h_T and c_T. The other c_t follow without a loop over the steps: with h known, the gates of all steps
are one large product, and c_t = f_t * c_{t-1} + i_t * g_t is linear. XLA removes that if no other c_t is read.

    cuDNN's weights:  W_ii W_if W_ig W_io  W_hi W_hf W_hg W_ho  b_i  b_h      each W [out, in]; here b_h = 0
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import rnn

from rnn_jax.cell import Cell, Params, State
from rnn_jax.cells.lstm import LSTM, LSTMParams, LSTMState
from rnn_jax.engines import associative, reverse_only
from rnn_jax.engines.scan import Scan
from rnn_jax.linear import Diagonal, spread
from rnn_jax.masking import Masked
from rnn_jax.static import Static

# Values of `jax_default_matmul_precision` that mean full float32 products; with any other cuDNN may use TF32.
_FULL = ("highest", "float32", "F32_F32_F32")


@dataclasses.dataclass(frozen=True)
class CuDNN(Static):
    """For a float32 `LSTM` on an NVIDIA GPU, with or without lengths.

    Products are TF32, as JAX's are on such a GPU, unless `jax_default_matmul_precision` is "highest" or "float32".
    Under `jax.vmap`, as for the seeds of a training, networks run one after the other. The gradient cannot be
    differentiated again, nor the result in forward mode. JAX asks cuDNN for the sizes of its buffers when a program is
    traced, and cuDNN answers only if there is a GPU: no other machine can compile for one.

    >>> from rnn_jax import LSTM, unroll
    >>> cell = LSTM(2, 3)
    >>> unroll(cell, cell.init(jax.random.key(0)), jnp.ones((10, 2)), engine=CuDNN())  # doctest: +SKIP

    Raises:
      TypeError: if called with another cell, a wrapper of an LSTM, resets, or a dtype other than float32, or
        differentiated in forward mode.
      RuntimeError: if there is no NVIDIA GPU.
    """

    def __call__(self, cell: Cell, params: Params, state: State, inputs: Any) -> tuple[State, State]:
        lstm, xs, valid = _checked(cell, params, inputs)
        if 0 in xs.shape:
            return Scan()(lstm, params, state, xs)
        hs, final = _run(*reverse_only.marked(self, (params, state, xs)))
        states = LSTMState(hs, _cell_states(lstm, params, state, xs, hs))
        return (final, states) if valid is None else _stop(valid, state, states)


def _checked(cell: Cell, params: Params, inputs: Any) -> tuple[Any, jax.Array, jax.Array | None]:
    """Returns the LSTM, its inputs, and the flags of the steps before each sequence's end, or None without lengths."""
    inner, xs, valid = cell, inputs, None
    if isinstance(cell, Masked):
        if inputs.reset is not None:
            raise TypeError("CuDNN: sequences must have no resets, got some; use Hoisted")
        inner, xs, valid = cell.cell, inputs.x, inputs.valid
    if type(inner) is not LSTM:
        raise TypeError(f"CuDNN: cell must be an LSTM, got {type(inner).__name__}; use Hoisted")
    for dtype in {leaf.dtype for leaf in jax.tree.leaves((params, xs))} - {jnp.dtype("float32")}:
        raise TypeError(f"CuDNN: parameters and inputs must be float32, got {dtype}; use Hoisted")
    _require_gpu()
    return inner, xs, valid


def _require_gpu() -> None:
    try:
        jax.devices("cuda")
    except RuntimeError:
        raise RuntimeError(
            f"CuDNN: this machine must have an NVIDIA GPU, also to compile, got {jax.default_backend()}; use Hoisted"
        ) from None


def _run(params: LSTMParams, state: LSTMState, xs: jax.Array) -> tuple[jax.Array, LSTMState]:
    """Returns all h_t [T, *batch, H] and the last state."""
    steps, *batch, _ = xs.shape
    rows = jax.tree.map(lambda leaf: jnp.reshape(leaf, (1, -1, leaf.shape[-1])), state)
    xs = jnp.swapaxes(jnp.reshape(xs, (steps, -1, xs.shape[-1])), 0, 1)
    weights = [params.w_i.T, params.w_h.T, params.b, jnp.zeros_like(params.b)]
    full = jax.config.jax_default_matmul_precision in _FULL  # type: ignore[attr-defined]  # as JAX documents
    precision = jax.lax.Precision.HIGHEST if full else jax.lax.Precision.HIGH
    hs, h, c = _lstm(precision, xs, rows.h, rows.c, jnp.concatenate([jnp.ravel(leaf) for leaf in weights]))
    final = jax.tree.map(lambda leaf, like: jnp.reshape(leaf, like.shape), LSTMState(h, c), state)
    return jnp.reshape(jnp.swapaxes(hs, 0, 1), (steps, *batch, -1)), final


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _lstm(precision: jax.lax.Precision, *arrays: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns y [B, T, H], h_T and c_T [1, B, H], from x [B, T, D], h_0 and c_0 [1, B, H] and all weights.

    `rnn.lstm` itself cannot be vmapped.
    """
    return _forward(precision, *arrays)[0]


def _forward(precision: jax.lax.Precision, *arrays: jax.Array) -> Any:
    @jax.custom_batching.sequential_vmap
    def run(x: jax.Array, h: jax.Array, c: jax.Array, weights: jax.Array) -> Any:
        lengths = jnp.full(x.shape[0], x.shape[1], jnp.int32)
        return rnn.lstm_fwd(x, h, c, weights, lengths, x.shape[-1], h.shape[-1], 1, 0.0, False, precision)

    return run(*arrays)


def _backward(precision: jax.lax.Precision, residuals: Any, gradients: Any) -> tuple[jax.Array, ...]:
    @jax.custom_batching.sequential_vmap
    def run(residuals: Any, gradients: Any) -> tuple[jax.Array, ...]:
        x, h, *_ = residuals
        *grads, _ = rnn.lstm_bwd(x.shape[-1], h.shape[-1], 1, 0.0, False, precision, residuals, gradients)
        return tuple(grads)

    return run(residuals, gradients)


_lstm.defvjp(_forward, _backward)


def _cell_states(cell: LSTM, params: LSTMParams, state: LSTMState, xs: jax.Array, hs: jax.Array) -> jax.Array:
    """Returns all c_t, from all h_t."""
    before = LSTMState(jnp.concatenate([state.h[None], hs[:-1]]), hs)
    i, f, g, _ = jnp.split(cell.project(params, xs) + cell.recurrent(params, before), 4, axis=-1)
    f, b = jax.nn.sigmoid(f), jax.nn.sigmoid(i) * jnp.tanh(g)
    return associative.scan(Diagonal(f[1:]), b.at[0].add(f[0] * state.c))


def _stop(valid: jax.Array, state: LSTMState, states: LSTMState) -> tuple[LSTMState, LSTMState]:
    """Returns the final state and all states of sequences that end where `valid` does: no step reads a later one."""
    lengths = jnp.sum(valid, axis=0)

    def last(s_0: jax.Array, s: jax.Array) -> jax.Array:
        return jnp.take_along_axis(jnp.concatenate([s_0[None], s]), spread(lengths, s_0)[None], axis=0)

    final = jax.tree.map(last, state, states)
    states = jax.tree.map(lambda s, end: jnp.where(spread(valid, s), s, end), states, final)
    return jax.tree.map(lambda leaf: leaf[0], final), states
