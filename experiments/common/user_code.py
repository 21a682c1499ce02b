"""The code of cells of one's own: a run goes on, or is read, only with the code that it was begun with."""

import hashlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

OURS = ("experiments", "rnn_jax")


def digests(made_by: Any) -> dict[str, str]:
    """Of the file of every module that a config names as `module:Name`, once it is imported, and that is not ours.

    Only of that file: what it imports in its turn is not looked at.

    Args:
      made_by: the config, as JSON has it.

    Returns:
      By `code of MODULE`, the beginning of a SHA-256.
    """
    found = {}
    for name in _strings(made_by):
        module, colon, _ = name.partition(":")
        path = getattr(sys.modules.get(module), "__file__", None)
        if colon and path is not None and module.partition(".")[0] not in OURS:
            found[f"code of {module}"] = hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12]
    return found


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(each)
