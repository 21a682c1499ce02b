"""dm-haiku: `hk.dynamic_unroll` of `VanillaRNN`, `LSTM` and `GRU`, time first.

Two of them are other functions. Its VanillaRNN has ReLU in place of tanh. Its GRU's reset acts before the product, and
its z is the share replaced: 1 - sigmoid(a) = sigmoid(-a), so it gets the update gate's weights with the other sign.
"""

from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp

import rnn_jax
from experiments.throughput.peers import Contestant, Programs, jax_programs
from experiments.throughput.problem import Data, Problem
from rnn_jax.cells.gru import GRUResetBeforeParams


def function(problem: Problem, data: Data) -> tuple[rnn_jax.Cell, Any]:
    """Returns the cell that Haiku computes, and its parameters."""
    sizes = (problem.shape.input_size, problem.shape.hidden_size)
    if problem.cell_name == "rnn":
        return rnn_jax.VanillaRNN(*sizes, activation=jax.nn.relu), data.params
    if problem.cell_name == "gru":
        return rnn_jax.GRUResetBefore(*sizes), GRUResetBeforeParams(*data.params[:3])
    return problem.cell, data.params


def prepare(problem: Problem, data: Data) -> Programs:
    """Returns the programs of a problem."""
    core_class, to_haiku = CORES[problem.cell_name]

    def unroll(xs: jax.Array) -> jax.Array:
        core = core_class(problem.shape.hidden_size)
        # Its initial states are always float32.
        state = jax.tree.map(lambda s: s.astype(xs.dtype), core.initial_state(problem.shape.batch))
        return hk.dynamic_unroll(core, xs, state)[0]

    transformed: Any = hk.without_apply_rng(hk.transform(unroll))
    return jax_programs(transformed.apply, to_haiku(*data.params[:3]), data, batch_first=False)


def _rnn(w_i: jax.Array, w_h: jax.Array, b: jax.Array) -> Any:
    return {"vanilla_rnn/linear": {"w": w_i, "b": b}, "vanilla_rnn/linear_1": {"w": w_h, "b": jnp.zeros_like(b)}}


def _lstm(w_i: jax.Array, w_h: jax.Array, b: jax.Array) -> Any:
    def order(a: jax.Array, added: float = 0) -> jax.Array:
        i, f, g, o = jnp.split(a, 4, axis=-1)
        return jnp.concatenate([i, g, f - added, o], axis=-1)

    # Haiku adds 1 to the forget gate itself.
    return {"lstm/linear": {"w": order(jnp.concatenate([w_i, w_h])), "b": order(b, added=1)}}


def _gru(*arrays: jax.Array) -> Any:
    gates = [jnp.split(a, 3, axis=-1) for a in arrays]
    ordered = [jnp.concatenate([-z, r, n], axis=-1) for r, z, n in gates]
    return {"gru": dict(zip(("w_i", "w_h", "b"), ordered, strict=True))}


CORES: dict[str, Any] = {"rnn": (hk.VanillaRNN, _rnn), "lstm": (hk.LSTM, _lstm), "gru": (hk.GRU, _gru)}


def make(name: str) -> Contestant:
    """Returns Haiku."""
    return Contestant(name, prepare, function)
