"""Spoken digits: files, splits, joined recordings, the opponent, errors, augmentation, the experiment."""

import dataclasses
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.io import wavfile

from experiments import speech
from experiments.common.flags import UserError
from experiments.speech import augmentation, opponents, recordings, synthetic
from experiments.speech.errors import distance, label_error_rate, wrong
from experiments.speech.frames import Part, Scale
from experiments.speech.recordings import Recording
from rnn_jax.data import Buckets, LogMel

SPOKEN = Path(__file__).parents[2] / "shared" / "data" / "spoken_digits"
TINY = dataclasses.replace(speech.QUICK, hidden_size=4, bands=8, recordings=12, joined=12, epochs=1)


@pytest.fixture(scope="module")
def made() -> list[Recording]:
    return synthetic.recordings(12, np.random.default_rng(0))


def test_no_recording_is_in_two_parts_and_none_is_lost(made: list[Recording]) -> None:
    parts = recordings.by_number(made)
    assert [len(part) for part in parts] == [80, 200, 200]
    assert {r.number for r in parts.test} == {0, 1, 2, 3, 4}
    seen = [(r.digit, r.speaker, r.number) for part in parts for r in part]
    assert len(seen) == len(set(seen)) == len(made)


def test_a_speaker_that_is_tested_is_never_heard_before(made: list[Recording]) -> None:
    parts = recordings.by_speaker(made, "ben")
    assert {r.speaker for r in parts.test} == {"ben"}
    assert "ben" not in {r.speaker for r in (*parts.training, *parts.validation)}
    assert sum(len(part) for part in parts) == len(made)


def test_joined_recordings_are_of_one_speaker_and_hold_their_digits() -> None:
    loud = {digit: np.full(50, 0.1 * (digit + 1), np.float32) for digit in range(10)}
    own = [Recording(d, s, 0, loud[d] if s == "a" else -loud[d]) for d in range(10) for s in "ab"]
    for joined in recordings.join(own, 20, 1000, np.random.default_rng(0)):
        assert 3 <= len(joined.digits) <= 7
        sounding = joined.samples[np.abs(joined.samples) > 0.05]
        assert np.all(sounding > 0) or np.all(sounding < 0)
        np.testing.assert_allclose(
            np.abs(sounding).reshape(-1, 50).mean(axis=1), [0.1 * (d + 1) for d in joined.digits], atol=0.01
        )


def test_files_of_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such folder"):
        recordings.read_folder(tmp_path / "none")
    with pytest.raises(ValueError, match="must hold files"):
        recordings.read_folder(tmp_path)
    wavfile.write(tmp_path / "7_theo_12.wav", 8000, np.arange(5, dtype=np.int16))
    ((recording,), rate) = recordings.read_folder(tmp_path)
    assert (recording.digit, recording.speaker, recording.number, rate) == (7, "theo", 12, 8000)
    wavfile.write(tmp_path / "8_theo_1.wav", 16000, np.arange(5, dtype=np.int16))
    with pytest.raises(ValueError, match=r"8_theo_1\.wav: must have 8000 samples a second, got 16000"):
        recordings.read_folder(tmp_path)
    (tmp_path / "8_theo_1.wav").rename(tmp_path / "eight.wav")
    with pytest.raises(ValueError, match=r"eight\.wav: must be named \{digit\}_\{speaker\}_\{number\}\.wav"):
        recordings.read_folder(tmp_path)


@pytest.mark.skipif(not SPOKEN.is_dir(), reason="the spoken digits are not in ../shared/data/spoken_digits")
def test_the_real_recordings_split_as_their_makers_say() -> None:
    found, rate = recordings.read_folder(SPOKEN)
    parts = recordings.by_number(found)
    assert (len(found), rate) == (3000, 8000)
    assert [len(part) for part in parts] == [2400, 300, 300]


def test_distance_is_the_least_number_of_edits() -> None:
    assert distance([1, 2, 3], [1, 2, 3]) == 0
    assert distance([], [1, 2]) == 2
    assert distance([1, 2], []) == 2
    assert distance([1, 3], [1, 2, 3]) == 1
    assert distance([1, 9, 3], [1, 2, 3]) == 1
    assert distance([2, 3, 4, 5], [1, 2, 3, 4]) == 2
    assert label_error_rate([[1], [2, 2]], [[1, 1], [2, 2]]) == pytest.approx(1 / 4)
    assert wrong([[1], [2, 2]], [[1, 1], [2, 2]]) == 0.5


