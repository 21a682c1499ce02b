"""The examples (`>>>`) in the docstrings of rnn_jax, run as a reader would."""

import doctest
import importlib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import jax
import pytest

ROOT = Path(__file__).parent.parent
# Modules with examples, read from their text: nothing is imported at collection.
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): text
    for path in sorted((ROOT / "rnn_jax").rglob("*.py"))
    if ">>> " in (text := path.read_text(encoding="utf-8"))
}
PEERS = {"haiku", "keras", "torch"}
OPTIONAL = {"flax", "tensorboardX"} | PEERS


def imports(module):
    return set(re.findall(r"^ *>>> (?:import|from) (\w+)", MODULES[module], re.MULTILINE))


def marks(module):
    """Returns the mark of a module's examples: all but the simplest compile for seconds."""
    if imports(module) & PEERS:
        return pytest.mark.peers
    package = module.removeprefix("rnn_jax.").split(".")[0]
    return () if package in ("cell", "data", "initializers", "unrolling", "wrapper") else pytest.mark.extended


@pytest.mark.parametrize("module", [pytest.param(name, marks=marks(name)) for name in MODULES])
def test_examples_run_and_print_what_they_show(module):
    for name in imports(module) & OPTIONAL:
        if not importlib.util.find_spec(name):
            pytest.skip(f"{name} is not installed")
    with jax.numpy_rank_promotion("allow"):  # a reader's session
        results = doctest.testmod(
            importlib.import_module(module), optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        )
    shown, skipped = (MODULES[module].count(mark) for mark in (">>> ", "# doctest: +SKIP"))
    assert results.attempted == shown - skipped  # an example that doctest cannot see would never run
    assert not skipped or module == "rnn_jax.engines.cudnn"  # runs on a GPU only
    assert not results.failed


def test_import_is_light():
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, rnn_jax; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    ).stdout.split()
    assert "rnn_jax.cell" in loaded
    assert not {"matplotlib", "scipy", "sklearn"} & set(loaded)
