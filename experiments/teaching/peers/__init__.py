"""The programs in the libraries that they were written for, as far as these are installed."""

import functools
import importlib
import importlib.metadata
from collections.abc import Callable

from experiments.teaching.measurement import Network
from experiments.teaching.programs import Setup

LIBRARIES = {"Keras": ("keras", "keras"), "PyTorch": ("pytorch", "torch")}  # module here, distribution
Forms = dict[str, Callable[[Setup], Network]]
EPSILON = 1e-8  # of Adam in every library, as in optax and PyTorch


def find() -> tuple[Forms, dict[str, str], dict[str, str]]:
    """Imports every library that is installed.

    Returns:
      Functions that create a network, by form; they raise Unsupported if the library has no such network. Then the
      libraries' versions by distribution, and why others cannot be used.
    """
    forms: Forms = {}
    versions, missing = dict[str, str](), dict[str, str]()
    for name, (module, distribution) in LIBRARIES.items():
        try:
            create = importlib.import_module(f"{__name__}.{module}").create
        except ImportError as error:
            hint = f'; pip install {distribution}, or both libraries: pip install ".[peers]"'
            missing[name] = f"{error}{hint if isinstance(error, ModuleNotFoundError) else ''}"
            continue
        versions[distribution] = importlib.metadata.version(distribution)
        forms[name] = functools.partial(create, as_written=False)
        forms[f"{name}, as written"] = functools.partial(create, as_written=True)
    return forms, versions, missing
