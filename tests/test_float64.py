"""Runs tests/float64 in processes of their own, because JAX takes its float width when it starts."""

import importlib.util
import os
import pathlib
import subprocess
import sys
import warnings

import pytest

FOLDER = pathlib.Path(__file__).parent / "float64"
FILES = sorted(path.name for path in FOLDER.glob("test_*.py"))
TEXTS = {name: (FOLDER / name).read_text(encoding="utf-8") for name in FILES}
SLOW = [name for name, text in TEXTS.items() if "mark.slow" in text or "common_problem" in text]
PEERS = ["test_interop_torch.py", "test_keras_haiku_parity.py", "test_torch_parity.py"]
PEERS_SLOW = ["test_teaching.py", "test_interop_keras.py"]  # the tests in 32 bit show the same, less sharply
OTHERS = [name for name in FILES if name not in [*PEERS, *PEERS_SLOW]]
DEFAULT, EXTENDED = "not (slow or extended)", "extended and not slow"


@pytest.mark.parametrize(
    ("names", "marked"),
    [
        (OTHERS, DEFAULT),
        pytest.param(PEERS, "not slow", marks=pytest.mark.peers),
        pytest.param(OTHERS, EXTENDED, marks=pytest.mark.extended),
        *(pytest.param([name], "not slow", marks=[pytest.mark.slow, pytest.mark.peers]) for name in PEERS_SLOW),
        *(pytest.param([name], "slow", marks=pytest.mark.slow) for name in SLOW),
    ],
    ids=str,
)
def test_float64_suite_passes(names, marked):
    if names == PEERS and not any(map(importlib.util.find_spec, ("haiku", "keras", "torch"))):
        pytest.skip("neither haiku nor keras nor torch is installed")
    files = [f"tests/float64/{name}" for name in names]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", *files, "-m", marked, "-q", "-n0", "-p", "no:cacheprovider"],
        cwd=pathlib.Path(__file__).parents[1],
        env={**os.environ, "JAX_ENABLE_X64": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    for line in result.stdout.splitlines():
        if line.startswith("SKIPPED"):  # a skipped peer and its reason must show in a run that passes, too
            warnings.warn(f"64-bit: {line}", stacklevel=1)
    # A file whose peer is absent is skipped whole: pytest's status 5 says that nothing was left to run.
    passed = (0, 5) if set(names) <= {*PEERS, *PEERS_SLOW} else (0,)
    assert result.returncode in passed, result.stdout[-4000:]
