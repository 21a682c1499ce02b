"""The metrics log of a training: JSON lines and TensorBoard event files."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from rnn_jax.training.metrics_log import MetricsLog


def _written(log: MetricsLog, steps: range) -> None:
    for step in steps:
        log.write(step, {"loss": np.array([step / 8, np.nan], np.float32), "skipped": np.array([0, step])})
    log.close()


def test_a_line_is_json_and_every_log_point_comes_once(tmp_path: Path) -> None:
    _written(MetricsLog(tmp_path, 0), range(1, 6))
    whole = (tmp_path / "metrics.jsonl").read_text(encoding="utf-8")
    assert json.loads(whole.splitlines()[1]) == {"step": 2, "loss": [0.25, "nan"], "skipped": [0, 2]}
    with (tmp_path / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 6, "lo')  # killed
    _written(MetricsLog(tmp_path, 3), range(4, 6))
    assert (tmp_path / "metrics.jsonl").read_text(encoding="utf-8") == whole


def test_a_run_that_starts_again_removes_all_earlier_lines(tmp_path: Path) -> None:
    _written(MetricsLog(tmp_path, 0), range(1, 6))
    MetricsLog(tmp_path, 0).close()
    assert not (tmp_path / "metrics.jsonl").read_text(encoding="utf-8")


def _events(folder: Path) -> list[tuple[str, int, float]]:
    """Returns (tag, step, value) of all files in the order of their names; a session's start removes later ones."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    events: list[tuple[str, int, float]] = []
    for file in sorted(folder.iterdir()):
        content = file.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            event = event_pb2.Event.FromString(content[12 : 12 + length])
            content = content[16 + length :]
            if event.HasField("session_log"):
                events = [each for each in events if each[1] < event.step]
            events += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
    return events


def test_event_files_hold_the_same(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    _written(MetricsLog(tmp_path, 0, tensorboard=True), range(1, 6))
    first = _events(tmp_path / "tensorboard")
    assert [each[1:] for each in first if each[0] == "loss/seed_0"] == [(step, step / 8) for step in range(1, 6)]
    assert [each[1:] for each in first if each[0] == "skipped/seed_1"] == [(step, step) for step in range(1, 6)]
    (file,) = (tmp_path / "tensorboard").iterdir()
    file.rename(file.with_name("events.out.tfevents.0"))  # two files of one second have one name
    _written(MetricsLog(tmp_path, 3, tensorboard=True), range(4, 6))
    again = _events(tmp_path / "tensorboard")
    for tag in ("loss/seed_0", "skipped/seed_1"):
        assert [each for each in again if each[0] == tag] == [each for each in first if each[0] == tag]
