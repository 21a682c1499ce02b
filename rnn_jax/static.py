"""Objects that are fixed when a program is compiled: cells, models, tasks, engines, estimators, optimizers.

They are frozen dataclasses, compared and hashed by the values of their fields, so that equal ones share a compiled
program. Imports nothing of the project.
"""

import dataclasses
import functools
import numbers
import operator
import sys
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

import jax
import jax.numpy as jnp


class Static:
    """The base of such a dataclass: whatever its methods read is a field, hashable, and a plain Python value.

    NumPy and JAX scalars become Python's. Objects can be pickled and copied, even if a field is a jitted function that
    an import finds (`jnp.tanh`).

    >>> import numpy as np
    >>> @dataclasses.dataclass(frozen=True)
    ... class Scale(Static):
    ...     factor: float = 1.0
    >>> Scale(np.int64(2)), Scale(np.int64(2)) == Scale(2)
    (Scale(factor=2), True)

    Raises:
      TypeError: if a field's value is mutable or not hashable, or a class in place of an object.
      dataclasses.FrozenInstanceError: if a method, such as `__init__`, sets an attribute that is not a field.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__post_init__" in vars(cls):
            cls.__post_init__ = _checking(cls, cls.__post_init__)  # type: ignore[method-assign]

    def __post_init__(self) -> None:
        _convert(self)
        if type(self).__post_init__ is Static.__post_init__:
            check(self, type(self).__name__)

    # A frozen dataclass refuses only the fields of its subclasses, and lets a subclass set any other attribute.
    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise dataclasses.FrozenInstanceError(_not_a_field(self, name, value))

    def __getstate__(self) -> dict[str, Any]:
        return {name: _by_name(value) for name, value in vars(self).items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value.resolve() if isinstance(value, _Name) else value)


def check(value: Any, what: str) -> None:
    """Checks that equal values may share a compiled program; also those that do not derive from `Static`.

    Args:
      value: object that is static in a program; anything but dataclasses, tuples and classes is accepted.
      what: name of the value in messages.

    Raises:
      TypeError: if it is a class, or if an object in it has attributes that are not fields, compares by other fields
        than its own, or has a field that is not hashable.
    """
    refuse_class(value, what)
    if isinstance(value, tuple):
        for index, part in enumerate(value):
            check_part(part, f"{what}[{index}]")
    if not dataclasses.is_dataclass(value):
        return
    kind, fields = type(value), [field.name for field in dataclasses.fields(value)]
    for name, attribute in vars(value).items():
        if name not in fields and not isinstance(getattr(kind, name, None), functools.cached_property):
            raise TypeError(_not_a_field(value, name, attribute))
    if _holds_data(value):
        return
    comparing = defining_class(kind, "__eq__")
    if dataclasses.is_dataclass(comparing) and {field.name for field in dataclasses.fields(comparing)} != set(fields):
        raise TypeError(f"{kind.__name__} must compare all its fields, got eq=False; write dataclass(frozen=True)")
    for field in dataclasses.fields(value):
        check_part(option := getattr(value, field.name), f"{kind.__name__}: {field.name}")
        if field.type is bool and not isinstance(option, bool):  # "no" would count as True
            raise TypeError(f"{kind.__name__}: {field.name} must be True or False, got {option!r}")


def refuse_class(value: Any, what: str) -> None:
    """Refuses a class in place of one of its objects.

    Raises:
      TypeError: if it is one; the message names `what` and the class.
    """
    if isinstance(value, type):
        raise TypeError(f"{what} must be an object, got the class {value.__name__}; write {value.__name__}(...)")


def defining_class(kind: type, name: str) -> type:
    """Returns the class from which `kind` has its attribute `name`."""
    return next(base for base in kind.__mro__ if name in vars(base))


def check_part(value: Any, what: str) -> None:
    """Checks a field's value: it must be hashable, and pass `check`.

    Raises:
      TypeError: if it does not.
    """
    try:
        hash(value)
    except TypeError:
        got = "a traced value" if isinstance(value, jax.core.Tracer) else f"{type(value).__name__} {value!r:.60}"
        raise TypeError(
            f"{what} must be hashable, got {got}; give a number, a string, a tuple, a named function or a frozen "
            "dataclass, and keep arrays among the parameters"
        ) from None
    if not isinstance(value, type) or issubclass(value, Static):
        check(value, what)


def _checking(cls: type, post_init: Callable[..., None]) -> Callable[..., None]:
    """Returns a `__post_init__` that gets plain values, and after which all fields are checked."""

    @functools.wraps(post_init)
    def __post_init__(self: Any, *arguments: Any) -> None:
        _convert(self)
        post_init(self, *arguments)
        if defining_class(type(self), "__post_init__") is cls:  # else a subclass's own is still to come
            check(self, type(self).__name__)

    return __post_init__


def _convert(value: Any) -> None:
    if _holds_data(value):
        return
    for name, given in vars(value).items():
        plain = _plain(given)
        if plain is not given:
            object.__setattr__(value, name, plain)


def _plain(value: Any) -> Any:
    """Returns scalars of other libraries, also in tuples, as Python's; any other value as it is."""
    if isinstance(value, tuple):
        parts = [_plain(part) for part in value]
        if all(plain is part for plain, part in zip(parts, value, strict=True)):
            return value
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    traced_or_key = isinstance(value, jax.Array) and (
        isinstance(value, jax.core.Tracer) or jnp.issubdtype(value.dtype, jax.dtypes.prng_key)
    )
    if getattr(value, "shape", None) == () and hasattr(value, "item") and not traced_or_key:
        value = value.item()
    if isinstance(value, int | float) or not isinstance(value, numbers.Real):
        return value
    return operator.index(value) if isinstance(value, numbers.Integral) else float(value)


def _holds_data(value: Any) -> bool:
    """Whether it is compared by identity or is a pytree of arrays, as a task of real data is."""
    leaves = jax.tree.leaves(value)
    return defining_class(type(value), "__eq__") is object or (bool(leaves) and leaves[0] is not value)


def _not_a_field(value: Any, name: str, attribute: Any) -> str:
    kind = type(value)
    return (
        f"{kind.__name__}: {name} must be a field, because objects with equal fields share compiled programs; in place "
        f"of an __init__ that sets it write\n\n"
        f"@dataclasses.dataclass(frozen=True)\n"
        f"class {kind.__name__}({', '.join(base.__name__ for base in kind.__bases__)}):\n"
        f"    {name}: {type(attribute).__name__} = {attribute!r:.60}\n"
    )


class _Name(NamedTuple):
    """Where an import finds a function, which `pickle` itself refuses if it is jitted."""

    module: str
    qualname: str

    def resolve(self) -> Any:
        __import__(self.module)
        return operator.attrgetter(self.qualname)(sys.modules[self.module])


def _by_name(value: Any) -> Any:
    name = _Name(getattr(value, "__module__", None) or "", getattr(value, "__qualname__", ""))
    try:
        return name if callable(value) and name.resolve() is value else value
    except (ValueError, ImportError, AttributeError):  # no name, or that of a function within a function
        return value
