"""The contestants, a library a file: who is there, and who is missing and how to install it."""

import importlib
import importlib.metadata

from experiments.throughput.peers.contestant import Contestant, Unavailable

# Name in the tables: module here, and the distribution to install.
LIBRARIES = {
    "torch": ("pytorch", "torch"),
    "linen": ("flax_linen", "flax"),
    "nnx": ("flax_nnx", "flax"),
    "haiku": ("haiku", "dm-haiku"),
    "keras": ("keras", "keras"),
}
REFERENCE = "torch"  # whose time is one
JAX_LIBRARIES = ("linen", "nnx", "haiku", "keras")


def find() -> tuple[list[Contestant], dict[str, str]]:
    """The libraries that can take part, and why each of the others cannot."""
    found: list[Contestant] = []
    missing: dict[str, str] = {}
    for name, (module, distribution) in LIBRARIES.items():
        try:
            found.append(importlib.import_module(f"{__name__}.{module}").make())
        except ImportError as error:
            missing[name] = f'{error}; to compare with it: pip install {distribution}, or all by pip install ".[peers]"'
        except Unavailable as error:
            missing[name] = str(error)
    return found, missing


def versions(names: list[str]) -> dict[str, str]:
    """The installed version of each distribution that `names` come from."""
    return {d: importlib.metadata.version(d) for d in sorted({LIBRARIES[name][1] for name in names})}
