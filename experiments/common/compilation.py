"""Compiled programs of a command line: their cache, which later runs share, and how many of them came from it."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
from jax import monitoring

# JAX's own variables come first, as without a command line.
FOLDER = os.environ.get("JAX_COMPILATION_CACHE_DIR") or str(
    Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rnn_jax"
)
_COMPILED, _CACHED = "/jax/core/compile/backend_compile_duration", "/jax/compilation_cache/cache_hits"


@dataclasses.dataclass
class Programs:
    """The programs that were needed so far; `str` counts them. Threads append to the lists.

    Args:
      seconds: seconds of each program's compilation, or of reading it from the cache.
      cached: events of programs that came from the cache.
    """

    seconds: list[float] = dataclasses.field(default_factory=list)
    cached: list[str] = dataclasses.field(default_factory=list)

    def __str__(self) -> str:
        count, cached = len(self.seconds), len(self.cached)
        return (
            f"programs compiled: {count - cached}, from the cache: {cached}; {sum(self.seconds):.1f} s of all threads"
        )

    def _add_seconds(self, event: str, duration_secs: float, **_: Any) -> None:
        if event == _COMPILED:
            self.seconds.append(duration_secs)

    def _add_cached(self, event: str, **_: Any) -> None:
        if event == _CACHED:
            self.cached.append(event)


@contextlib.contextmanager
def cached(folder: str) -> Iterator[Programs]:
    """Keeps every compiled program in a folder, for the whole process from now on, and counts programs in its body.

    Args:
      folder: folder of the cache, created if missing; empty: no cache.
    """
    if folder:
        jax.config.update("jax_compilation_cache_dir", os.path.expanduser(folder))
        if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    programs = Programs()
    monitoring.register_event_duration_secs_listener(programs._add_seconds)
    monitoring.register_event_listener(programs._add_cached)
    try:
        yield programs
    finally:
        monitoring.unregister_event_duration_listener(programs._add_seconds)
        monitoring.unregister_event_listener(programs._add_cached)
