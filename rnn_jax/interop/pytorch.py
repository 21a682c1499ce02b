"""Parameters of PyTorch's `nn.RNN`, `nn.LSTM` and `nn.GRU`: all layers and directions of a module, from its state dict.

PyTorch's weights are [out, in], here they are [in, out]; the order of the gates is the same. PyTorch has two biases
b_ih and b_hh. Only their sum matters, which is b here, except at the candidate of the GRU, where b_hh is inside the
product with the reset gate (b_hn here). So converting from PyTorch and back gives other arrays, b_ih + b_hh and 0, but
the same function; converting to PyTorch and back is exact.
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
    """Returns the parameters of `layer` from the state dict of a PyTorch module.

    `Stack` is `num_layers`, `Bidirectional` is `bidirectional=True`, `ProjectedLSTM` is `proj_size`. `Dropout` and
    `RecurrentDropout` have no parameters and may be anywhere; around every layer but the lowest, `Dropout` is PyTorch's
    `dropout`. A module with `bias=False` gives zero biases.

    The arrays are copied and keep their dtype, except that float64 becomes float32 without `jax_enable_x64`. They may
    be tracers: the conversion is differentiable. NumPy must be able to read them: detach the tensors of
    `named_parameters()`, and convert bfloat16 tensors by `tensor.float()` or through a safetensors file.

    >>> import torch, rnn_jax
    >>> from rnn_jax import interop
    >>> module = torch.nn.LSTM(2, 3, num_layers=2)
    >>> layer = rnn_jax.Stack([rnn_jax.LSTM(2, 3), rnn_jax.LSTM(3, 3)])
    >>> params = interop.from_pytorch(layer, module.state_dict())
    >>> xs = torch.ones(5, 1, 2)  # [T, B, input_size]
    >>> _, ys = rnn_jax.unroll(layer, params, xs.numpy())
    >>> bool(abs(ys - module(xs)[0].detach().numpy()).max() < 1e-5)
    True

    Args:
      layer: VanillaRNN (tanh or relu), LSTM, ProjectedLSTM or GRU, alone or in a `Stack`, in one or both directions.
      state_dict: arrays by name, from `module.state_dict()` or `read_safetensors`.
      prefix: prefix of the module's names in the state dict of a larger model, such as "encoder.lstm."; other names are
        ignored.

    Returns:
      Parameters as those of `layer.init`.

    Raises:
      TypeError: if `state_dict` is not a mapping.
      ValueError: if names are missing or unexpected or shapes differ (also for another number of layers or directions),
        only some of the biases are there, or PyTorch has no such module.
    """
    what = f"from_pytorch: {mapping.describe(layer)}"
    mapping.check_mapping(what, state_dict)
    parts = _parts("from_pytorch", layer)
    shapes: dict[str, mapping.Shape] = {}
    biases: set[str] = set()
    for part in jax.tree.leaves(parts):
        shapes |= {part.name(key, prefix): shape for key, shape in part.layout.shapes(part.cell).items()}
        biases |= {part.name(key, prefix) for key in part.layout.biases}
    module_dict = {name: value for name, value in state_dict.items() if name.startswith(prefix)}
    arrays = mapping.arrays(what, module_dict, shapes, biases)

    def load(part: _Part) -> Params:
        return part.layout.load({key: arrays[part.name(key, prefix)] for key in part.layout.shapes(part.cell)})

    return jax.tree.map(load, parts)


def to_pytorch(layer: Cell, params: Params) -> dict[str, jax.Array]:
    """Returns the state dict of the PyTorch module that equals `layer`; `from_pytorch` is the inverse.

    The second biases, b_hh, are zeros except for b_hn of the GRU. The module must have biases, and the `nonlinearity`
    and `proj_size` of `layer`.

    >>> import jax, torch, rnn_jax
    >>> from rnn_jax import interop
    >>> layer = rnn_jax.Bidirectional(rnn_jax.GRU(2, 3))
    >>> state_dict = interop.to_pytorch(layer, layer.init(jax.random.key(0)))
    >>> module = torch.nn.GRU(2, 3, bidirectional=True)
    >>> module.load_state_dict({name: torch.from_dlpack(array) for name, array in state_dict.items()})
    <All keys matched successfully>

    Args:
      layer: layer as for `from_pytorch`.
      params: parameters of `layer`.

    Returns:
      Arrays by name, in PyTorch's order.

    Raises:
      ValueError: if `params` do not belong to `layer`, or PyTorch has no such module.
    """
    parts = _parts("to_pytorch", layer)
    mapping.check_params(f"to_pytorch: {mapping.describe(layer)}", layer, params)
    structure: Any = jax.tree.structure(parts)
    state_dict: dict[str, jax.Array] = {}
    for part, cell_params in zip(jax.tree.leaves(parts), structure.flatten_up_to(params), strict=True):
        state_dict |= {part.name(key): array for key, array in part.layout.save(cell_params).items()}
    return state_dict


@dataclasses.dataclass(frozen=True)
class _Layout(mapping.Layout):
    """A layout with names without the suffix of the layer, such as "weight_ih".

    Args:
      options: function from a cell to the arguments of the PyTorch module other than its sizes.
    """

    options: Callable[[Any], dict[str, Any]] = lambda cell: {}


@dataclasses.dataclass(frozen=True)
class _Part:
    """One direction of one layer: its cell without wrappers, and its suffix in PyTorch's names."""

    cell: Cell
    layout: _Layout
    suffix: str  # "l0" or "l0_reverse"

    def name(self, key: str, prefix: str = "") -> str:
        return f"{prefix}{key}_{self.suffix}"

    def module(self) -> str:
        arguments = {"hidden_size": self.cell.hidden_size, **self.layout.options(self.cell)}
        return f"{self.layout.module}({', '.join(f'{name}={value!r}' for name, value in arguments.items())})"


