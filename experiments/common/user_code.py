"""Digests of user-defined cells' code: a run resumes, or is read, only with the code that it was started with."""

import hashlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

OURS = ("experiments", "rnn_jax")


def digests(config: Any) -> dict[str, str]:
    """Returns a digest of each user module that a config names as `module:Name`, once the module is imported.

    Modules that such a module imports in turn are not digested.

    Args:
      config: config in JSON's types.

    Returns:
      First digits of a SHA-256, by `code of MODULE`.
    """
    by_module = {}
    for name in _strings(config):
        module, colon, _ = name.partition(":")
        path = getattr(sys.modules.get(module), "__file__", None)
        if colon and path is not None and module.partition(".")[0] not in OURS:
            by_module[f"code of {module}"] = hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12]
    return by_module


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(each)
