"""What all formats share: the names and shapes that a cell's arrays have there, and the refusal of any others."""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from rnn_jax.cell import Cell, Params
from rnn_jax.layers import Dropout, RecurrentDropout

Shape = tuple[int, ...]

# Around these a layer keeps its parameters and, without a key, computes the same. (`Zoneout` does not: without a key it
# takes the expectation of its noise.)
_TRANSPARENT: tuple[type[Cell], ...] = (Dropout, RecurrentDropout)


@dataclasses.dataclass(frozen=True)
class Layout:
    """How a library keeps the parameters of one kind of cell.

    Args:
      module: the library's name for such a cell.
      shapes: the names and shapes of its arrays, given the cell.
      load: the cell's parameters from those arrays.
      save: the arrays from the cell's parameters.
      biases: names that are absent, all of them, where the library was told to have no biases.
    """

    module: str
    shapes: Callable[[Any], dict[str, Shape]]
    load: Callable[[Mapping[str, jax.Array]], Params]
    save: Callable[[Any], dict[str, jax.Array]]
    biases: tuple[str, ...] = ()


AnyLayout = TypeVar("AnyLayout", bound=Layout)


def bare(cell: Any) -> Any:
    """The cell inside wrappers that add nothing to its parameters, nor to what it computes in evaluation."""
    while type(cell) in _TRANSPARENT:
        cell = cell.cell
    return cell


def find(what: str, table: Mapping[type[Cell], AnyLayout], cell: Cell) -> AnyLayout:
    """The layout of `cell`, by its exact type: a subclass may compute something else.

    Raises:
      ValueError: where there is none.
    """
    if type(cell) not in table:
        known = ", ".join(f"{kind.__name__} ({layout.module})" for kind, layout in table.items())
        raise ValueError(f"{what}: {describe(cell)} has no counterpart there; the cells that have one are {known}")
    return table[type(cell)]


def describe(cell: Cell) -> str:
    """A cell's name and sizes, short."""
    return f"{type(cell).__name__}({cell.input_size}, {cell.hidden_size})"


def load(what: str, layout: Layout, cell: Cell, mapping: Mapping[str, Any]) -> Params:
    """The parameters of `cell` from arrays by name; refuses what `arrays` does."""
    found = arrays(f"{what}: {describe(cell)}", mapping, layout.shapes(cell), layout.biases)
    return layout.load(found)


def save(what: str, layout: Layout, cell: Cell, params: Params) -> dict[str, jax.Array]:
    """Arrays by name from the parameters of `cell`; refuses what `check_params` does."""
    check_params(f"{what}: {describe(cell)}", cell, params)
    return layout.save(params)


def arrays(
    what: str, mapping: Mapping[str, Any], wanted: Mapping[str, Shape], biases: Collection[str] = ()
) -> dict[str, jax.Array]:
    """Takes the arrays wanted, all of them and no other, out of a mapping; they are copies.

    Args:
      what: begins the messages.
      mapping: names to anything `jnp.array` takes, tracers included.
      wanted: names to shapes.
      biases: those of `wanted` that become zeros where the mapping has none of them.

    Raises:
      TypeError: where `mapping` is none.
      ValueError: where names are missing or unknown, shapes differ, or something is no floating-point array; it tells
        all of them at once.
    """
    check_mapping(what, mapping)
    without = set() if any(name in mapping for name in biases) else set(biases)
    needed = {name: shape for name, shape in wanted.items() if name not in without}
    found = {name: _array(what, name, mapping[name]) for name in needed if name in mapping}
    problems = [
        *(f"wants {name} {list(shape)}, which is missing" for name, shape in needed.items() if name not in found),
        *(
            f"wants {name} {list(needed[name])}, got {list(array.shape)}"
            for name, array in found.items()
            if array.shape != needed[name]
        ),
        *_unknown([str(name) for name in mapping if name not in wanted]),
    ]
    if problems:
        raise ValueError(f"{what} " + "; ".join(problems))
    return found | {name: jnp.zeros(wanted[name], jnp.result_type(*found.values())) for name in without}


def check_mapping(what: str, mapping: Any) -> None:
    """Refuses anything but a mapping."""
    if not isinstance(mapping, Mapping):
        raise TypeError(f"{what} wants a mapping of names to arrays, got {type(mapping).__name__}")


def check_params(what: str, cell: Cell, params: Params) -> None:
    """Refuses parameters whose structure or shapes are not those that `cell.init` draws.

    Raises:
      ValueError: with the first leaf that differs.
    """
    wanted = jax.eval_shape(cell.init, jax.random.key(0))
    got_tree: Any = jax.tree.structure(params)
    wanted_tree: Any = jax.tree.structure(wanted)
    if got_tree != wanted_tree:
        raise ValueError(f"{what} wants params {wanted_tree}, got {got_tree}")
    for (path, leaf), like in zip(jax.tree.leaves_with_path(params), jax.tree.leaves(wanted), strict=True):
        if jnp.shape(leaf) != like.shape:
            name = jax.tree_util.keystr(path)
            raise ValueError(f"{what} wants params{name} {list(like.shape)}, got {list(jnp.shape(leaf))}")


def flatten(tree: Mapping[Any, Any]) -> dict[str, Any]:
    """Nested mappings of any kind as one, with dotted names."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        inner = {f"{name}.{k}": v for k, v in flatten(value).items()} if isinstance(value, Mapping) else {name: value}
        if twice := flat.keys() & inner.keys():
            raise ValueError(f"the name {min(twice)} stands for two arrays")
        flat |= inner
    return flat


def _unknown(names: list[str], shown: int = 10) -> list[str]:
    """Says which names nobody wanted; a whole model's would fill the screen."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return [f"has no use for {', '.join(names[:shown])}{more}"] if names else []


def _array(what: str, name: str, value: Any) -> jax.Array:
    try:
        array = jnp.array(value)  # a copy: the owner may go on training its own in place
    except Exception as error:  # whatever another library's array raises
        raise ValueError(
            f"{what} cannot read {name}: {error} (of a PyTorch tensor pass tensor.detach().float().cpu())"
        ) from error
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise ValueError(f"{what} wants {name} in floating point, got {array.dtype}")
    return array