def _parts(what: str, layer: Cell) -> Any:
    """Returns a pytree like the parameters of the layer, with a `_Part` in place of those of each cell."""
    layer = mapping.bare(layer)
    layers = layer.layers if type(layer) is Stack else (layer,)
    parts = tuple(_directions(what, mapping.bare(below), f"l{number}") for number, below in enumerate(layers))
    modules = [[part.module() for part in jax.tree.leaves(directions)] for directions in parts]
    if any(directions != [modules[0][0]] * len(modules[0]) for directions in modules):
        listed = "; ".join(f"layer {number} {' and '.join(names)}" for number, names in enumerate(modules))
        raise ValueError(f"{what}: all layers and directions of a PyTorch module are alike, these are not: {listed}")
    return parts if type(layer) is Stack else parts[0]


def _directions(what: str, layer: Cell, suffix: str) -> Any:
    if type(layer) is not Bidirectional:
        return _part(what, layer, suffix)
    if layer.merge != "concat":
        raise ValueError(f"{what}: PyTorch concatenates the two directions, merge={layer.merge!r} has no counterpart")
    backward = layer.forward if layer.backward is None else layer.backward
    return BidirectionalParams(_part(what, layer.forward, suffix), _part(what, backward, f"{suffix}_reverse"))


def _part(what: str, cell: Cell, suffix: str) -> _Part:
    cell = mapping.bare(cell)
    return _Part(cell, mapping.find(what, _LAYOUTS, cell), suffix)


_NONLINEARITIES = {jnp.tanh: "tanh", jax.nn.relu: "relu"}


def _rnn_options(cell: VanillaRNN) -> dict[str, Any]:
    if cell.activation not in _NONLINEARITIES:
        raise ValueError(f"the activation of PyTorch's nn.RNN must be jnp.tanh or jax.nn.relu, got {cell.activation}")
    return {"nonlinearity": _NONLINEARITIES[cell.activation]}


def _projected_options(cell: ProjectedLSTM) -> dict[str, Any]:
    if cell.output_size >= cell.hidden_size:
        raise ValueError(
            f"PyTorch's nn.LSTM must have a proj_size below its hidden_size, {cell.hidden_size}, got {cell.output_size}"
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
