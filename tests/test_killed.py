"""A training killed at any moment, also while it saves, resumes to the same result, byte for byte."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LONGEST = 1.2  # seconds from a sitting's first log point until it is killed


def _start(kind: str, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.killed", kind, str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def _end(kind: str, folder: Path) -> dict[str, str]:
    """Runs a training to its end; returns the digests of its arrays."""
    process = _start(kind, folder)
    process.communicate()
    assert process.returncode == 0
    return json.loads((folder / "final.json").read_text(encoding="utf-8"))


def _kill(kind: str, folder: Path, after: float, in_a_save: bool) -> bool:
    """Kills a training some seconds after its first log point, or in the next save; returns whether it was running."""
    process = _start(kind, folder)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(after)
    while in_a_save and process.poll() is None and not _half_written(folder):
        pass
    process.kill()
    process.communicate()
    return process.returncode == -9


def _half_written(folder: Path) -> bool:
    return any("tmp" in path.name for path in (folder / "checkpoints").iterdir())


def _check(kind: str, tmp_path: Path, kills: int) -> int:
    """Kills a training repeatedly; returns how many kills came while a checkpoint was being written."""
    straight = _end(kind, tmp_path / "straight")
    moments = random.Random(kills)
    interrupted, folder, number, saving = 0, tmp_path / "0", 0, 0
    while interrupted < kills:
        in_a_save = interrupted % 2 == 0
        if not _kill(kind, folder, LONGEST * moments.random(), in_a_save):  # it had ended: start another
            assert json.loads((folder / "final.json").read_text(encoding="utf-8")) == straight
            number += 1
            folder = tmp_path / str(number)
            continue
        interrupted += 1
        saving += _half_written(folder)
    assert _end(kind, folder) == straight
    assert (folder / "metrics.jsonl").read_bytes() == (tmp_path / "straight" / "metrics.jsonl").read_bytes()
    return saving


@pytest.mark.extended
def test_a_killed_training_with_seeds_resumes_to_the_same_result(tmp_path: Path) -> None:
    assert _check("seeds", tmp_path, 1) == 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "truncated", "seeds"])
def test_a_training_killed_25_times_resumes_to_the_same_result(kind: str, tmp_path: Path) -> None:
    assert _check(kind, tmp_path, 25) >= 7  # 13 are meant to come in a save
