"""Many seeds in one program: over all local devices; on each, vmapped, or one after the other where that is faster."""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

_SPLIT, _WHOLE = PartitionSpec("seeds"), PartitionSpec()


def over_seeds(function: Callable[..., Any], of_seeds: Any, *shared: Any) -> Any:
    """`function(of_one_seed, *shared)` for every seed, as `jax.vmap(function, (0, None, ...))` has it.

    The seeds are spread over as many of the local devices as divide their number, and results stay where they were
    made. A CPU is one device, if not told otherwise by `jax.config.update("jax_num_cpu_devices", n)`; all of those but
    one are used at the most.

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
    mesh = _mesh(of_seeds)

    def of_device(of_seeds: Any, *shared: Any) -> Any:
        def of_seed(of_one: Any) -> Any:
            return function(of_one, *shared)

        on_cpu = mesh.devices.flat[0].platform == "cpu"
        return jax.lax.map(of_seed, of_seeds) if on_cpu else jax.vmap(of_seed)(of_seeds)

    in_specs = (_SPLIT, *[_WHOLE] * len(shared))
    # Nothing crosses a boundary between devices, so JAX need not follow what varies over them.
    solve = jax.shard_map(of_device, mesh=mesh, in_specs=in_specs, out_specs=_SPLIT, check_vma=False)
    return solve(of_seeds, *shared)


def place(of_seeds: Any) -> Any:
    """Puts a pytree of [seeds, ...] on the devices on which `over_seeds` runs them; where it is there, nothing."""
    return jax.device_put(of_seeds, NamedSharding(_mesh(of_seeds), _SPLIT))


def _mesh(of_seeds: Any) -> Mesh:
    seeds, devices = len(jax.tree.leaves(of_seeds)[0]), jax.local_devices()
    most = len(devices)
    if devices[0].platform == "cpu":
        # The devices of a CPU take their threads from one pool, that has at least as many: where each waits in one for
        # its product's parts to be done in others, and none is left, XLA waits for ever (jaxlib 0.10.2).
        most = max(1, most - 1)
    return Mesh(devices[: max(n for n in range(1, most + 1) if seeds % n == 0)], ("seeds",))
