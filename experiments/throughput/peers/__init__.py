"""Other libraries, one or two in a file: which are installed, and how to install the others."""

import importlib
import importlib.metadata

from experiments.throughput.peers.contestant import Contestant, Unavailable

# Name in the tables: module here, and distribution to install. Each module's `make(name)` returns the contestant.
LIBRARIES = {
    "torch": ("pytorch", "torch"),
    "linen": ("flax", "flax"),
    "nnx": ("flax", "flax"),
    "haiku": ("haiku", "dm-haiku"),
    "keras": ("keras", "keras"),
}
REFERENCE = "torch"  # the others' times are multiples of its time
JAX_LIBRARIES = ("linen", "nnx", "haiku", "keras")


def find() -> tuple[list[Contestant], dict[str, str]]:
    """Returns the libraries that can take part, and why each of the others cannot."""
    contestants: list[Contestant] = []
    missing: dict[str, str] = {}
    for name, (module, distribution) in LIBRARIES.items():
        try:
            contestants.append(importlib.import_module(f"{__name__}.{module}").make(name))
        except ImportError as error:
            missing[name] = f'{error}; to compare with it: pip install {distribution}, or all by pip install ".[peers]"'
        except Unavailable as error:
            missing[name] = str(error)
    return contestants, missing


def versions(names: list[str]) -> dict[str, str]:
    """Returns the installed version of each distribution that `names` come from."""
    return {d: importlib.metadata.version(d) for d in sorted({LIBRARIES[name][1] for name in names})}
