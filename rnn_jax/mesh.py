"""A mesh of devices: seeds, the sequences of a batch and wide layers split over them by JAX's own sharding.

The mesh is JAX's own ambient one: what runs under `jax.set_mesh(MeshShape.parse("data:4,seeds:2").build())` is split,
and without it nothing here does anything. It holds in the thread that entered it.
"""

import dataclasses
import math
import os
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec

from rnn_jax import checks, machine

# From the axis with the least communication to that with the most: the last one's devices are each other's neighbours.
AXES = ("seeds", "data", "model")
_SPLIT_BY = {"batch_size": "data", "hidden_size": "model"}


class DivisionError(ValueError):
    """A number of things does not divide over an axis."""


@dataclasses.dataclass(frozen=True)
class MeshShape:
    """Devices along each axis.

    Args:
      data: parts of a batch; gradients are summed over them once an optimization step.
      seeds: groups of seeds, which have nothing to tell each other.
      model: parts of a wide hidden layer, which exchange its state at every time step.

    Raises:
      ValueError: where a size is not a positive integer.
    """

    data: int = 1
    seeds: int = 1
    model: int = 1

    def __post_init__(self) -> None:
        for axis in AXES:
            checks.integer_at_least(1, getattr(self, axis), f"mesh: {axis}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """The shape of `data:4,seeds:2`; an axis that is not named has size 1.

        Raises:
          ValueError: where an axis is not one of ours or comes twice, or its size is not a positive integer.
        """
        sizes: dict[str, int] = {}
        for part in text.split(","):
            name, colon, size = (piece.strip() for piece in part.partition(":"))
            if name not in AXES:
                raise ValueError(f"mesh: {part.strip()!r} must be axis:size with an axis of {', '.join(sorted(AXES))}")
            if name in sizes:
                raise ValueError(f"mesh: the axis {name} comes twice in {text!r}")
            if not (colon and size.isascii() and size.isdigit() and int(size) > 0):
                raise ValueError(f"mesh: the size of {name} must be a positive integer, got {size!r}")
            sizes[name] = int(size)
        return cls(**sizes)

    @property
    def devices(self) -> int:
        """How many it takes."""
        return math.prod(dataclasses.astuple(self))

    def build(self) -> Mesh:
        """The mesh, over all devices of all processes; one process alone may leave some of its devices free.

        To be called before anything else asks JAX for its devices, where those are of a CPU: they take their threads
        from one pool, and where each of them waits in one for parts of a product to be done in others and none is left,
        XLA waits for ever (jaxlib 0.10.2). So the pool is given one more than there are devices, by NPROC.

        Raises:
          ValueError: where it takes more devices than there are, or in several processes fewer.
        """
        os.environ.setdefault("NPROC", str(max(machine.cores(), self.devices + 1)))
        there, processes = jax.device_count(), jax.process_count()
        if self.devices > there or (processes > 1 and self.devices < there):
            raise ValueError(
                f"mesh: {self} takes {self.devices} devices, there {'is' if there == 1 else 'are'} {there}"
                + (f" in {processes} processes, which must all have a part" if processes > 1 else "")
            )
        sizes = [getattr(self, axis) for axis in AXES]
        return jax.make_mesh(sizes, AXES, axis_types=(AxisType.Auto,) * len(AXES))

    def __str__(self) -> str:
        return ",".join(f"{axis}:{getattr(self, axis)}" for axis in sorted(AXES) if getattr(self, axis) > 1) or "data:1"


def current() -> AbstractMesh | None:
    """The mesh that was set, in a compiled program too; None where none was, or one with other axes."""
    mesh = jax.sharding.get_abstract_mesh()
    return mesh if set(mesh.axis_names) == set(AXES) else None


def size(axis: str) -> int:
    """Devices along an axis; 1 without a mesh."""
    mesh = current()
    return 1 if mesh is None else mesh.shape[axis]


def check_divides(what: str, number: int, axis: str) -> None:
    """Refuses a number of things that an axis cannot have equal parts of.

    Raises:
      DivisionError: with what it is, the number and the axis.
    """
    if number % size(axis):
        raise DivisionError(f"{what} {number} does not divide over {axis}:{size(axis)}")


def check(config: Any) -> None:
    """Refuses a trainer, or any dataclass of dataclasses, whose batch or hidden layers cannot be split evenly.

    Raises:
      DivisionError: with the first field named batch_size or hidden_size that does not divide over its axis.
    """
    if isinstance(config, tuple | list):
        for part in config:
            check(part)
    if current() is None or not dataclasses.is_dataclass(config):
        return
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name in _SPLIT_BY:
            check_divides(field.name, value, _SPLIT_BY[field.name])
        check(value)


def layout(shape: tuple[int, ...]) -> tuple[str | None, ...]:
    """How an array of a training's state lies over `model`: by its last axis, where that divides.

    Of a product h W each device then has some columns. What is not divided is whole on every device, as all is over
    `data`.
    """
    parts = size("model")
    columns = parts > 1 and len(shape) > 0 and shape[-1] % parts == 0
    return (*[None] * (len(shape) - 1), "model") if columns else (None,) * len(shape)


def split_batch(tree: Any, axis: int = 1) -> Any:
    """In a compiled program: leaves whose `axis` counts a batch's sequences, split over the mesh's `data`.

    A batch that does not divide is whole on every device: `check_divides` refuses it where a training begins.
    """
    parts = size("data")

    def split(leaf: jax.Array) -> jax.Array:
        if parts == 1 or leaf.shape[axis] % parts:
            return leaf
        return jax.lax.with_sharding_constraint(leaf, PartitionSpec(*[None] * axis, "data"))

    return jax.tree.map(split, tree)


def split_state(tree: Any) -> Any:
    """In a compiled program: a training's state, of one seed, as `layout` has it, however it was computed."""
    if size("data") == size("model") == 1:
        return tree
    return jax.tree.map(lambda leaf: jax.lax.with_sharding_constraint(leaf, PartitionSpec(*layout(leaf.shape))), tree)


def gather_model(tree: Any) -> Any:
    """In a compiled program: leaves whose last axis is whole on every device of `model`.

    Left to itself XLA splits pointwise work as well, and as gates lie side by side it then moves each of them to where
    its units are: 31 exchanges a time step of an LSTM in place of 3.
    """
    if size("model") == 1:
        return tree

    def gather(leaf: jax.Array) -> jax.Array:
        free = [PartitionSpec.UNCONSTRAINED] * (leaf.ndim - 1)
        return jax.lax.with_sharding_constraint(leaf, PartitionSpec(*free, None))

    return jax.tree.map(gather, tree)


def place_batch(array: np.ndarray, axis: int) -> jax.Array:
    """Puts data of which `axis` counts sequences on the devices, each with its part: no process sends another's.

    Without a mesh, or where the axis does not divide, the data is whole.

    Args:
      array: the same in every process.
      axis: that is split.
    """
    mesh = current()
    if mesh is None:
        return jnp.asarray(array)
    whole = array.shape[axis] % size("data")
    split = PartitionSpec() if whole else PartitionSpec(*[None] * axis, "data")
    sharding = NamedSharding(jax.sharding.get_mesh(), split)
    return jax.make_array_from_callback(array.shape, sharding, lambda part: array[part])


def place_whole(tree: Any) -> Any:
    """Puts all of a pytree on every device of the mesh; without one, or where it is there, nothing is done."""
    if current() is None:
        return tree
    whole = NamedSharding(jax.sharding.get_mesh(), PartitionSpec())
    return lay(tree, jax.tree.map(lambda leaf: whole, tree))


def lay(tree: Any, shardings: Any) -> Any:
    """Puts a pytree, the same in every process, where `shardings` say; what is there stays.

    Args:
      tree: of arrays.
      shardings: a pytree like it.
    """
    if jax.process_count() == 1:
        return jax.device_put(tree, shardings)
    # JAX puts nothing on devices of other processes, unless in a program.
    there = jax.tree.leaves(jax.tree.map(_is_there, tree, shardings))
    return tree if all(there) else jax.jit(_same, out_shardings=shardings)(tree)


def _is_there(leaf: Any, sharding: NamedSharding) -> bool:
    return isinstance(leaf, jax.Array) and leaf.sharding.is_equivalent_to(sharding, leaf.ndim)


def _same(tree: Any) -> Any:
    return tree
