"""A mesh of devices, over which JAX's own sharding splits seeds, the sequences of a batch and wide layers.

The mesh is set by JAX: code under `jax.set_mesh(MeshShape.parse("data:4,seeds:2").build())` is split, and without a
mesh the functions here do nothing. `jax.set_mesh` applies to the thread that entered it.

All cores of a CPU, for a single training: `jax.set_mesh(mesh.MeshShape(data=machine.cores()).build())`, before anything
asks JAX for its devices.
"""

import dataclasses
import functools
import math
import os
import re
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec

from rnn_jax import checks, machine
from rnn_jax.static import Static

# Ordered from least to most communication, because the devices of the last axis are neighbours.
AXES = ("seeds", "data", "model")


class DivisionError(ValueError):
    """A number of seeds or units is not divisible by the size of a mesh axis."""


@dataclasses.dataclass(frozen=True)
class MeshShape(Static):
    """The number of devices along each axis of a mesh.

    >>> from rnn_jax import mesh
    >>> mesh.MeshShape.parse("data:4,seeds:2")
    MeshShape(data=4, seeds=2, model=1)

    Args:
      data: number of parts of a batch, the last ones smaller if it does not divide; their gradients are summed once per
        optimization step.
      seeds: number of groups of seeds, which do not communicate.
      model: number of parts of a wide hidden layer, which exchange its state at every time step.

    Raises:
      ValueError: if a size is not a positive integer.
    """

    data: int = 1
    seeds: int = 1
    model: int = 1

    def __post_init__(self) -> None:
        for axis in AXES:
            checks.integer_at_least(1, getattr(self, axis), f"mesh: {axis}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Returns the shape of a text such as `data:4,seeds:2`; an axis that is not named has size 1.

        Raises:
          ValueError: if an axis is unknown or repeated, or its size is not a positive integer.
        """
        sizes: dict[str, int] = {}
        for part in text.split(","):
            name, colon, size = (word.strip() for word in part.partition(":"))
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
        """The number of devices that the mesh needs."""
        return math.prod(dataclasses.astuple(self))

    def build(self) -> Mesh:
        """Builds the mesh over the devices of all processes; a single process may leave some of its devices unused.

        If nothing has asked JAX for its devices yet, the CPU gets as many as the mesh needs.

        Raises:
          ValueError: if the mesh needs more devices than there are, or, in several processes, fewer; if it needs all
            threads of CPU devices.
        """
        make_cpu_devices(self.devices)
        there, processes = jax.device_count(), jax.process_count()
        if self.devices > there or (processes > 1 and self.devices < there):
            raise ValueError(
                f"mesh: {self} takes {self.devices} devices, there {'is' if there == 1 else 'are'} {there}"
                + (f" in {processes} processes, which must all have a part" if processes > 1 else "")
            )
        _check_threads(min(self.devices, jax.local_device_count()))
        sizes = [getattr(self, axis) for axis in AXES]
        return jax.make_mesh(sizes, AXES, axis_types=(AxisType.Auto,) * len(AXES))

    def __str__(self) -> str:
        return ",".join(f"{axis}:{getattr(self, axis)}" for axis in sorted(AXES) if getattr(self, axis) > 1) or "data:1"


# CPU devices share one pool of threads. If all of these wait for parts of a matrix product at once, none is free to
# compute them, and XLA waits for ever (jaxlib 0.10.2). NPROC is the size of the pool, read when JAX makes the devices.


def make_cpu_devices(count: int) -> None:
    """Makes at least that many CPU devices, and more threads than devices, unless JAX has made its devices."""
    flag = re.search(r"--xla_force_host_platform_device_count=(\d+)", os.environ.get("XLA_FLAGS", ""))
    option = jax.config.jax_num_cpu_devices  # type: ignore[attr-defined]  # as JAX documents
    configured = max(option, int(flag[1]) if flag else 1)
    # Of several processes each has its own devices, whose number the caller knows.
    count = configured if jax.distributed.is_initialized() else max(count, configured)
    try:
        jax.config.update("jax_num_cpu_devices", -2)  # refused once JAX has devices, as is any new number
    except RuntimeError:
        return
    jax.config.update("jax_num_cpu_devices", count)
    os.environ["NPROC"] = str(max(_threads(), count + 1))


def _threads() -> int:
    """Returns the size of the pool, if the CPU does not have more devices."""
    return int(os.environ.get("NPROC", machine.cores()))


def _check_threads(used: int) -> None:
    """Checks that a thread is left if each of that many devices holds one.

    Raises:
      ValueError: if there is none.
    """
    if used == 1 or jax.default_backend() != "cpu" or used < (threads := max(_threads(), jax.local_device_count())):
        return
    raise ValueError(
        f"mesh: {used} CPU devices must leave one of XLA's {threads} threads free, or they wait for each other for "
        f"ever; build the mesh before anything asks JAX for its devices, or start Python with NPROC={used + 1}"
    )


def current() -> AbstractMesh | None:
    """Returns the mesh that is set, also within a compiled program; None if there is none or it has other axes."""
    mesh = jax.sharding.get_abstract_mesh()
    return mesh if set(mesh.axis_names) == set(AXES) else None


def shape() -> MeshShape:
    """Returns the shape of the mesh that is set, of one device without a mesh."""
    mesh = current()
    return MeshShape() if mesh is None else MeshShape(**mesh.shape)


def size(axis: str) -> int:
    """Returns the number of devices along an axis; 1 without a mesh, or where `jax.shard_map` has split the axis."""
    mesh = current()
    return 1 if mesh is None or axis in mesh.manual_axes else mesh.shape[axis]


def batch_parts(inputs: Any) -> int | None:
    """Returns the largest number of parts into which XLA may split the batch of a program that reads `inputs`.

    That is the size of `data`, or all devices of a mesh with other axes, without the axes that `jax.shard_map` has
    split already. None if it cannot be known: the `in_shardings` of `jax.jit` do not show in what it traces.
    """
    mesh: Any = jax.sharding.get_abstract_mesh()
    if mesh.empty:
        mesh = _sharding(inputs).mesh
    if mesh.empty:
        return 1 if jax.device_count() == 1 else None
    names = {"data"} if set(mesh.axis_names) == set(AXES) else set(mesh.axis_names)
    return math.prod(mesh.shape[name] for name in names - set(mesh.manual_axes))


def check_divides(what: str, number: int, axis: str) -> None:
    """Checks that a number is divisible by the size of an axis.

    Raises:
      DivisionError: if it is not; the message names `what`, the number and the axis.
    """
    if number % size(axis):
        raise DivisionError(f"{what} {number} does not divide over {axis}:{size(axis)}")


def check(config: Any) -> None:
    """Checks that the hidden layers of a trainer, or of any nested dataclass, can be split evenly.

    Raises:
      DivisionError: if a field named hidden_size is not divisible by the size of `model`.
    """
    if isinstance(config, tuple | list):
        for part in config:
            check(part)
    if current() is None or not dataclasses.is_dataclass(config):
        return
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name == "hidden_size":
            check_divides(field.name, value, "model")
        check(value)


def layout(shape: tuple[int, ...]) -> tuple[str | None, ...]:
    """Returns the axis names that split an array of a train state: its last dimension over `model`, if it is divisible.

    Each device then computes some columns of a product h W. Other arrays are replicated, as all are over `data`.
    """
    parts = size("model")
    columns = parts > 1 and len(shape) > 0 and shape[-1] % parts == 0
    return (*[None] * (len(shape) - 1), "model") if columns else (None,) * len(shape)


def split_batch(tree: Any, axis: int = 1) -> Any:
    """Constrains the leaves of a batch, within a compiled program, to be split over `data` along the batch dimension.

    If the batch is not divisible, the last parts are smaller; one of fewer sequences than devices is replicated.

    Args:
      tree: pytree of arrays.
      axis: batch dimension of every leaf.
    """
    parts = size("data")

    def split(leaf: jax.Array) -> jax.Array:
        if parts == 1 or leaf.shape[axis] < parts:
            return leaf
        return jax.lax.with_sharding_constraint(leaf, PartitionSpec(*[None] * axis, "data"))

    return jax.tree.map(split, tree)


def split_as(inputs: Any, tree: Any, axes: slice) -> Any:
    """Splits the leading dimensions of leaves as those of inputs are split over the Explicit axes of a mesh.

    JAX has these axes as part of a type: a loop's carry must keep it, and the operands of an operation must agree.
    Without such axes nothing changes.

    Args:
      inputs: inputs [T, *batch, features].
      tree: pytree of arrays.
      axes: dimensions of the inputs to which the leading ones of every leaf correspond.
    """
    sharding = _sharding(inputs)
    leading = sharding.spec[axes]
    if not any(leading):
        return tree

    def split(leaf: Any) -> jax.Array:
        parts = PartitionSpec(*leading, *jax.typeof(leaf).sharding.spec[len(leading) :])
        return jax.sharding.reshard(leaf, NamedSharding(sharding.mesh, parts))

    return jax.tree.map(split, tree)


def vary_together(inputs: Any, params: Any, state: Any) -> tuple[Any, Any]:
    """Makes parameters and a state vary over the Manual axes of a mesh, those of `jax.shard_map`, over which any does.

    JAX has these axes as part of a type, and a loop's carry must keep its type. If parameters vary before the loop,
    their gradient is summed over devices once, after it, not in every step. Values stay as they are.
    """
    if not _sharding(inputs).mesh.manual_axes:
        return params, state
    varying = [jnp.any(jnp.zeros_like(leaf, bool)) for leaf in jax.tree.leaves((inputs, params, state))]
    never = functools.reduce(jnp.logical_or, varying)  # False on each device
    return jax.tree.map(lambda leaf: jax.lax.select(never, jax.lax.stop_gradient(leaf), leaf), (params, state))


def _sharding(inputs: Any) -> NamedSharding:
    """Returns the sharding of inputs as far as it shows while a program is traced."""
    array = jax.tree.leaves(inputs)[0]
    return jax.typeof(array if isinstance(array, jax.Array) else 0).sharding  # one of NumPy is on no mesh


def split_state(tree: Any) -> Any:
    """Constrains one seed's train state, within a compiled program, to the sharding of `layout`."""
    if size("data") == size("model") == 1:
        return tree
    return jax.tree.map(lambda leaf: jax.lax.with_sharding_constraint(leaf, PartitionSpec(*layout(leaf.shape))), tree)


def gather_model(tree: Any) -> Any:
    """Constrains the last dimension of every leaf, within a compiled program, to be replicated over `model`.

    Without this XLA also splits elementwise work, and as a cell's gates are neighbouring columns it moves each of them
    to the devices of its units: 31 exchanges per time step of an LSTM instead of 3.
    """
    if size("model") == 1:
        return tree

    def gather(leaf: jax.Array) -> jax.Array:
        free = [PartitionSpec.UNCONSTRAINED] * (leaf.ndim - 1)
        return jax.lax.with_sharding_constraint(leaf, PartitionSpec(*free, None))

    return jax.tree.map(gather, tree)


def place_batch(array: np.ndarray, axis: int) -> jax.Array:
    """Puts data on the devices, split over `data` along one dimension; each process sends only its own part.

    Without a mesh, or if the dimension is not divisible, every device gets all of the data.

    Args:
      array: data, the same in every process.
      axis: batch dimension.
    """
    mesh = current()
    if mesh is None:
        return jnp.asarray(array)
    divisible = array.shape[axis] % size("data") == 0
    spec = PartitionSpec(*[None] * axis, "data") if divisible else PartitionSpec()
    sharding = NamedSharding(jax.sharding.get_mesh(), spec)
    return jax.make_array_from_callback(array.shape, sharding, lambda part: array[part])


def place_whole(tree: Any) -> Any:
    """Replicates a pytree on every device of the mesh; without a mesh it is returned as it is."""
    if current() is None:
        return tree
    whole = NamedSharding(jax.sharding.get_mesh(), PartitionSpec())
    return device_put(tree, jax.tree.map(lambda leaf: whole, tree))


def device_put(tree: Any, shardings: Any) -> Any:
    """Puts a pytree on devices, as `jax.device_put` does, also on those of other processes.

    Args:
      tree: pytree of arrays, the same in every process.
      shardings: pytree of shardings with the same structure.
    """
    if jax.process_count() == 1:
        return jax.device_put(tree, shardings)
    # `jax.device_put` does not reach devices of other processes; a compiled program does.
    placed = jax.tree.leaves(jax.tree.map(_is_placed, tree, shardings))
    return tree if all(placed) else jax.jit(_identity, out_shardings=shardings)(tree)


def _is_placed(leaf: Any, sharding: NamedSharding) -> bool:
    return isinstance(leaf, jax.Array) and leaf.sharding.is_equivalent_to(sharding, leaf.ndim)


def _identity(tree: Any) -> Any:
    return tree
