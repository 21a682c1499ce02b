"""dm-haiku: `hk.dynamic_unroll` of `VanillaRNN`, `LSTM` and `GRU`, time first.

Two of them are other functions. Its VanillaRNN has ReLU in place of tanh. Its GRU's reset acts before the product, and
its z is the share replaced: 1 - sigmoid(a) = sigmoid(-a), so it gets the update gate's weights with the other sign.
"""

from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp

from experiments import peers
from experiments.peers.programs import Data, Programs, jax_programs
from rnn_jax import Cell, cells
from rnn_jax.cells.gru import GRUResetBeforeParams


def programs(cell: Cell, data: Data) -> Programs:
    """Returns the layer of a cell with the parameters in `data`, or of the cell that Haiku has in its place."""
    core_class, to_haiku = peers.find("Haiku's layers", CORES, cell)

    def unroll(xs: jax.Array) -> jax.Array:
        core = core_class(cell.hidden_size)
        # Its initial states are always float32.
        state = jax.tree.map(lambda s: s.astype(xs.dtype), core.initial_state(xs.shape[1]))
        return hk.dynamic_unroll(core, xs, state)[0]

    transformed: Any = hk.without_apply_rng(hk.transform(unroll))
    made = jax_programs(transformed.apply, to_haiku(*data.params[:3]), data)
    return made._replace(other=_other(cell, data.params))


def _other(cell: Cell, params: Any) -> tuple[Cell, Any] | None:
    sizes = cell.input_size, cell.hidden_size
    if isinstance(cell, cells.VanillaRNN):
        return cells.VanillaRNN(*sizes, activation=jax.nn.relu), params
    return (cells.GRUResetBefore(*sizes), GRUResetBeforeParams(*params[:3])) if isinstance(cell, cells.GRU) else None


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


CORES: dict[type[Cell], Any] = {
    cells.VanillaRNN: (hk.VanillaRNN, _rnn),
    cells.LSTM: (hk.LSTM, _lstm),
    cells.GRU: (hk.GRU, _gru),
}
