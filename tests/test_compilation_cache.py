"""The cache of compiled programs: a second run, with another seed and folder, compiles nothing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# On a task, on a stream and on generated data, split at random.
RUNS = {
    "gradient_norms": "--tasks=adding --cells=gru --length=5 --hidden_size=4 --steps=4 --batch_size=2 --inits=default",
    "char_lm": "--quick --hidden_size=4 --epochs=1",
    "series": "--quick --hidden_size=4 --epochs=1 --cells=gru",
}


def _run(name: str, folder: Path, seed: int) -> str:
    ours = ("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "JAX_COMPILATION_CACHE_DIR")
    environment = {key: value for key, value in os.environ.items() if key not in ours}
    return subprocess.run(
        [sys.executable, "-m", f"experiments.{name}", *RUNS[name].split(), f"--workdir={folder}", f"--seed={seed}"],
        cwd=ROOT,
        env=environment | {"XDG_CACHE_HOME": str(folder.parent)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


@pytest.mark.extended
@pytest.mark.parametrize("name", RUNS)
def test_a_run_with_another_seed_and_folder_compiles_nothing(name: str, tmp_path: Path) -> None:
    first = _run(name, tmp_path / "first", 0)
    line = f"{name}: results in {tmp_path / 'first'}, compiled programs in {tmp_path / 'rnn_jax'}"
    assert "".join(first.split()).startswith("".join(line.split()))
    compiled, cached = map(int, re.findall(r"\nprograms compiled: (\d+), from the cache: (\d+)", first)[0])
    assert compiled > 10  # some come from the cache: equal programs of different functions
    assert f"\nprograms compiled: 0, from the cache: {compiled + cached}" in _run(name, tmp_path / "second", 7)
