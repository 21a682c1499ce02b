"""PyTorch's `nn.RNN`, `nn.LSTM` and `nn.GRU`: all layers and directions of a module, by its state dict's names.

PyTorch keeps weights [out, in], ours are [in, out]; the gates stand in the same order. It has two biases, b_ih and
b_hh, that act as their sum, which is what ours has, but for the GRU's candidate, where b_hh stands inside the reset
product (our b_hn). So PyTorch -> ours -> PyTorch gives other arrays, b_ih + b_hh and 0, but the same function; ours ->
PyTorch -> ours gives the same arrays.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.cell import Cell, Params
from rnn_jax.cells.gru import GRU, GRUParams
from rnn_jax.cells.lstm import LSTM, LSTMParams
from rnn_jax.cells.projected_lstm import ProjectedLSTM, ProjectedLSTMParams
from rnn_jax.cells.vanilla import VanillaParams, VanillaRNN
from rnn_jax.interop import double_bias, mapping
from rnn_jax.layers import Bidirectional, Stack
from rnn_jax.layers.bidirectional import BidirectionalParams


def from_pytorch(layer: Cell, state_dict: Mapping[str, Any], prefix: str = "") -> Params:
    """The parameters of `layer` from a PyTorch module's state dict.

        layer = Stack([Bidirectional(LSTM(8, 16)), Bidirectional(LSTM(32, 16))])    # num_layers=2, bidirectional=True
        params = from_pytorch(layer, model.state_dict(), prefix="encoder.lstm.")

    One cell is `num_layers=1`, `ProjectedLSTM` is `proj_size`. `Dropout` and `RecurrentDropout` are looked through
    wherever they stand: put around every layer but the lowest, `Dropout` is PyTorch's `dropout`. A module made with
    `bias=False` has zero biases here.

    The arrays are copied, and keep their dtype; only float64 becomes float32 where `jax_enable_x64` is off, as
    everywhere in JAX. They may be tracers: the conversion is differentiable. They must be readable by NumPy: of
    `named_parameters()` pass detached tensors, of bfloat16 ones `tensor.float()`, or go by way of a safetensors file.

    Args:
      layer: a VanillaRNN (tanh or relu), LSTM, ProjectedLSTM or GRU, alone or in a `Stack`, in one or both directions.
      state_dict: names to arrays, as `module.state_dict()` gives them or `read_safetensors` reads them.
      prefix: what the module's names begin with in a whole model's; other names are not looked at.

    Raises:
      TypeError: where `state_dict` is no mapping.
      ValueError: where names are missing, unexpected or of the wrong shape (so also for another number of layers or
        directions), some biases are there and some not, or no PyTorch module is like `layer`.
    """
    what = f"from_pytorch: {mapping.describe(layer)}"
    mapping.check_mapping(what, state_dict)
    parts = _parts("from_pytorch", layer)
    wanted: dict[str, mapping.Shape] = {}
    biases: set[str] = set()
    for part in jax.tree.leaves(parts):
        wanted |= {part.name(key, prefix): shape for key, shape in part.layout.shapes(part.cell).items()}
        biases |= {part.name(key, prefix) for key in part.layout.biases}
    of_module = {name: value for name, value in state_dict.items() if name.startswith(prefix)}
    found = mapping.arrays(what, of_module, wanted, biases)

    def load(part: _Part) -> Params:
        return part.layout.load({key: found[part.name(key, prefix)] for key in part.layout.shapes(part.cell)})

    return jax.tree.map(load, parts)


def to_pytorch(layer: Cell, params: Params) -> dict[str, jax.Array]:
    """The state dict of the PyTorch module that computes what `layer` does; `from_pytorch` gives back `params`.

        module = torch.nn.LSTM(8, 16, num_layers=2, bidirectional=True)
        module.load_state_dict({name: torch.from_dlpack(a) for name, a in to_pytorch(layer, params).items()})

    The second biases, b_hh, are zeros, but for the GRU's b_hn. The module must have biases, and the `nonlinearity` and
    `proj_size` that `layer` has.

    Args:
      layer: as for `from_pytorch`.
      params: its parameters.

    Returns:
      Names to arrays, in PyTorch's order.

    Raises:
      ValueError: where `params` are not of `layer`, or no PyTorch module is like `layer`.
    """
    parts = _parts("to_pytorch", layer)
    mapping.check_params(f"to_pytorch: {mapping.describe(layer)}", layer, params)
    structure: Any = jax.tree.structure(parts)
    state_dict: dict[str, jax.Array] = {}
    for part, own in zip(jax.tree.leaves(parts), structure.flatten_up_to(params), strict=True):
        state_dict |= {part.name(key): array for key, array in part.layout.save(own).items()}
    return state_dict


@dataclasses.dataclass(frozen=True)
class _Layout(mapping.Layout):
    """Its names lack the layer ("weight_ih"). `options`: the arguments that a cell decides beside its sizes."""

    options: Callable[[Any], dict[str, Any]] = lambda cell: {}


@dataclasses.dataclass(frozen=True)
class _Part:
    """One direction of one layer: its cell without wrappers, and its place in PyTorch's names."""

    cell: Cell
    layout: _Layout
    place: str  # "l0", "l0_reverse"

    def name(self, key: str, prefix: str = "") -> str:
        return f"{prefix}{key}_{self.place}"

    def module(self) -> str:
        arguments = {"hidden_size": self.cell.hidden_size, **self.layout.options(self.cell)}
        return f"{self.layout.module}({', '.join(f'{name}={value!r}' for name, value in arguments.items())})"


