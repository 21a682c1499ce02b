"""What all contract checks share: the error, a check of one property, comparisons of pytrees and of objects."""

import copy
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import numpy as np


class ContractError(AssertionError):
    """A property of a contract does not hold; the message is one sentence."""


class Check(NamedTuple):
    """One property of an object, to be checked."""

    subject: str  # name of the object
    sentence: str  # what must hold
    call: Callable[[], None]  # raises ContractError if it does not

    @classmethod
    def of(cls, subject: str, check: Callable[..., None], *arguments: Any, suffix: str = "") -> "Check":
        """Returns the check of a property, a function whose docstring says what must hold."""
        sentence = " ".join((check.__doc__ or "").split()).removesuffix(".")
        return cls(subject, f"{sentence}{suffix}", lambda: check(*arguments))

    def __call__(self) -> None:
        """Checks the property; an error of the object's own code becomes a sentence that names the property.

        Products are full float32, unless JAX was told otherwise: the tolerances are for those.
        """
        chosen = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]  # as JAX documents
        try:
            with jax.default_matmul_precision(chosen or "highest"):
                self.call()
        except ContractError:
            raise
        except Exception as error:  # user code may raise anything
            raise ContractError(
                f"{self.subject} raises {type(error).__name__} in the check {self.sentence!r}: {error}"
            ) from error


def run_all(checks: Iterable[Check]) -> None:
    """Runs checks up to the first that raises ContractError."""
    for check in checks:
        check()


def require(condition: Any, message: str) -> None:
    """Raises a ContractError with the message unless the condition holds."""
    if not condition:
        raise ContractError(message)


def require_close(message: str, got: Any, expected: Any, rtol: float = 1e-5, atol: float = 1e-6) -> None:
    """Refuses a pytree that differs from the expected one in structure, shapes, dtypes or values.

    Args:
      message: what must be equal, the beginning of the sentence.
      got: pytree to compare.
      expected: pytree of the expected values.
      rtol: largest difference, as a share of the expected value.
      atol: largest difference, to be added.

    Raises:
      ContractError: if they differ; the message ends with the first leaf that differs.
    """
    require_like(message, got, expected)
    for (path, leaf), like in zip(jax.tree.leaves_with_path(got), jax.tree.leaves(expected), strict=True):
        leaf, like = np.asarray(leaf), np.asarray(like)
        if not np.allclose(leaf, like, rtol, atol, equal_nan=True):
            difference = np.max(np.abs(leaf - like))
            raise ContractError(f"{message}; the largest difference{_place(path)} is {difference:.3g}")


def require_like(message: str, got: Any, expected: Any) -> None:
    """Refuses a pytree of another structure, other shapes or other dtypes; see `require_close`."""
    got_tree: Any = jax.tree.structure(got)
    expected_tree: Any = jax.tree.structure(expected)
    require(got_tree == expected_tree, f"{message}; expected the structure {expected_tree}, got {got_tree}")
    for (path, leaf), like in zip(jax.tree.leaves_with_path(got), jax.tree.leaves(expected), strict=True):
        shape, expected_shape = (f"{each.dtype}{list(each.shape)}" for each in (leaf, like))
        require(shape == expected_shape, f"{message}; expected {expected_shape}{_place(path)}, got {shape}")


def require_value(subject: Any) -> None:
    """Refuses an object that does not compare, hash and copy by value, so that equal ones share compiled programs."""
    name = type(subject).__name__
    line = f"write @dataclasses.dataclass(frozen=True) above class {name}, with hashable fields"
    try:
        hash(subject)
    except TypeError as error:
        raise ContractError(f"{name} must be hashable, but {error}; {line}") from error
    twin = copy.deepcopy(subject)
    require(twin == subject and hash(twin) == hash(subject), f"{name} must equal its copy; {line}")


def _place(path: Any) -> str:
    return f" at {jax.tree_util.keystr(path)}" if path else ""
