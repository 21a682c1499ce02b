"""The machine that this process runs on."""

import functools
import importlib.metadata
import importlib.util
import os

import jax


def cores() -> int:
    """Returns the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def platforms() -> frozenset[str]:
    """Returns the platforms that this process may compile for, by JAX's names.

    They are the CPU and those whose compiler is installed, with a device or without.
    """
    plugins = [plugin.name for plugin in importlib.metadata.entry_points(group="jax_plugins")]
    installed = [name for name in ("cuda", "rocm") if any(name in plugin for plugin in plugins)]
    libtpu = ["tpu"] if importlib.util.find_spec("libtpu") else []
    backend = jax.default_backend()
    return frozenset(["cpu", *installed, *libtpu, *(["cuda", "rocm"] if backend == "gpu" else [backend])])
