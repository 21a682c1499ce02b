"""A mesh of devices: seeds, the sequences of a batch and wide layers split over them by JAX's own sharding.

The mesh is JAX's own ambient one: what runs under `jax.set_mesh(MeshShape.parse("data:4,seeds:2").build())` is split,
and without it nothing here does anything. It holds in the thread that entered it.
"""

import dataclasses
import math
from typing import Any, Self

import jax
from jax.sharding import AbstractMesh, AxisType, Mesh, PartitionSpec

# From the axis with the least communication to that with the most: the last one's devices are each other's neighbours.
AXES = ("seeds", "data", "model")


@dataclasses.dataclass(frozen=True)
class MeshShape:
    """Devices along each axis.

    Args:
      data: parts of a batch; gradients are summed over them once an optimization step.
      seeds: groups of seeds, which have nothing to tell each other.
      model: parts of a wide hidden layer, which exchange its state at every time step.

    Raises:
      TypeError: where a size is not an integer.
      ValueError: where it is not positive.
    """

    data: int = 1
    seeds: int = 1
    model: int = 1

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

        Raises:
          ValueError: where it takes more devices than there are, or in several processes fewer.
        """
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
      ValueError: with what it is, the number and the axis.
    """
    if number % size(axis):
        raise ValueError(f"{what} {number} does not divide over {axis}:{size(axis)}")


def split_batch(tree: Any, axis: int = 1) -> Any:
    """In a compiled program: leaves whose `axis` counts a batch's sequences, split over the mesh's `data`."""
    parts = size("data")

    def split(leaf: jax.Array) -> jax.Array:
        if parts == 1 or leaf.shape[axis] % parts:
            return leaf
        return jax.lax.with_sharding_constraint(leaf, PartitionSpec(*[None] * axis, "data"))

    return jax.tree.map(split, tree)
