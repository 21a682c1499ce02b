"""Standard output and error that cannot end a run: what they cannot take is dropped, and the results are still written.

A terminal or pipe that lacks a character (`cp1252` on Windows) gets `?` in its place. A full disk or a closed pipe gets
nothing more.
"""

import os
import sys
from collections.abc import Callable
from typing import Any, TextIO


class Stream:
    """A text stream that keeps its first write error in `error` instead of raising it, and then discards all text."""

    def __init__(self, stream: TextIO):
        self._stream = stream
        self.error: OSError | None = None
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")

    def write(self, text: str) -> int:
        self._try(self._stream.write, text)
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def _try(self, act: Callable[..., Any], *args: str) -> None:
        try:
            act(*args)
        except OSError as error:
            self.error = self.error or error
            # What is still in the buffer would fail again, in the interpreter's last flush.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def protect() -> None:
    """Replaces `sys.stdout` and `sys.stderr` by such streams, if they are open."""
    for name in ("stdout", "stderr"):
        if (stream := getattr(sys, name)) is not None:
            setattr(sys, name, Stream(stream))