def _parts(what: str, layer: Cell) -> Any:
    """The layer as a pytree like its parameters, with a `_Part` in the place of each cell's."""
    layer = mapping.bare(layer)
    layers = layer.layers if type(layer) is Stack else (layer,)
    parts = tuple(_directions(what, mapping.bare(below), f"l{number}") for number, below in enumerate(layers))
    modules = [[part.module() for part in jax.tree.leaves(directions)] for directions in parts]
    if any(directions != [modules[0][0]] * len(modules[0]) for directions in modules):
        told = "; ".join(f"layer {number} {' and '.join(names)}" for number, names in enumerate(modules))
        raise ValueError(f"{what}: all layers and directions of a PyTorch module are alike, these are not: {told}")
    return parts if type(layer) is Stack else parts[0]


def _directions(what: str, layer: Cell, place: str) -> Any:
    if type(layer) is not Bidirectional:
        return _part(what, layer, place)
    if layer.merge != "concat":
        raise ValueError(f"{what}: PyTorch concatenates the two directions, merge={layer.merge!r} has no counterpart")
    backward = layer.forward if layer.backward is None else layer.backward
    return BidirectionalParams(_part(what, layer.forward, place), _part(what, backward, f"{place}_reverse"))


def _part(what: str, cell: Cell, place: str) -> _Part:
    cell = mapping.bare(cell)
    return _Part(cell, mapping.find(what, _LAYOUTS, cell), place)


_NONLINEARITIES = {jnp.tanh: "tanh", jax.nn.relu: "relu"}


def _rnn_options(cell: VanillaRNN) -> dict[str, Any]:
    if cell.activation not in _NONLINEARITIES:
        raise ValueError(f"PyTorch's nn.RNN has jnp.tanh and jax.nn.relu for its activation, not {cell.activation}")
    return {"nonlinearity": _NONLINEARITIES[cell.activation]}


def _projected_options(cell: ProjectedLSTM) -> dict[str, Any]:
    if cell.output_size >= cell.hidden_size:
        raise ValueError(
            f"PyTorch's nn.LSTM has a proj_size below its hidden_size, not {cell.output_size} of {cell.hidden_size}"
        )
    return {"proj_size": cell.output_size}


def _shapes(gates: int) -> Callable[[Cell], dict[str, mapping.Shape]]:
    def shapes(cell: Cell) -> dict[str, mapping.Shape]:
        rows = gates * cell.hidden_size
        weights = {"weight_ih": (rows, cell.input_size), "weight_hh": (rows, cell.output_size)}
        return {**weights, "bias_ih": (rows,), "bias_hh": (rows,)}

    return shapes


def _load(a: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    return {"w_i": a["weight_ih"].T, "w_h": a["weight_hh"].T, "b": a["bias_ih"] + a["bias_hh"]}


def _save(params: Any) -> dict[str, jax.Array]:
    weights = {"weight_ih": params.w_i.T, "weight_hh": params.w_h.T}
    return {**weights, "bias_ih": params.b, "bias_hh": jnp.zeros_like(params.b)}


def _load_gru(a: Mapping[str, jax.Array]) -> GRUParams:
    b, b_hn = double_bias.join(a["bias_ih"], a["bias_hh"])
    return GRUParams(**{**_load(a), "b": b}, b_hn=b_hn)


def _save_gru(params: GRUParams) -> dict[str, jax.Array]:
    bias_ih, bias_hh = double_bias.split(params.b, params.b_hn)
    return {**_save(params), "bias_ih": bias_ih, "bias_hh": bias_hh}


_BIASES = ("bias_ih", "bias_hh")

_LAYOUTS: dict[type[Cell], _Layout] = {
    VanillaRNN: _Layout(
        "nn.RNN", _shapes(1), lambda a: VanillaParams(**_load(a)), _save, _BIASES, options=_rnn_options
    ),
    LSTM: _Layout("nn.LSTM", _shapes(4), lambda a: LSTMParams(**_load(a)), _save, _BIASES),
    ProjectedLSTM: _Layout(
        "nn.LSTM",
        lambda cell: {**_shapes(4)(cell), "weight_hr": (cell.output_size, cell.hidden_size)},
        lambda a: ProjectedLSTMParams(**_load(a), w_p=a["weight_hr"].T),
        lambda params: {**_save(params), "weight_hr": params.w_p.T},
        _BIASES,
        options=_projected_options,
    ),
    GRU: _Layout("nn.GRU", _shapes(3), _load_gru, _save_gru, _BIASES),
}
