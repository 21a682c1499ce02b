"""Runs tests/float64 in a process of its own: JAX takes its float width when it starts."""

import os
import pathlib
import subprocess
import sys


def test_float64_suite_passes(capsys):
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/float64", "-q", "-p", "no:cacheprovider"],
        cwd=pathlib.Path(__file__).parents[1],
        env={**os.environ, "JAX_ENABLE_X64": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with capsys.disabled():  # a skipped peer and its reason must show in a run that passes, too
        print(f"\n{result.stdout}")
    assert result.returncode == 0, result.stdout[-4000:]
