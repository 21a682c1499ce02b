"""User-defined objects by name, `module:Name` or `module:Name(option=0.1)`. Imports nothing of the project."""

import ast
import functools
import importlib
from collections.abc import Callable
from typing import Any


def load(path: str, what: str, signature: str) -> Callable[..., Any]:
    """Returns the class or function at an import path, with its options filled in.

    Options are keywords with literal values; nothing else is evaluated.

    >>> load("fractions:Fraction(denominator=3)", "number", "(numerator) -> Fraction")(2)
    Fraction(2, 3)

    Args:
      path: `module:Name` or `module:Name(option=value, ...)`; the module is imported.
      what: word for the object in messages, such as "cell".
      signature: how the object is called, for messages.

    Raises:
      ValueError: if there is no such object, or its options are not keywords with literal values.
    """
    module_name, _, rest = path.partition(":")
    name, bracket, _ = rest.partition("(")
    options = _options(path, rest, what) if bracket else {}
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # a user's module may raise anything
        hint = "; run in its folder, or add that to PYTHONPATH" if isinstance(error, ModuleNotFoundError) else ""
        raise ValueError(f"{what} {path!r}: cannot import module {module_name!r}: {error!r}{hint}") from error
    if not hasattr(module, name):
        raise ValueError(f"{what} {path!r}: module {module_name!r} has no {name!r}")
    factory = getattr(module, name)
    if not callable(factory):
        raise ValueError(f"{what} {path!r} must be a class or function {signature}, got {factory!r}")
    return functools.partial(factory, **options) if options else factory


def _options(path: str, call: str, what: str) -> dict[str, Any]:
    try:
        node = ast.parse(call, mode="eval").body
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.args:
            options = {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords}
            if None not in options:  # as of `**{...}`
                return options  # type: ignore[return-value]
    except (SyntaxError, ValueError):
        pass
    example = f"{path.partition('(')[0]}(size=3, rate=0.1)"
    raise ValueError(f"{what} {path!r}: options must be keywords with literal values, as in {example}")
