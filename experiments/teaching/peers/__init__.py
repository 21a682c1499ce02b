"""The libraries that the programs were written in: who is there, and who is missing and how to install it."""

import importlib
import importlib.metadata
from collections.abc import Collection

from experiments.teaching.program import Form

# Module here, which has FORMS, and the distribution to install.
LIBRARIES = {"Keras": ("keras", "keras"), "PyTorch": ("pytorch", "torch")}

EPSILON = 1e-8  # of Adam, for all: optax's and PyTorch's own


class Unavailable(Exception):
    """A library is there and cannot take part; the message says why."""


def find() -> tuple[list[Form], dict[str, str]]:
    """What the libraries have written, the forms of each, and why one of them cannot take part."""
    found: list[Form] = []
    missing: dict[str, str] = {}
    for name, (module, distribution) in LIBRARIES.items():
        try:
            found += importlib.import_module(f"{__name__}.{module}").forms()
        except ImportError as error:
            missing[name] = f'{error}; to have it: pip install {distribution}, or both by pip install ".[peers]"'
        except Unavailable as error:
            missing[name] = str(error)
    return found, missing


def versions(missing: Collection[str]) -> dict[str, str]:
    """Of the libraries that take part, by distribution."""
    distributions = [distribution for name, (_, distribution) in LIBRARIES.items() if name not in missing]
    return {distribution: importlib.metadata.version(distribution) for distribution in distributions}
