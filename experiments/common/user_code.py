"""Digests of user-defined cells' and tasks' code: a run resumes, or is read, only with the code it was started with.

The code of `module:Name` is that module, the modules of its base classes, and all local modules that these import:
Python files outside the standard library, installed packages and this project. Comments, docstrings and formatting do
not count. Modules imported under a computed name (`importlib`) do not count.
"""

import ast
import hashlib
import importlib.util
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from experiments.common.flags import UserError
from rnn_jax import training

STALE = ("refuse", "rerun", "keep")  # policies for results of other code, for the flag `--stale`
OURS = ("experiments", "rnn_jax")
_KEY = "code of "
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def digests(config: Any) -> dict[str, str]:
    """Returns a digest of each module of the code that a config names as `module:Name`, once it is imported.

    Args:
      config: config in JSON's types.

    Returns:
      First digits of a SHA-256, by `code of MODULE`.
    """
    by_module: dict[str, str] = {}
    for text in _strings(config):
        name, colon, attribute = text.removeprefix("bi_").partition(":")  # the prefix of bidirectional networks
        if colon and name in sys.modules:
            value = getattr(sys.modules[name], attribute.partition("(")[0], None)
            for module in [name, *(base.__module__ for base in getattr(value, "__mro__", ()))]:
                _add(module, by_module)
    return {f"{_KEY}{module}": by_module[module] for module in sorted(by_module)}


def resumed(saved: Any, given: Any, stale: str, what: str, otherwise: str) -> Any | None:
    """Decides whether work saved under one config is resumed under another.

    Args:
      saved: config of the work, with digests.
      given: config of this run, with digests.
      stale: one of `STALE`.
      what: subject of the message.
      otherwise: what to do instead if more than code differs.

    Returns:
      The config under which the work continues, that of the work if its code differs; None if it is to be run again.

    Raises:
      UserError: if the configs differ, unless in nothing but code with another policy than to refuse.
    """
    given = json.loads(json.dumps(given))
    if not (differences := training.differences(saved, given)):
        return given
    only_code = all(phrase.startswith(_KEY) for phrase in differences)
    if only_code and stale != "refuse":
        return saved if stale == "keep" else None
    choice = "; --stale=rerun runs it again, --stale=keep keeps what the other code computed" if only_code else ""
    raise UserError(f"{what} of another config ({'; '.join(differences)}): {otherwise}{choice}")


def file_name(name: str) -> str:
    """Returns a name of a run, `task/10/module:Name(option=1)`, as one of a file on any system."""
    return re.sub(r"[^A-Za-z0-9_.()=-]+", "-", name)


def _add(name: str, by_module: dict[str, str]) -> None:
    """Adds the digests of a local module and of the local modules that it imports."""
    path = _local_file(name)
    if path is None or name in by_module:
        return
    content = path.read_bytes()
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # a compiled extension
        by_module[name] = _digest(content)
        return
    imported = list(_imports(tree, name, path.name == "__init__.py"))
    by_module[name] = _digest(_without_docstrings(tree).encode())
    for each in imported:
        _add(each, by_module)


def _local_file(name: str) -> Path | None:
    """Returns the file of a user's module, without importing it; None if it is none."""
    top, parent = name.partition(".")[0], name.rpartition(".")[0]
    if top in OURS or top in sys.stdlib_module_names or not (parent == "" or parent in sys.modules):
        return None
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # the parent is no package; `__main__`
        return None
    if spec is None or not spec.has_location or spec.origin is None:
        return None
    path = Path(spec.origin)
    return None if {"site-packages", "dist-packages"} & set(path.parts) else path


def _imports(tree: ast.AST, name: str, package: bool) -> Iterator[str]:
    """Returns the absolute names of everything that a module's import statements may import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                parts = alias.name.split(".")
                yield from (".".join(parts[: n + 1]) for n in range(len(parts)))
        elif isinstance(node, ast.ImportFrom):
            base = name.split(".")[: len(name.split(".")) - node.level + package] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            yield source
            yield from (f"{source}.{alias.name}" for alias in node.names)


def _without_docstrings(tree: ast.AST) -> str:
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(each)
