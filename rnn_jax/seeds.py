"""Many seeds in one program: over all local devices; on each, vmapped, or one after the other where that is faster."""

import concurrent.futures
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from rnn_jax import machine, mesh

_SPLIT, _WHOLE = PartitionSpec("seeds"), PartitionSpec()


def over_seeds(function: Callable[..., Any], of_seeds: Any, *shared: Any) -> Any:
    """`function(of_one_seed, *shared)` for every seed, as `jax.vmap(function, (0, None, ...))` has it.

    The seeds are spread over as many of the local devices as divide their number, and results stay where they were
    made. A CPU is one device, if not told otherwise by `jax.config.update("jax_num_cpu_devices", n)`; all of those but
    one are used at the most. On a mesh that was set (`rnn_jax.mesh`) they are spread over its `seeds` axis.

    The seeds of one device of a CPU run one after the other, and each is what it is alone, bit for bit. As one batch
    their arrays fall out of the caches: a training step of 8 LSTMs takes 1.7 times as long with 64 units each (but 0.8
    times with 32).

    Args:
      function: of one seed's pytree and of all that is shared; it closes over no traced value.
      of_seeds: a pytree of [seeds, ...]; not traced, it is where `place` puts it.
      *shared: pytrees, the same for every seed.

    Returns:
      Its results, [seeds, ...].
    """
    function, of_seeds, shared = _of_filled(function, of_seeds, shared)
    if mesh.current() is not None:
        return _over_mesh(function, of_seeds, *shared)
    devices = _mesh(of_seeds)
    of_device = _each(function, devices.devices.flat[0].platform)
    in_specs = (_SPLIT, *[_WHOLE] * len(shared))
    # Nothing crosses a boundary between devices, so JAX need not follow what varies over them.
    solve = jax.shard_map(of_device, mesh=devices, in_specs=in_specs, out_specs=_SPLIT, check_vma=False)
    return solve(of_seeds, *shared)


def _over_mesh(function: Callable[..., Any], of_seeds: Any, *shared: Any) -> Any:
    """The same on the mesh that was set: other axes are left to XLA, that goes by what `function` asks of them."""
    _check(of_seeds)
    if min(mesh.size(axis) for axis in mesh.AXES) > 1:
        # XLA's partitioner fails a check of its own, and ends the process, where a gather is split over two axes and a
        # third one is not its business (jaxlib 0.10.2).
        each = jax.vmap(function, (0, *[None] * len(shared)), spmd_axis_name="seeds")
    else:
        in_specs = (_SPLIT, *[_WHOLE] * len(shared))
        each = jax.shard_map(
            _each(function, jax.default_backend()),
            in_specs=in_specs,
            out_specs=_SPLIT,
            axis_names={"seeds"},
            check_vma=False,
        )
    return jax.jit(each)(of_seeds, *shared)  # outside a program JAX wants to know of all axes


def _of_filled(
    function: Callable[..., Any], of_seeds: Any, shared: tuple[Any, ...]
) -> tuple[Callable[..., Any], Any, tuple[Any, ...]]:
    """The function of arrays that have elements, and those: XLA dies of one without (`shard_map`, jaxlib 0.11.2)."""
    of_one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), of_seeds)

    def of_filled(*filled: Any) -> Any:
        def whole(leaf: Any, there: Any) -> Any:
            return jnp.zeros(leaf.shape, leaf.dtype) if there is None else there

        return function(*jax.tree.map(whole, (of_one, *shared), filled))

    seeds_there, shared_there = jax.tree.map(lambda leaf: None if 0 in jnp.shape(leaf) else leaf, (of_seeds, shared))
    return of_filled, seeds_there, shared_there


def _each(function: Callable[..., Any], platform: str) -> Callable[..., Any]:
    """The seeds of one device."""

    def of_device(of_seeds: Any, *shared: Any) -> Any:
        def of_seed(of_one: Any) -> Any:
            return function(of_one, *shared)

        return jax.lax.map(of_seed, of_seeds) if platform == "cpu" else jax.vmap(of_seed)(of_seeds)

    return of_device


