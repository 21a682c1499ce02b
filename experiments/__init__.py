"""Experiments: one absl script a question.

`python -m experiments.NAME` imports this package first, and then JAX, for seconds. There is nothing to save before a
run starts, so until then an interrupt ends the process at once: a KeyboardInterrupt would show a traceback of imports,
or be swallowed by one of them.
"""

import os
import signal
import sys
from typing import Any


def interrupted(number: int, frame: Any) -> None:
    """Ends the process at once; the handler of Ctrl-C until `command_line.launch` runs an experiment."""
    os.write(2, b"interrupted\n")
    os._exit(130)


# runpy leaves "-m" here while it searches for the module: programs that import this package do not get the handler. A
# shell's background jobs ignore Ctrl-C, and still do.
if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, interrupted)
