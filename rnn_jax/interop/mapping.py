"""Shared by all formats: names and shapes of the arrays of a cell in another library, and checks of them."""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from rnn_jax.cell import Cell, Params
from rnn_jax.layers import Dropout, RecurrentDropout

Shape = tuple[int, ...]

# Wrappers that change neither the parameters of a layer nor, without a key, its outputs. (`Zoneout` is not among them:
# without a key it computes the expectation of its noise.)
_TRANSPARENT: tuple[type[Cell], ...] = (Dropout, RecurrentDropout)


@dataclasses.dataclass(frozen=True)
class Layout:
    """The arrays of one type of cell in another library.

    Args:
      module: name of such a cell in the library.
      shapes: function from a cell to the shapes of its arrays by name.
      load: function from the arrays to the parameters of the cell.
      save: function from the parameters of the cell to the arrays.
      biases: names of the arrays that a module without biases does not have.
    """

    module: str
    shapes: Callable[[Any], dict[str, Shape]]
    load: Callable[[Mapping[str, jax.Array]], Params]
    save: Callable[[Any], dict[str, jax.Array]]
    biases: tuple[str, ...] = ()


AnyLayout = TypeVar("AnyLayout", bound=Layout)


def bare(cell: Any) -> Any:
    """Returns the cell inside wrappers that change neither its parameters nor its outputs in evaluation."""
    while type(cell) in _TRANSPARENT:
        cell = cell.cell
    return cell


def find(what: str, table: Mapping[type[Cell], AnyLayout], cell: Cell) -> AnyLayout:
    """Returns the layout of `cell` by its exact type, because a subclass may compute something else.

    Raises:
      ValueError: if there is no layout.
    """
    if type(cell) not in table:
        known = ", ".join(f"{kind.__name__} ({layout.module})" for kind, layout in table.items())
        raise ValueError(f"{what}: {describe(cell)} has no counterpart there; cells with a counterpart are {known}")
    return table[type(cell)]


def describe(cell: Cell) -> str:
    """Returns the name and sizes of a cell, for messages."""
    return f"{type(cell).__name__}({cell.input_size}, {cell.hidden_size})"


def load(what: str, layout: Layout, cell: Cell, mapping: Mapping[str, Any]) -> Params:
    """Returns the parameters of `cell` from arrays by name; raises as `arrays`."""
    return layout.load(arrays(f"{what}: {describe(cell)}", mapping, layout.shapes(cell), layout.biases))


def save(what: str, layout: Layout, cell: Cell, params: Params) -> dict[str, jax.Array]:
    """Returns arrays by name from the parameters of `cell`; raises as `check_params`."""
    check_params(f"{what}: {describe(cell)}", cell, params)
    return layout.save(params)


def arrays(
    what: str, mapping: Mapping[str, Any], shapes: Mapping[str, Shape], biases: Collection[str] = ()
) -> dict[str, jax.Array]:
    """Returns copies of the arrays in a mapping after checking that it holds exactly the expected ones.

    Args:
      what: prefix of error messages.
      mapping: arrays by name, anything `jnp.array` accepts, including tracers.
      shapes: expected shapes by name.
      biases: names in `shapes` of arrays that become zeros if the mapping has none of them.

    Raises:
      TypeError: if `mapping` is not a mapping.
      ValueError: with all problems at once, if names are missing or unexpected or shapes differ; if an array is not
        floating point.
    """
    check_mapping(what, mapping)
    absent = set() if any(name in mapping for name in biases) else set(biases)
    required = {name: shape for name, shape in shapes.items() if name not in absent}
    loaded = {name: _array(what, name, mapping[name]) for name in required if name in mapping}
    problems = [
        *(f"expects {name} {list(shape)}, which is missing" for name, shape in required.items() if name not in loaded),
        *(
            f"expects {name} {list(required[name])}, got {list(array.shape)}"
            for name, array in loaded.items()
            if array.shape != required[name]
        ),
        *_unexpected([str(name) for name in mapping if name not in shapes]),
    ]
    if problems:
        raise ValueError(f"{what} " + "; ".join(problems))
    return loaded | {name: jnp.zeros(shapes[name], jnp.result_type(*loaded.values())) for name in absent}


def check_mapping(what: str, mapping: Any) -> None:
    """Raises a TypeError if `mapping` is not a mapping."""
    if not isinstance(mapping, Mapping):
        raise TypeError(f"{what} expects a mapping of names to arrays, got {type(mapping).__name__}")


def check_params(what: str, cell: Cell, params: Params) -> None:
    """Checks that parameters have the structure and shapes of those of `cell.init`.

    Raises:
      ValueError: with the first leaf that differs.
    """
    expected = jax.eval_shape(cell.init, jax.random.key(0))
    tree: Any = jax.tree.structure(params)
    expected_tree: Any = jax.tree.structure(expected)
    if tree != expected_tree:
        raise ValueError(f"{what} expects params {expected_tree}, got {tree}")
    for (path, leaf), like in zip(jax.tree.leaves_with_path(params), jax.tree.leaves(expected), strict=True):
        if jnp.shape(leaf) != like.shape:
            name = jax.tree_util.keystr(path)
            raise ValueError(f"{what} expects params{name} {list(like.shape)}, got {list(jnp.shape(leaf))}")


def flatten(tree: Mapping[Any, Any]) -> dict[str, Any]:
    """Flattens nested mappings to a dictionary with dotted names."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        inner = {f"{name}.{k}": v for k, v in flatten(value).items()} if isinstance(value, Mapping) else {name: value}
        if repeated := flat.keys() & inner.keys():
            raise ValueError(f"the name {min(repeated)} stands for two arrays")
        flat |= inner
    return flat


def _unexpected(names: list[str], shown: int = 10) -> list[str]:
    """Returns a message about unexpected names, or none; those of a whole model would fill the screen."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return [f"does not expect {', '.join(names[:shown])}{more}"] if names else []


def _array(what: str, name: str, value: Any) -> jax.Array:
    try:
        array = jnp.array(value)  # a copy, because training may change the original in place
    except Exception as error:  # arrays of other libraries raise errors of many types
        raise ValueError(
            f"{what} cannot read {name}: {error} (for a PyTorch tensor pass tensor.detach().float().cpu())"
        ) from error
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise ValueError(f"{what} expects {name} in floating point, got {array.dtype}")
    return array