def test_a_part_in_buckets_gives_every_recording_with_its_digits() -> None:
    rng = np.random.default_rng(0)
    frames = [rng.normal(size=(n, 3)) for n in (4, 9, 2, 7, 4)]
    digits = [[1], [2, 3], [4], [5, 6, 7], [8]]
    found, members = Part(frames, digits, Buckets((4, 6, 9))).examples
    assert [examples.steps[0].shape for examples in found] == [(4, 3, 3), (9, 2, 3)]
    assert sorted(np.concatenate(members).tolist()) == [0, 1, 2, 3, 4]
    for examples, places in zip(found, members, strict=True):
        (xs, labels), (lengths, counts) = examples
        for column, place in enumerate(places):
            np.testing.assert_allclose(xs[: lengths[column], column], frames[place], rtol=1e-6)
            assert labels[: counts[column], column].tolist() == digits[place]


def test_the_scale_is_that_of_the_frames_it_was_made_of() -> None:
    frames = [np.random.default_rng(i).normal(3, 2, (50, 4)) for i in range(3)]
    together = np.concatenate([Scale.of(frames)(each) for each in frames])
    np.testing.assert_allclose(together.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(together.std(axis=0), 1, rtol=1e-5)


def test_hidden_bands_and_steps_are_few_and_each_recordings_own() -> None:
    frames, lengths = jnp.ones((30, 200, 20)), jnp.full(200, 30)
    found = np.asarray(augmentation.augmented(frames, lengths, jax.random.key(0)))
    hidden = found == 0
    bands, steps = hidden.all(axis=0).sum(axis=1), hidden.all(axis=2).sum(axis=0)
    assert bands.max() == round(augmentation.BANDS * 20)
    assert steps.max() == augmentation.STEPS
    assert bands.min() == steps.min() == 0
    gains = found.max(axis=(0, 2)) - 1
    assert 0.4 < gains.std() < 0.6
    # What is not hidden is louder or softer as a whole.
    assert all(len(np.unique(found[:, i][found[:, i] != 0].round(5))) == 1 for i in range(200))


def test_the_opponent_cuts_at_pauses() -> None:
    loud, quiet = np.ones((10, 4)), np.zeros((5, 4))
    pieces = opponents.cut(np.concatenate([quiet, loud, quiet, loud, quiet[:2], loud, quiet]), 0.3)
    assert [len(piece) for piece in pieces] == [10, 22]  # two frames are no pause
    assert [len(piece) for piece in opponents.cut(np.concatenate([quiet, loud[:5], quiet]), 0.3)] == []


def test_the_opponent_reads_what_is_said_clearly(made: list[Recording]) -> None:
    mel, parts = LogMel(synthetic.RATE, 20), recordings.by_number(made)
    frames = [[mel(r.samples) for r in part] for part in parts]
    labels = [np.array([r.digit for r in part]) for part in parts]
    machine = opponents.fit(frames[0], labels[0], frames[1], labels[1])
    assert machine.score(opponents.features(frames[2]), labels[2]) > 0.9


@pytest.mark.usefixtures("unoptimized")
def test_two_tiny_steps(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    speech.run(TINY, str(tmp_path))
    content = json.loads((tmp_path / "results.json").read_text())
    assert [r["question"] for r in content["results"]] == ["digits", "joined"]
    assert all(0 <= r["test/wrong"] <= 1 and 0 <= r["opponent/wrong"] <= 1 for r in content["results"])
    for name in ("config.json", "errors.png", "confusion.png", "joined.png", "summary.html"):
        assert (tmp_path / name).stat().st_size > 100
    printed = capsys.readouterr().out
    assert "Three to seven digits in a recording" in printed
    assert max(len(line) for line in printed.splitlines()) <= 100


def test_every_speaker_is_once_the_one_never_heard() -> None:
    problems = speech.plan(dataclasses.replace(TINY, questions=("speakers",))).problems
    assert [problem.name for problem in problems] == list(synthetic.SPEAKERS)
    assert [len(problem.parts["test"].frames) for problem in problems] == [120] * 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"questions": ("digit",)}, "--questions must be some of digits, speakers, joined, got 'digit'"),
        ({"questions": ()}, "--questions must be some of"),
        ({"epochs": 0}, "--epochs must be positive, got 0"),
        ({"learning_rate": float("nan")}, "--learning_rate must be a positive number"),
        ({"dropout": 1.0}, "--dropout must be from 0 to below 1"),
        ({"bands": 200}, "--bands=200: LogMel: 200 bands are too many"),
        ({"cell": "gruu"}, "gruu"),
        ({"data": "/nowhere"}, "--data: /nowhere: no such folder"),
        ({"recordings": 8}, "the split leaves no recording to the training part"),
    ],
)
def test_what_cannot_be_run_is_told_in_one_line(changes: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        speech.run(dataclasses.replace(TINY, **changes), str(tmp_path))
    assert not list(tmp_path.iterdir())
