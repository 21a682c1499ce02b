"""Several processes as one program, by `jax.distributed`; configured by arguments, the environment or the cluster.

Every process runs the same program with the same arguments, on its part of the mesh's devices. Processes wait for each
other at every step that communicates, so an error in one must end all of them.
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

# Words in messages of JAX's runtime about another process that ended, or a lost connection to it.
_LOST = ("gloo", "nccl", "connection", "coordination", "heartbeat", "socket", "unavailable", "deadline")


def initialize(
    coordinator: str | None = None, processes: int | None = None, index: int | None = None, heartbeat_timeout: int = 30
) -> None:
    """Joins the processes of a run; call it before anything asks JAX for its devices.

    Arguments that are None come from the environment: JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES, JAX_PROCESS_ID. If
    these are not set, JAX asks the cluster (Cloud TPU, Slurm, Open MPI, Kubernetes). Without a cluster this does
    nothing, and the process runs alone.

    Args:
      coordinator: `host:port` at which process 0 listens to the others.
      processes: number of processes.
      index: index of this process, from 0.
      heartbeat_timeout: seconds without a heartbeat after which a process counts as dead and the others are ended.

    Raises:
      ValueError: if only some of the first three are given, or one of them is not valid.
    """
    coordinator = coordinator or os.environ.get("JAX_COORDINATOR_ADDRESS")
    processes = _number("processes", processes, "JAX_NUM_PROCESSES")
    index = _number("process", index, "JAX_PROCESS_ID")
    given = {"coordinator": coordinator, "processes": processes, "process": index}
    missing = [name for name, value in given.items() if value is None]
    if 0 < len(missing) < len(given):
        present = [name for name in given if name not in missing]
        raise ValueError(
            f"several processes need coordinator, processes and process, got {' and '.join(present)} without "
            f"{' and '.join(missing)}"
        )
    if coordinator is not None and processes is not None and index is not None:
        _check(coordinator, processes, index)
    try:
        jax.distributed.initialize(coordinator, processes, index, heartbeat_timeout_seconds=heartbeat_timeout)
    except ValueError as error:
        if not (missing and "coordinator_address" in str(error)):  # JAX's message if it finds no cluster
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
    """Returns whether this process is the one that writes files and prints."""
    return jax.process_index() == 0


def any_process(flag: bool) -> bool:
    """Returns whether the flag is set in any process; all of them must call it, and then act alike."""
    return flag if jax.process_count() == 1 else bool(np.any(multihost_utils.process_allgather(np.array(flag))))


@contextlib.contextmanager
def exit_on_error() -> Iterator[None]:
    """Ends this process at once if its block raises, so that the other processes do not wait for it.

    The usual end of a Python process would wait for all others to end, while they wait for its part of a sum. An error
    caused by another process is printed as one line. JAX ends a process that hangs, after `heartbeat_timeout`. In a
    single process this does nothing.
    """
    try:
        yield
    except BaseException as error:
        if not (jax.distributed.is_initialized() and jax.process_count() > 1):
            raise
        sys.stdout.flush()
        status = _report(error)
        sys.stderr.flush()
        os._exit(status)


def _report(error: BaseException) -> int:
    """Prints an error and returns the exit status."""
    me = f"process {jax.process_index()} of {jax.process_count()}"
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    # JAX 0.11.2 also reports a lost process by a ValueError that begins with a status code.
    from_runtime = isinstance(error, jax.errors.JaxRuntimeError) or (
        isinstance(error, ValueError) and re.match("[A-Z_]+: ", str(error))
    )
    if from_runtime and any(word in str(error).lower() for word in _LOST):
        reason = str(error).splitlines()[0]
        print(f"error: {me} has lost another one, and stops; start all of them again ({reason})", file=sys.stderr)
        return 1
    traceback.print_exception(error)
    print(f"error: {me} stops, and the others with it", file=sys.stderr)
    return 130 if isinstance(error, KeyboardInterrupt) else 1
