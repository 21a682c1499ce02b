"""Many seeds in one program: over all local devices, and on each device vmapped or, if that is faster, one by one."""

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


def over_seeds(function: Callable[..., Any], per_seed: Any, *shared: Any) -> Any:
    """Applies `function(one_seed, *shared)` to every seed, as `jax.vmap(function, (0, None, ...))` does.

    The seeds are spread over as many local devices as divide their number; results stay on these devices. A CPU is one
    device, unless `jax.config.update("jax_num_cpu_devices", n)` makes it n, of which n - 1 are used. On a mesh
    (`rnn_jax.mesh`) the seeds are spread over its `seeds` axis.

    On a CPU the seeds of a device run one after the other, so that each gives the same bits as alone. As one batch
    their arrays fall out of the caches: a training step of 8 LSTMs takes 1.7 times as long with 64 units each (but 0.8
    times with 32).

    Args:
      function: function of one seed's pytree and of the shared arguments; it must not close over traced values.
      per_seed: pytree of arrays [seeds, ...]; outside of `jax.jit` it lies where `place` puts it.
      *shared: pytrees that are the same for every seed.

    Returns:
      The results, [seeds, ...].
    """
    function, per_seed, shared = _without_empty_arrays(function, per_seed, shared)
    if mesh.current() is not None:
        return _over_mesh(function, per_seed, *shared)
    devices = _seed_mesh(per_seed)
    run_device = _on_device(function, devices.devices.flat[0].platform)
    in_specs = (_SPLIT, *[_WHOLE] * len(shared))
    # Nothing is communicated between devices, so JAX need not track what varies over them.
    mapped = jax.shard_map(run_device, mesh=devices, in_specs=in_specs, out_specs=_SPLIT, check_vma=False)
    return mapped(per_seed, *shared)


def _over_mesh(function: Callable[..., Any], per_seed: Any, *shared: Any) -> Any:
    """`over_seeds` on the mesh that is set; XLA splits over the other axes by the constraints within `function`."""
    _check_divides(per_seed)
    if min(mesh.size(axis) for axis in mesh.AXES) > 1:
        # In place of shard_map, because XLA's partitioner fails an internal check, and ends the process, if a gather is
        # split over two axes and a third axis is manual (jaxlib 0.10.2).
        mapped = jax.vmap(function, (0, *[None] * len(shared)), spmd_axis_name="seeds")
    else:
        mapped = jax.shard_map(
            _on_device(function, jax.default_backend()),
            in_specs=(_SPLIT, *[_WHOLE] * len(shared)),
            out_specs=_SPLIT,
            axis_names={"seeds"},
            check_vma=False,
        )
    return jax.jit(mapped)(per_seed, *shared)  # an eager shard_map would have to name all axes


def _without_empty_arrays(
    function: Callable[..., Any], per_seed: Any, shared: tuple[Any, ...]
) -> tuple[Callable[..., Any], Any, tuple[Any, ...]]:
    """Makes empty arrays inside the function, as XLA crashes if one is an argument of `shard_map` (jaxlib 0.11.2)."""
    one_seed = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), per_seed)

    def refilled(*filled: Any) -> Any:
        def refill(leaf: Any, given: Any) -> Any:
            return jnp.zeros(leaf.shape, leaf.dtype) if given is None else given

        return function(*jax.tree.map(refill, (one_seed, *shared), filled))

    filled = jax.tree.map(lambda leaf: None if 0 in jnp.shape(leaf) else leaf, (per_seed, shared))
    return refilled, *filled


def _on_device(function: Callable[..., Any], platform: str) -> Callable[..., Any]:
    """Returns a function that runs all seeds of one device: one after the other on a CPU, else vmapped."""

    def run_device(per_seed: Any, *shared: Any) -> Any:
        def run_seed(one_seed: Any) -> Any:
            return function(one_seed, *shared)

        return jax.lax.map(run_seed, per_seed) if platform == "cpu" else jax.vmap(run_seed)(per_seed)

    return run_device


def place(per_seed: Any) -> Any:
    """Puts a pytree of arrays [seeds, ...] on the devices given by `shardings`; arrays already there are not copied.

    Args:
      per_seed: pytree of arrays; the same in every process.
    """
    return mesh.device_put(per_seed, shardings(per_seed))