def place(of_seeds: Any) -> Any:
    """Puts a pytree of [seeds, ...] where `shardings` say; what is there stays.

    Args:
      of_seeds: of arrays; in several processes, each gives the same.
    """
    return mesh.lay(of_seeds, shardings(of_seeds))


def shardings(of_seeds: Any) -> Any:
    """The devices on which `over_seeds` runs each leaf of [seeds, ...]; on a mesh split as `mesh.layout` has it, too.

    Args:
      of_seeds: of arrays or, to read a checkpoint by, of `jax.ShapeDtypeStruct`s.
    """
    if mesh.current() is None:
        return jax.tree.map(lambda leaf: NamedSharding(_mesh(of_seeds), _SPLIT), of_seeds)
    _check(of_seeds)
    devices = jax.sharding.get_mesh()
    return jax.tree.map(
        lambda leaf: NamedSharding(devices, PartitionSpec("seeds", *mesh.layout(leaf.shape[1:]))), of_seeds
    )


def fetch(tree: Any) -> Any:
    """The arrays of a pytree as NumPy arrays, whole, in every process: all of them must call it."""

    def one(leaf: Any) -> np.ndarray:
        if isinstance(leaf, jax.Array) and not (leaf.is_fully_addressable or leaf.is_fully_replicated):
            leaf = multihost_utils.process_allgather(leaf, tiled=True)
        return np.asarray(leaf)

    return jax.tree.map(one, tree)


def _check(of_seeds: Any) -> None:
    mesh.check_divides("seeds", jax.tree.leaves(of_seeds)[0].shape[0], "seeds")


def _mesh(of_seeds: Any) -> Mesh:
    seeds, devices = jax.tree.leaves(of_seeds)[0].shape[0], jax.local_devices()
    most = len(devices)
    if devices[0].platform == "cpu":
        # The devices of a CPU take their threads from one pool, that has at least as many: where each waits in one for
        # its product's parts to be done in others, and none is left, XLA waits for ever (jaxlib 0.10.2).
        most = max(1, most - 1)
    return Mesh(devices[: max(n for n in range(1, most + 1) if seeds % n == 0)], ("seeds",))


def in_groups(function: Callable[[Any], Any], of_seeds: Any) -> Any:
    """`function(of_seeds)`, on a CPU by as many groups of seeds side by side as there are cores and divide them.

    A small recurrence keeps one core busy; the groups are run from threads, as a CPU device runs the programs of one
    thread one after the other. Each seed is what it is without groups, bit for bit. Seeds on several devices are left
    as they are. JAX's context managers hold in the thread that entered them: not for the groups.

    Args:
      function: compiled; of a pytree of [seeds, ...], with results [seeds, ...], of which each is its own seed's.
      of_seeds: where `place` has put it.
    """
    if mesh.current() is not None:  # it has said where they run
        return function(of_seeds)
    devices, seeds = _mesh(of_seeds).devices, len(jax.tree.leaves(of_seeds)[0])
    most = machine.cores() if devices.size == 1 and devices.flat[0].platform == "cpu" else 1
    count = max(n for n in range(1, most + 1) if seeds % n == 0)
    if count == 1:
        return function(of_seeds)
    first, *others = _split(of_seeds, count)
    done = function(first)  # compiled here, once, and under way when this returns
    with concurrent.futures.ThreadPoolExecutor(len(others)) as pool:
        return _join([done, *pool.map(function, others)])


@functools.partial(jax.jit, static_argnums=1)
def _split(of_seeds: Any, count: int) -> list[Any]:
    parts = jax.tree.map(lambda leaf: jnp.split(leaf, count), of_seeds)
    return [jax.tree.map(lambda _, part, n=n: part[n], of_seeds, parts) for n in range(count)]


@jax.jit
def _join(parts: list[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)
