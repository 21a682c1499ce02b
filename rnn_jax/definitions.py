"""Frozen dataclasses as JSON and back: the definition of a model, without its parameters. Imports `static` only.

A dataclass is an object with its `type` and its `fields`, a function or class an object with its `name`; both names
are import paths. A tuple is a list. To read a definition imports what it names: read those that you trust.
"""

import dataclasses
from typing import Any

from rnn_jax import import_path, static

# Modules whose names stay when a definition moves to another file, as `jax.nn.relu` in `jax._src.nn.functions`.
PACKAGE = "rnn_jax"
PARTS = ("cells", "layers", "initializers", "data", "models", "applications")
PUBLIC = ("jax.numpy", "jax.nn", "flax.linen", PACKAGE, *(f"{PACKAGE}.{part}" for part in PARTS))


def to_json(value: Any) -> Any:
    """Returns a value in the types of JSON, from which `from_json` makes an equal one.

    >>> from rnn_jax import GRU
    >>> definition = to_json((GRU(2, 3), "text"))
    >>> definition[0]["type"], definition[0]["fields"]["hidden_size"]
    ('rnn_jax:GRU', 3)
    >>> from_json(definition) == (GRU(2, 3), "text")
    True

    Args:
      value: frozen dataclass whose fields are numbers, strings, None, functions and classes that an import finds, other
        such dataclasses, or tuples of all these.

    Raises:
      TypeError: if a part of it is anything else, such as a lambda or an array.
    """
    definition = _written(value, type(value).__name__)
    if from_json(definition) != value:
        raise TypeError(f"{type(value).__name__} must compare by its fields to be saved, got {value!r:.200}")
    return definition


def from_json(definition: Any) -> Any:
    """Returns the value that `to_json` has written; it imports the modules that the definition names.

    Raises:
      ValueError: if there is no such class or function, or a class has other fields than when it was written.
    """
    match definition:
        case list():
            return tuple(map(from_json, definition))
        case {"type": path, "fields": dict(fields)}:
            return _made(path, {name: from_json(field) for name, field in fields.items()})
        case {"name": path}:
            return _found(path)
        case dict():
            raise ValueError(f"a definition must have a type and fields, or a name, got {', '.join(definition)}")
    return definition


def _written(value: Any, what: str) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if type(value) is tuple:
        return [_written(part, f"{what}[{index}]") for index, part in enumerate(value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        fields = {name: _written(getattr(value, name), f"{what}.{name}") for name in names}
        return {"type": _path(type(value), what), "fields": fields}
    if callable(value):
        return {"name": _path(value, what)}
    raise TypeError(f"{what} must be a number, a string, a tuple, a function or a dataclass, got {value!r:.100}")


def _path(value: Any, what: str) -> str:
    """Returns the import path of a class or function."""
    name, module = getattr(value, "__qualname__", ""), getattr(value, "__module__", "")
    for path in (f"{each}:{name}" for each in (*PUBLIC, module)):
        try:
            if _found(path) is value:
                return path
        except ValueError:
            continue
    raise TypeError(
        f"{what} must be a class or function that an import finds, got {value!r}; define it in an importable module"
    )


def _found(path: str) -> Any:
    return import_path.load(path, "class or function", "of a definition")


def _made(path: str, fields: dict[str, Any]) -> Any:
    kind: Any = _found(path)
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        raise ValueError(f"{path} must be a dataclass, got {kind!r}")
    declared = dataclasses.fields(kind)
    given = {f.name: f.default for f in declared if f.default is not dataclasses.MISSING} | fields
    if given.keys() != {f.name for f in declared}:
        raise ValueError(
            f"{path} must have the fields {', '.join(fields)}, as when it was saved, has "
            f"{', '.join(f.name for f in declared)}"
        )
    value = object.__new__(kind)  # not by its __init__, which a class may define as it likes
    for name, field in given.items():
        object.__setattr__(value, name, field)
    static.check(value, path)
    return value
