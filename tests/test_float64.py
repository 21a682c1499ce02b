"""Runs tests/float64 in processes of their own: JAX takes its float width when it starts."""

import os
import pathlib
import subprocess
import sys
import warnings

import pytest

FOLDER = pathlib.Path(__file__).parent / "float64"


FILES = sorted(FOLDER.glob("test_*.py"))
SLOW = [path for path in FILES if "mark.slow" in path.read_text()]
LONG = ("test_teaching.py", "test_interop_keras.py")  # what they show is shown in 32 bit too, less sharply


# A process a file: one that compiles thousands of programs runs out of memory maps, and dies.
@pytest.mark.parametrize(
    ("name", "marked"),
    [pytest.param(path.name, "not slow", marks=pytest.mark.slow if path.name in LONG else ()) for path in FILES]
    + [pytest.param(path.name, "slow", marks=pytest.mark.slow) for path in SLOW],
)
def test_float64_suite_passes(name, marked):
    result = subprocess.run(
        [sys.executable, "-m", "pytest", f"tests/float64/{name}", "-m", marked, "-q", "-n0", "-p", "no:cacheprovider"],
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
