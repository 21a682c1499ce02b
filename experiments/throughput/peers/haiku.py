"""dm-haiku: `hk.dynamic_unroll` of `VanillaRNN`, `LSTM` and `GRU`.

Two of them are other functions. Its VanillaRNN has ReLU for tanh. Its GRU's reset acts before the product, and its z is
the share replaced: 1 - sigmoid(a) = sigmoid(-a), so it gets the update gate's weights with the other sign.
"""

import dataclasses
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp

import rnn_jax
from experiments.throughput.peers.contestant import Programs, jax_programs, same_function
from experiments.throughput.problem import Data, Problem
from rnn_jax.cells.gru import GRUResetBeforeParams

CORES: dict[str, Any] = {"rnn": hk.VanillaRNN, "lstm": hk.LSTM, "gru": hk.GRU}


@dataclasses.dataclass(frozen=True)
class Haiku:
    """Time first."""

    name: str = "haiku"

    def function(self, problem: Problem, data: Data) -> tuple[rnn_jax.Cell, Any]:
        sizes = (problem.shape.input_size, problem.shape.hidden_size)
        if problem.cell_name == "rnn":
            return rnn_jax.VanillaRNN(*sizes, activation=jax.nn.relu), data.params
        if problem.cell_name == "gru":
            return rnn_jax.GRUResetBefore(*sizes), GRUResetBeforeParams(*data.params[:3])
        return same_function(problem, data)

    def prepare(self, problem: Problem, data: Data) -> Programs:
        def unroll(xs: jax.Array) -> jax.Array:
            core = CORES[problem.cell_name](problem.shape.hidden_size)
            # Its initial states are float32 always.
            state = jax.tree.map(lambda s: s.astype(xs.dtype), core.initial_state(problem.shape.batch))
            return hk.dynamic_unroll(core, xs, state)[0]

        transformed: Any = hk.without_apply_rng(hk.transform(unroll))
        return jax_programs(transformed.apply, PARAMS[problem.cell_name](data.params), data, batch_first=False)


def _rnn(params: Any) -> Any:
    return {
        "vanilla_rnn/linear": {"w": params.w_i, "b": params.b},
        "vanilla_rnn/linear_1": {"w": params.w_h, "b": jnp.zeros_like(params.b)},
    }


def _lstm(params: Any) -> Any:
    def order(a: jax.Array) -> jax.Array:
        i, f, g, o = jnp.split(a, 4, axis=-1)
        return jnp.concatenate([i, g, f, o], axis=-1)

    i, f, g, o = jnp.split(params.b, 4)
    biases = jnp.concatenate([i, f - 1, g, o])  # it adds 1 itself
    return {"lstm/linear": {"w": order(jnp.concatenate([params.w_i, params.w_h])), "b": order(biases)}}


def _gru(params: Any) -> Any:
    def order(a: jax.Array) -> jax.Array:
        r, z, n = jnp.split(a, 3, axis=-1)
        return jnp.concatenate([-z, r, n], axis=-1)

    return {"gru": {"w_i": order(params.w_i), "w_h": order(params.w_h), "b": order(params.b)}}


PARAMS = {"rnn": _rnn, "lstm": _lstm, "gru": _gru}

make = Haiku
