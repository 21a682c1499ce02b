"""Cycles of a Pallas kernel on a TPU, off the program that its compiler schedules.

A TPU's compiler estimates cycles for its own operations, not for a kernel. It writes the kernel's scheduled program on
request: a line for each bundle of instructions that start in the same cycle. Waiting for memory is not in it.
"""

import atexit
import concurrent.futures
import functools
import multiprocessing
import os
import pathlib
import re
import tempfile
from collections.abc import Callable
from typing import Any

import jax

_FLAGS = "--xla_jf_dump_to={} --xla_jf_dump_llo_text=true --xla_jf_dump_llo_pass_label_regex=final_bundles"


@functools.cache
def record() -> pathlib.Path:
    """Makes the compiler for TPUs write its programs, into a folder that is there until the process ends.

    The compiler reads this when it starts, with its first program.
    """
    folder = tempfile.TemporaryDirectory(prefix="bundles_")
    atexit.register(folder.cleanup)
    os.environ["LIBTPU_INIT_ARGS"] = f"{os.environ.get('LIBTPU_INIT_ARGS', '')} {_FLAGS.format(folder.name)}".strip()
    return pathlib.Path(folder.name)


def measure(make: Callable[..., jax.stages.Compiled], *args: Any) -> dict[str, int]:
    """Returns `of` the program that `make(*args)` compiles for a TPU, in a new process and with this one's precision.

    In a new process, because `record` takes a flag of the compiler's start, and several times as long.

    Args:
      make: function of a module, as it is imported again there.
      *args: arguments that can be pickled.
    """
    precision = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]  # as JAX documents
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_recorded, precision, make, args).result()


def _recorded(precision: str | None, make: Callable[..., jax.stages.Compiled], args: Any) -> dict[str, int]:
    record()
    jax.config.update("jax_platforms", "cpu")
    with jax.default_matmul_precision(precision):
        return of(make(*args))


def of(compiled: jax.stages.Compiled) -> dict[str, int]:
    """Returns the bundles of each kernel's innermost loop, one iteration: for `Fused`, of one time step.

    Args:
      compiled: program compiled for a TPU after `record`.

    Returns:
      Kernels by name, without those of which the compiler has written nothing.
    """
    names = re.findall(r'%([\w.\-]+) = [^\n]*custom_call_target="tpu_custom_call"', compiled.as_text() or "")
    kernels = {}
    for name in names:
        written = sorted(record().glob(f"*[0-9]-{name}-*[0-9]-final_bundles.txt"), key=os.path.getmtime)
        if written:
            kernels[name] = innermost_loop(written[-1].read_text(encoding="utf-8"))
    return kernels


def innermost_loop(program: str) -> int:
    r"""Returns the number of bundles of the largest innermost loop of a scheduled program; 0 if it has no loop.

    >>> innermost_loop(" 0x0 : { }\n 0x1 LB: > { }\n 0x2 LB: >> { }\n 0x3 : >> { }\n 0x4 : > { }")
    2
    """
    bundles = re.findall(r"^ *(?:0x[0-9a-f]+|0) +(\w\w)?:? (>*) *\{", program, re.MULTILINE)
    deepest = max((len(depth) for _, depth in bundles), default=0)
    sizes = [0]
    for label, depth in bundles:
        if deepest and len(depth) == deepest:
            sizes = [*sizes, 0] if label == "LB" else sizes
            sizes[-1] += 1
    return max(sizes)
