"""Runs tests/float64 in processes of their own: JAX takes its float width when it starts."""

import os
import pathlib
import subprocess
import sys
import warnings

import pytest

FOLDER = pathlib.Path(__file__).parent / "float64"


FILES = sorted(path.name for path in FOLDER.glob("test_*.py"))
SLOW = [name for name in FILES if "mark.slow" in (FOLDER / name).read_text()]
LONG = ["test_teaching.py", "test_interop_keras.py"]  # what they show is shown in 32 bit too, less sharply
ALONE = ["test_estimators.py", "test_gradients.py", "test_oracles.py", "test_sequences.py"]  # the rest share a process


@pytest.mark.parametrize(
    ("names", "marked"),
    [
        *(([name], "not slow") for name in ALONE),
        ([name for name in FILES if name not in [*LONG, *ALONE]], "not slow"),
        *(pytest.param([name], "not slow", marks=pytest.mark.slow) for name in LONG),
        *(pytest.param([name], "slow", marks=pytest.mark.slow) for name in SLOW),
    ],
    ids=str,
)
def test_float64_suite_passes(names, marked):
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
    assert result.returncode == 0, result.stdout[-4000:]
