"""Checkpoints: a training resumes from the last one that is not corrupt, or the error says why it cannot."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import training
from tests import trainings


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _cut_off(path: Path, count: int) -> None:
    path.write_bytes(path.read_bytes()[:-count])


def _flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(bytes(content))


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training that has ended, with the checkpoints of its last three log points."""
    folder = tmp_path_factory.mktemp("ended")
    assert trainings.train(trainings.on_task(), trainings.session(folder)) is not None
    return folder


def _corrupt_every_file(ended: Path, tmp_path: Path, corruptions: list[Callable[[Path], None]]) -> int:
    newest = ended / "checkpoints" / str(trainings.STEPS)
    messages: list[str] = []
    cases = 0
    for file in sorted(path for path in newest.rglob("*") if path.is_file() and path.stat().st_size):
        for corrupt in corruptions:
            folder = tmp_path / str(cases)
            shutil.copytree(ended, folder)
            corrupt(folder / file.relative_to(ended))
            before = len(messages)
            progress = trainings.train(trainings.on_task(), trainings.session(folder, report=messages.append))
            assert progress is not None
            trainings.assert_same(progress, trainings.whole("task"))
            assert messages[before:], file  # "resumes at step", or "is corrupt"
            shutil.rmtree(folder)
            cases += 1
    return sum("is corrupt" in message for message in messages)


@pytest.mark.extended
def test_the_checkpoint_before_a_truncated_one_is_restored(ended: Path, tmp_path: Path) -> None:
    assert _corrupt_every_file(ended, tmp_path, [_truncated]) >= 5


@pytest.mark.slow
def test_the_checkpoint_before_one_corrupted_in_any_way_is_restored(ended: Path, tmp_path: Path) -> None:
    assert _corrupt_every_file(ended, tmp_path, [_flipped, Path.unlink, lambda path: path.write_bytes(b"")]) >= 15


