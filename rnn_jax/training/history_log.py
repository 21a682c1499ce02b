"""The history of a training on disk: what every step and evaluation gave, appended at each log point.

    FOLDER/history   for each log point: length of its record, 8 bytes, little-endian; the record in flax's msgpack

A checkpoint holds a `mark` of this file and no metrics, so it does not grow with the number of steps.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flax import serialization

Mark = Mapping[str, np.ndarray]  # "bytes", the file's length, and "sha256", the digest of its content
EMPTY: Mark = {"bytes": np.array(0), "sha256": np.frombuffer(hashlib.sha256().digest(), np.uint8)}


def read(folder: Path, mark: Mark) -> list[dict[str, Any]]:
    """Returns the records, nested dicts of NumPy arrays, that the file of a folder held when it was marked.

    Raises:
      ValueError: if the file no longer starts with them.
    """
    path, records = folder / "history", []
    content = memoryview(_start(path, mark))
    while content:
        end = 8 + int.from_bytes(content[:8], "little")
        records.append(serialization.msgpack_restore(bytes(content[8:end])))
        content = content[end:]
    return records


def _start(path: Path, mark: Mark) -> bytes:
    """Returns the bytes of a file up to a mark."""
    content = b""
    if mark["bytes"]:
        with path.open("rb") as file:
            content = file.read(int(mark["bytes"]))
    if hashlib.sha256(content).digest() != mark["sha256"].tobytes():
        raise ValueError(f"{path} is not the history that was written")
    return content


class HistoryLog:
    """Appends records to the history in a folder.

    Args:
      folder: folder of the run.
      mark: mark after which to continue; later records, from before the run was killed, are removed.
    """

    def __init__(self, folder: Path, mark: Mark):
        path = folder / "history"
        self._digest = hashlib.sha256(_start(path, mark))
        self._file = path.open("ab")
        self._file.truncate(int(mark["bytes"]))

    def append(self, record: Mapping[str, Any]) -> None:
        """Appends nested dicts of NumPy arrays."""
        content = serialization.msgpack_serialize(record)
        content = len(content).to_bytes(8, "little") + content
        self._file.write(content)
        self._file.flush()
        self._digest.update(content)

    @property
    def mark(self) -> Mark:
        """The mark of everything appended so far."""
        return {"bytes": np.array(self._file.tell()), "sha256": np.frombuffer(self._digest.digest(), np.uint8)}

    def sync(self) -> None:
        """Waits until all records are on disk; a checkpoint with their mark is saved only then."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()
