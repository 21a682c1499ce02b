"""A process that is killed at any moment, also while it saves, ends as one that was not: byte for byte."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("killed.py")
LONGEST = 1.2  # seconds from the first log point of a sitting until it is killed


def _start(kind: str, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, str(SCRIPT), kind, str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=SCRIPT.parents[1])


def _end(kind: str, folder: Path) -> dict[str, str]:
    """Runs it to its end."""
    process = _start(kind, folder)
    process.communicate()
    assert process.returncode == 0
    return json.loads((folder / "final.json").read_text())


def _kill(kind: str, folder: Path, after: float, in_a_save: bool) -> bool:
    """Whether it was under way when it was killed, so many seconds after its first log point, or in the save then."""
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
    """How many of the kills came while a checkpoint was being written."""
    straight = _end(kind, tmp_path / "straight")
    moments = random.Random(kills)
    interrupted, folder, number, saving = 0, tmp_path / "0", 0, 0
    while interrupted < kills:
        in_a_save = interrupted % 2 == 0
        if not _kill(kind, folder, LONGEST * moments.random(), in_a_save):  # it had ended: another one
            assert json.loads((folder / "final.json").read_text()) == straight
            number += 1
            folder = tmp_path / str(number)
            continue
        interrupted += 1
        saving += _half_written(folder)
    assert _end(kind, folder) == straight
    assert (folder / "metrics.jsonl").read_bytes() == (tmp_path / "straight" / "metrics.jsonl").read_bytes()
    return saving


def test_a_killed_training_with_seeds_ends_as_one_that_was_not(tmp_path: Path) -> None:
    assert _check("seeds", tmp_path, 1) == 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "truncated", "seeds"])
def test_a_training_killed_25_times_ends_as_one_that_was_not(kind: str, tmp_path: Path) -> None:
    assert _check(kind, tmp_path, 25) >= 7  # of the 13 meant to come in a save