def shardings(per_seed: Any) -> Any:
    """Returns the sharding by which `over_seeds` runs each leaf [seeds, ...]; on a mesh, `mesh.layout` splits it too.

    Args:
      per_seed: pytree of arrays, or of `jax.ShapeDtypeStruct`s to restore a checkpoint by.
    """
    if mesh.current() is None:
        return jax.tree.map(lambda leaf: NamedSharding(_seed_mesh(per_seed), _SPLIT), per_seed)
    _check_divides(per_seed)
    devices = jax.sharding.get_mesh()
    return jax.tree.map(
        lambda leaf: NamedSharding(devices, PartitionSpec("seeds", *mesh.layout(leaf.shape[1:]))), per_seed
    )


# Draws of `rbg` and `unsafe_rbg` depend on the other keys under `jax.vmap`, and on the number of devices.
IMPLEMENTATION = "threefry2x32"


def check_keys(keys: Any, what: str) -> None:
    """Refuses anything but one random key for each seed, [seeds], of an implementation that `jax.vmap` leaves alone.

    Raises:
      ValueError: if the shape is another one, as that of a single key, or the implementation is not `IMPLEMENTATION`.
    """
    dims = 1 if jnp.issubdtype(keys.dtype, jax.dtypes.prng_key) else 2  # older keys are pairs of integers
    if jnp.ndim(keys) != dims:
        raise ValueError(
            f"{what}: keys must be one for each seed, [seeds], got shape {list(jnp.shape(keys))}; pass "
            "jax.random.split(key, seeds)"
        )
    if (implementation := str(jax.random.key_impl(keys))) != IMPLEMENTATION:
        raise ValueError(
            f"{what}: keys must be of {IMPLEMENTATION}, which draws for each seed what it draws for it alone, got "
            f"{implementation}; pass jax.random.key(seed, impl={IMPLEMENTATION!r})"
        )


def fetch(tree: Any) -> Any:
    """Returns the complete arrays of a pytree as NumPy arrays in every process; all processes must call it."""

    def fetch_leaf(leaf: Any) -> np.ndarray:
        if isinstance(leaf, jax.Array) and not (leaf.is_fully_addressable or leaf.is_fully_replicated):
            leaf = multihost_utils.process_allgather(leaf, tiled=True)
        return np.asarray(leaf)

    return jax.tree.map(fetch_leaf, tree)


def _number(per_seed: Any) -> int:
    return jax.tree.leaves(per_seed)[0].shape[0]


def _check_divides(per_seed: Any) -> None:
    mesh.check_divides("seeds", _number(per_seed), "seeds")


def _seed_mesh(per_seed: Any) -> Mesh:
    """Returns a mesh of as many local devices as divide the seeds."""
    devices = jax.local_devices()
    most = len(devices)
    if devices[0].platform == "cpu":
        # CPU devices share one thread pool of at least as many threads as devices. If all of them wait for parts of a
        # matrix product at once, no thread is free to compute those, and XLA deadlocks (jaxlib 0.10.2).
        most = max(1, most - 1)
    return Mesh(devices[: _largest_divisor(_number(per_seed), most)], ("seeds",))


def _largest_divisor(number: int, most: int) -> int:
    return max(n for n in range(1, most + 1) if number % n == 0)


def in_groups(function: Callable[[Any], Any], per_seed: Any) -> Any:
    """Applies `function(per_seed)`; on a CPU in parallel to as many groups of seeds as divide them, up to one per core.

    A small recurrence keeps only one core busy. The groups run in threads, because a CPU device runs the programs of
    one thread one after the other. Each seed gives the same bits as without groups. Seeds on several devices stay one
    group. JAX's context managers apply to the thread that entered them, so not to the groups.

    Args:
      function: compiled function of a pytree [seeds, ...]; its results are [seeds, ...], each of its own seed only.
      per_seed: pytree of arrays [seeds, ...] as `place` puts it.

    Returns:
      The results, [seeds, ...].
    """
    if mesh.current() is not None:  # the mesh determines where seeds run
        return function(per_seed)
    devices = _seed_mesh(per_seed).devices
    most = machine.cores() if devices.size == 1 and devices.flat[0].platform == "cpu" else 1
    groups = _largest_divisor(_number(per_seed), most)
    if groups == 1:
        return function(per_seed)
    first, *others = _split(per_seed, groups)
    started = function(first)  # compiles, once for all groups, and returns while the program runs
    with concurrent.futures.ThreadPoolExecutor(len(others)) as pool:
        return _join([started, *pool.map(function, others)])


@functools.partial(jax.jit, static_argnums=1)
def _split(per_seed: Any, groups: int) -> list[Any]:
    parts = jax.tree.map(lambda leaf: jnp.split(leaf, groups), per_seed)
    return [jax.tree.map(lambda _, part, n=n: part[n], per_seed, parts) for n in range(groups)]


@jax.jit
def _join(parts: list[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)