def test_an_incomplete_checkpoint_is_ignored(ended: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(ended, folder)
    newest = folder / "checkpoints" / str(trainings.STEPS)
    newest.rename(newest.with_name(f"{trainings.STEPS}.orbax-checkpoint-tmp"))
    progress = trainings.train(trainings.on_task(), trainings.session(folder))
    assert progress is not None
    trainings.assert_same(progress, trainings.whole("task"))


def test_the_error_says_so_if_all_are_corrupt(ended: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(ended, folder)
    for path in (folder / "checkpoints").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    with pytest.raises(training.CheckpointError, match=r"all checkpoints are corrupt, steps \[8, 10, 12\]"):
        trainings.train(trainings.on_task(), trainings.session(folder))


def test_an_incomplete_line_and_lines_after_the_checkpoint_are_rewritten(ended: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(ended, folder)
    shutil.rmtree(folder / "checkpoints" / str(trainings.STEPS))
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8")
    (folder / "metrics.jsonl").write_text(lines[:-20], encoding="utf-8")
    assert trainings.train(trainings.on_task(), trainings.session(folder)) is not None
    assert (folder / "metrics.jsonl").read_text(encoding="utf-8") == lines


@pytest.mark.parametrize("change", [lambda content: content[:-20], lambda content: content + b"a later record, cut"])
def test_an_incomplete_record_and_records_after_the_checkpoint_are_rewritten(
    ended: Path, tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(ended, folder)
    shutil.rmtree(folder / "checkpoints" / str(trainings.STEPS))
    history = folder / "history"
    history.write_bytes(change(history.read_bytes()))
    for _ in range(2):  # the second time, from the records written anew
        progress = trainings.train(trainings.on_task(), trainings.session(folder))
        assert progress is not None
        trainings.assert_same(progress, trainings.whole("task"))


def test_a_history_that_is_too_short_for_a_checkpoint_rejects_it_and_not_the_one_before(
    ended: Path, tmp_path: Path
) -> None:
    folder, messages = tmp_path / "run", list[str]()
    shutil.copytree(ended, folder)
    _cut_off(folder / "history", 20)
    progress = trainings.train(trainings.on_task(), trainings.session(folder, report=messages.append))
    assert progress is not None
    trainings.assert_same(progress, trainings.whole("task"))
    corrupt = (
        f"12 is corrupt (ValueError: {folder / 'history'} is not the history that was written); trying the one before"
    )
    assert corrupt in messages[0]
    assert messages[1].endswith("resumes at step 10")


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_a_checkpoint_does_not_grow_with_the_history(tmp_path: Path) -> None:
    kind = trainings.on_task()
    for steps in (100, 4000):
        session = training.Session(tmp_path, checkpoint_seconds=1e9)
        training.train(kind.trainer, kind.source, kind.initial(), steps, log_every=100, session=session)
    small, large = (_size(tmp_path / "checkpoints" / str(steps)) for steps in (100, 4000))
    assert large < 2 * small  # of 25 KB, which vary by some; 3,900 more steps of two seeds have 226 KB
    assert (tmp_path / "history").stat().st_size > 3900 * 2 * 29


def test_one_written_by_another_config_is_rejected(ended: Path) -> None:
    with pytest.raises(training.CheckpointError, match=r"written by another config: size: 4 there, 5 here"):
        trainings.train(trainings.on_task(), training.Session(ended, {"size": 5}))


def test_one_with_arrays_of_another_type_is_rejected_and_stays(ended: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(ended, tmp_path / "copy")
    kind = trainings.on_task()
    half = jax.tree.map(lambda p: p.astype(jnp.bfloat16) if p.dtype == jnp.float32 else p, kind.initial())
    with pytest.raises(
        training.CheckpointError, match=r"holds other arrays: .*float32.* there, .*bfloat16.* here.*JAX_ENABLE_X64"
    ):
        training.train(kind.trainer, kind.source, half, 12, log_every=2, session=training.Session(folder, {"size": 4}))
    assert trainings.train(kind, trainings.session(folder)) is not None


def test_one_in_another_format_is_rejected(ended: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    shutil.copytree(ended, folder)
    monkeypatch.setattr("rnn_jax.training.checkpoints.FORMAT", 4)
    with pytest.raises(
        training.CheckpointError, match=r"has format 3, .* format 4 only: .*start again in another folder"
    ):
        trainings.train(trainings.on_task(), trainings.session(folder))


@pytest.mark.extended
def test_the_last_and_the_best_are_kept(tmp_path: Path) -> None:
    progress = trainings.train(trainings.on_task(0.5), trainings.session(tmp_path, keep=2), steps=20)
    assert progress is not None
    means = [
        np.mean(progress.history.loss[:, n - trainings.LOG_EVERY : n])
        for n in range(trainings.LOG_EVERY, 21, trainings.LOG_EVERY)
    ]
    best = trainings.LOG_EVERY * (int(np.argmin(means)) + 1)
    kept = {int(path.name) for path in (tmp_path / "checkpoints").iterdir()}
    assert kept == {18, 20, best}
    assert best < 18  # otherwise the best would be kept as one of the last


def test_the_error_says_so_if_the_folder_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("a file in place of the folder", encoding="utf-8")
    with pytest.raises(training.CheckpointError, match="no checkpoints can be written there: File exists"):
        trainings.train(trainings.on_task(), trainings.session(tmp_path))


def test_differences_are_listed_by_name() -> None:
    saved = {"type": "a:B", "cells": ["rnn", "gru"], "inner": {"rate": 0.1, "on": 1}}
    given = {"type": "a:B", "cells": ["rnn"], "inner": {"rate": 0.2, "on": True}, "more": None}
    assert training.differences(saved, saved) == []
    assert training.differences(saved, given) == [
        'cells: ["rnn", "gru"] there, ["rnn"] here',
        "inner.rate: 0.1 there, 0.2 here",
        "inner.on: 1 there, true here",
    ]


@contextlib.contextmanager
def _no_file_longer_than(size: int) -> Iterator[None]:
    """Makes writes beyond this size fail, as on a full disk."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_the_last_good_checkpoint_stays_if_the_next_cannot_be_written(tmp_path: Path) -> None:
    kind = trainings.on_task()
    assert trainings.train(kind, trainings.session(tmp_path, until=4)) is None
    message = r"a checkpoint could not be written: File too large; the last good one is that of step 4$"
    with _no_file_longer_than(2500), pytest.raises(training.CheckpointError, match=message):
        trainings.train(kind, trainings.session(tmp_path))
    progress = trainings.train(kind, trainings.session(tmp_path))
    assert progress is not None
    trainings.assert_same(progress, trainings.whole("task"))


def test_the_error_says_so_if_a_log_cannot_be_written(tmp_path: Path) -> None:
    kind = trainings.on_task()
    assert trainings.train(kind, trainings.session(tmp_path, until=2)) is None
    message = rf"{tmp_path}: cannot be written: File too large$"
    size = (tmp_path / "history").stat().st_size
    with _no_file_longer_than(size + 10), pytest.raises(training.CheckpointError, match=message):
        trainings.train(kind, trainings.session(tmp_path))
    progress = trainings.train(kind, trainings.session(tmp_path))
    assert progress is not None
    trainings.assert_same(progress, trainings.whole("task"))
