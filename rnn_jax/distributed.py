"""Several processes as one program: JAX's own distributed engine, told by flags, by the environment or by the cluster.

Every process runs the same program on the same arguments, and has its part of the mesh's devices. What ends one of them
ends all: they wait for each other at every step that communicates.
"""

import contextlib
import os
import re
import sys
import traceback
from collections.abc import Iterator

import jax
import numpy as np
from jax.experimental import multihost_utils

# Words in the messages of JAX's runtime by which another process, or the way to it, is gone.
_GONE = ("gloo", "nccl", "connection", "coordination", "heartbeat", "socket", "unavailable", "deadline")


def initialize(
    coordinator: str | None = None, processes: int | None = None, index: int | None = None, patience: int = 30
) -> None:
    """Joins the processes of a run; to be called before JAX is asked for its devices.

    What is not given is taken from the environment: JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES, JAX_PROCESS_ID. Where
    these are not there either, JAX asks the cluster (Cloud TPU, Slurm, Open MPI, Kubernetes); where there is none, the
    process is alone and nothing is done.

    Args:
      coordinator: `host:port` of process 0, where it listens to all others.
      processes: how many there are.
      index: which this one is, from 0.
      patience: seconds after which a process that has not been heard of is taken for dead and the others are ended.

    Raises:
      ValueError: where some of the three are given and others are not, or one is none of its kind.
    """
    coordinator = coordinator or os.environ.get("JAX_COORDINATOR_ADDRESS")
    processes = _number("processes", processes, "JAX_NUM_PROCESSES")
    index = _number("process", index, "JAX_PROCESS_ID")
    given = {"coordinator": coordinator, "processes": processes, "process": index}
    missing = [name for name, value in given.items() if value is None]
    if 0 < len(missing) < len(given):
        there = [name for name in given if name not in missing]
        raise ValueError(
            f"several processes need coordinator, processes and process, got {' and '.join(there)} without "
            f"{' and '.join(missing)}"
        )
    if coordinator is not None and processes is not None and index is not None:
        _check(coordinator, processes, index)
    try:
        jax.distributed.initialize(coordinator, processes, index, heartbeat_timeout_seconds=patience)
    except ValueError as error:
        if not (missing and "coordinator_address" in str(error)):  # its word for finding no cluster
            raise


def _number(name: str, value: int | None, variable: str) -> int | None:
    text = os.environ.get(variable)
    if value is not None or text is None:
        return value
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{name} must be an integer, got {variable}={text!r}")
    return int(text)


def _check(coordinator: str, processes: int, index: int) -> None:
    host, _, port = coordinator.rpartition(":")
    if not (host and port.isascii() and port.isdigit() and 0 < int(port) < 2**16):
        raise ValueError(f"coordinator must be host:port, got {coordinator!r}")
    if processes < 1:
        raise ValueError(f"processes must be at least 1, got {processes}")
    if not 0 <= index < processes:
        raise ValueError(f"process must be from 0 to {processes - 1}, one less than processes, got {index}")


def is_writer() -> bool:
    """Whether this process is the one that writes files and prints."""
    return jax.process_index() == 0


def any_process(flag: bool) -> bool:
    """Returns whether the flag is set in any process; all of them must call it, and then act alike."""
    return flag if jax.process_count() == 1 else bool(np.any(multihost_utils.process_allgather(np.array(flag))))


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Ends this process at once where what is inside fails, so that the others do not wait for it; alone, does nothing.

    A process that ends as Python does would first wait for all others to end, and they for its part of a sum. An error
    of which another process is the reason is told in a line. What is hung, and not ended, JAX ends: `patience`.
    """
    try:
        yield
    except BaseException as error:
        if not (jax.distributed.is_initialized() and jax.process_count() > 1):
            raise
        sys.stdout.flush()
        status = _tell(error)
        sys.stderr.flush()
        os._exit(status)


def _tell(error: BaseException) -> int:
    """Prints what happened and returns the exit status."""
    me = f"process {jax.process_index()} of {jax.process_count()}"
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    # A ValueError that begins with a status is the runtime's too (JAX 0.11.2).
    of_runtime = isinstance(error, jax.errors.JaxRuntimeError) or (
        isinstance(error, ValueError) and re.match("[A-Z_]+: ", str(error))
    )
    if of_runtime and any(word in str(error).lower() for word in _GONE):
        reason = str(error).splitlines()[0]
        print(f"error: {me} has lost another one, and stops; start all of them again ({reason})", file=sys.stderr)
        return 1
    traceback.print_exception(error)
    print(f"error: {me} stops, and the others with it", file=sys.stderr)
    return 130 if isinstance(error, KeyboardInterrupt) else 1
