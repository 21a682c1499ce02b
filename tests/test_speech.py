"""The speech experiment: splits, joined recordings, baseline, errors, the files of a run, rejected flags."""

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from scipy.io import wavfile

from experiments import speech
from experiments.baselines import support_vector_machine
from experiments.common import transcripts
from experiments.common.flags import UserError
from experiments.common.settings import ModelSettings
from experiments.common.transcripts import Split, Transcripts
from experiments.speech import measurement, recordings, summary
from rnn_jax import models
from rnn_jax.data import Buckets, Examples, LogMel, SpokenDigit, formants, read_spoken_digits, synthetic_digits
from rnn_jax.data.spoken_digits import join_spoken_digits, split_spoken_digits

DATASET = Path(__file__).parents[2] / "shared" / "data" / "spoken_digits"
TINY = dataclasses.replace(speech.QUICK, hidden_size=4, bands=8, recordings=12, joined=12, epochs=1)


@pytest.fixture(scope="module")
def synthetic() -> list[SpokenDigit]:
    return synthetic_digits(12, np.random.default_rng(0))[0]


def test_splits_are_disjoint_and_complete(synthetic: list[SpokenDigit]) -> None:
    splits = split_spoken_digits(synthetic)
    assert {name: len(split) for name, split in splits.items()} == {"training": 80, "validation": 200, "test": 200}
    assert {r.number for r in splits["test"]} == {0, 1, 2, 3, 4}
    keys = [(r.digit, r.speaker, r.number) for split in splits.values() for r in split]
    assert len(keys) == len(set(keys)) == len(synthetic)


def test_an_unknown_speaker_is_in_the_test_set_only(synthetic: list[SpokenDigit]) -> None:
    splits = split_spoken_digits(synthetic, "ben")
    assert {r.speaker for r in splits["test"]} == {"ben"}
    assert "ben" not in {r.speaker for r in (*splits["training"], *splits["validation"])}
    assert sum(len(split) for split in splits.values()) == len(synthetic)


def test_a_speaker_is_identified_in_recordings_that_were_not_trained_on(synthetic: list[SpokenDigit]) -> None:
    (task,) = recordings.digit_tasks(synthetic, 8000, ("speaker", "class"), 10, 0)
    assert task.labels == formants.SPEAKERS
    speaker = {each.samples.tobytes(): each.speaker for each in synthetic}
    for part in task.asked.values():
        assert {task.labels[label] for (label,), _ in part} == set(formants.SPEAKERS)
        assert all(task.labels[label] == speaker[samples.tobytes()] for (label,), samples in part)
    keys = [{samples.tobytes() for _, samples in part} for part in task.asked.values()]
    assert sum(map(len, keys)) == len(set.union(*keys)) == len(synthetic)
    assert "80 training, 200 validation, 200 test; 'ann' is 25% of the test set" in task.note


def test_a_speaker_who_is_not_in_each_split_is_refused(synthetic: list[SpokenDigit]) -> None:
    without = [each for each in synthetic if each.speaker != "ben" or each.number > 4]
    with pytest.raises(ValueError, match="speaker 'ben' must have recordings in each split, got none for the test set"):
        recordings.digit_tasks(without, 8000, ("speaker",), 10, 0)
    ann = [each for each in synthetic if each.speaker == "ann"]
    with pytest.raises(ValueError, match="these recordings answer --questions=digits,joined, got speaker"):
        recordings.digit_tasks(ann, 8000, ("speaker",), 10, 0)


def test_a_recording_that_comes_again_in_a_later_split_is_counted(synthetic: list[SpokenDigit]) -> None:
    copy = synthetic[0]._replace(number=11)  # number 0 is tested
    (task,) = recordings.digit_tasks([*synthetic, copy], 8000, ("digits",), 10, 0)
    assert "1 of the training set, 0 of the validation set" in task.note


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Tones of two pitches and unequal lengths, in a folder for each."""
    rng = np.random.default_rng(0)
    for name, hertz in (("low tone", 300), ("high tone", 1500)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(12):
            tone = np.sin(2 * np.pi * hertz * np.arange(rng.integers(900, 2500)) / 8000)
            noisy = 9000 * tone + rng.normal(0, 300, len(tone))
            wavfile.write(tmp_path / "data" / name / f"{i}.wav", 8000, noisy.astype(np.int16))
    return tmp_path / "data"


def test_a_folder_of_classes_answers_its_own_question_only(folder: Path) -> None:
    with pytest.raises(UserError, match="these recordings answer --questions=class, got digits"):
        speech.plan(dataclasses.replace(TINY, data=str(folder), questions=("digits",)))
    wavfile.write(folder / "low tone" / "0.wav", 16000, np.zeros(50, np.int16))
    with pytest.raises(UserError, match=r"--data: .*0\.wav: must have 8000 samples a second, got 16000"):
        speech.plan(dataclasses.replace(TINY, data=str(folder)))


@pytest.mark.extended
def test_folders_of_sounds_are_classified_and_their_model_is_applied(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    config = dataclasses.replace(TINY, data=str(folder), hidden_size=8, bands=12, epochs=30, batch_size=4)
    speech.run(config, str(tmp_path / "run"), ModelSettings(save_model=True))
    lines = " ".join(capsys.readouterr().out.split())
    assert (
        f"{folder}: 24 recordings in folders, split at random, 8,000 Hz class: 2 labels (high tone, low tone)" in lines
    )
    assert "Not for these recordings: digits, joined" in lines
    baseline, network = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))["results"]
    assert (baseline["run"], network["run"]) == ("class, SVM", "class")
    assert baseline["test/wrong"] == network["test/wrong"] == 0
    main = [sys.executable, "-m", "experiments.speech", f"--load={tmp_path / 'run' / 'models' / 'class'}"]
    for name in ("low tone", "high tone"):
        answer = subprocess.run([*main, f"--predict={folder / name / '3.wav'}"], capture_output=True, text=True)
        assert answer.stdout.splitlines() == [name], answer.stderr


def test_folders_of_a_given_split_are_kept(folder: Path, tmp_path: Path) -> None:
    parts = {name: tmp_path / name for name in ("train", "validation", "test")}
    for flag, numbers in zip(parts, (range(6), range(6, 9), range(8, 12)), strict=True):
        for path in [path for path in sorted(folder.glob("*/*.wav")) if int(path.stem) in numbers]:
            (parts[flag] / path.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, parts[flag] / path.parent.name)
    given = dataclasses.replace(TINY, **{name: str(path) for name, path in parts.items()})
    notes, (problem,) = speech.plan(given)
    assert notes[0] == f"{parts['train']}: 26 recordings in folders, split as given, 8,000 Hz"
    assert "12 training, 6 validation, 8 test" in notes[1]
    assert "kept as the files have them: 0 of the training set, 2 of the validation set" in notes[1]
    assert {name: len(split.labels) for name, split in problem.splits.items()} == {
        "training": 12,
        "validation": 6,
        "test": 8,
    }
    notes, _ = speech.plan(dataclasses.replace(given, validation=None))
    assert "split as given, validation drawn from training" in notes[0]
    assert "10 training, 2 validation, 8 test" in notes[1]
    (parts["test"] / "low tone").rename(parts["test"] / "deep tone")
    message = r"deep tone.*\.wav: class 'deep tone' must be in the training set: high tone, low tone"
    with pytest.raises(UserError, match=message):
        speech.plan(given)
    with pytest.raises(UserError, match="replace --data"):
        speech.plan(dataclasses.replace(given, data=str(folder)))


@pytest.mark.extended
def test_speakers_are_identified_and_the_model_is_applied(tmp_path: Path) -> None:
    config = dataclasses.replace(TINY, questions=("digits", "speaker"), hidden_size=16, epochs=20, learning_rate=0.02)
    speech.run(config, str(tmp_path), ModelSettings(save_model=True))
    rows = {r["run"]: r for r in json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["results"]}
    assert rows["speaker"]["test/wrong"] < 0.6  # chance: 0.75
    assert rows["speaker, SVM"]["test/wrong"] < 0.5
    assert (tmp_path / "confusion.png").stat().st_size > 100
    assert (tmp_path / "speakers.png").stat().st_size > 100
    loaded = models.load(tmp_path / "models" / "speaker")
    tested = split_spoken_digits(synthetic_digits(config.recordings, np.random.default_rng(config.seed))[0])["test"]
    predicted = [label for (label,) in loaded.predict([each.samples for each in tested])]
    wrong = np.mean([name != each.speaker for name, each in zip(predicted, tested, strict=True)])
    assert wrong == pytest.approx(rows["speaker"]["test/wrong"])


def test_joined_recordings_are_of_one_speaker_and_hold_their_digits() -> None:
    loud = {digit: np.full(50, 0.1 * (digit + 1), np.float32) for digit in range(10)}
    singles = [SpokenDigit(d, s, 0, loud[d] if s == "a" else -loud[d]) for d in range(10) for s in "ab"]
    joined = join_spoken_digits(singles, 20, 1000, np.random.default_rng(0))
    assert len(joined) == 20
    for digits, samples in joined:
        assert 3 <= len(digits) <= 7
        sounding = samples[np.abs(samples) > 0.05]
        assert np.all(sounding > 0) or np.all(sounding < 0)
        means = np.abs(sounding).reshape(-1, 50).mean(axis=1)
        np.testing.assert_allclose(means, [0.1 * (digit + 1) for digit in digits], atol=0.01)


@pytest.mark.skipif(not DATASET.is_dir(), reason="the spoken digits are not in ../shared/data/spoken_digits")
def test_the_dataset_has_its_prescribed_test_set() -> None:
    every, rate = read_spoken_digits(DATASET)
    assert (len(every), rate) == (3000, 8000)
    assert [len(split) for split in split_spoken_digits(every).values()] == [2400, 300, 300]


def test_errors_are_counted_for_each_seed() -> None:
    given = Transcripts([[1, 1], [2, 2]], [[[1], [2, 2]], [[1, 1], [2, 2]]])
    np.testing.assert_allclose(given.label_error_rate, [1 / 4, 0])
    np.testing.assert_allclose(given.wrong, [1 / 2, 0])
    np.testing.assert_allclose(given.scored.values, [1 / 2, 1])


@pytest.fixture(scope="module")
def bucketed() -> tuple[list[np.ndarray], list[list[int]], Split]:
    rng = np.random.default_rng(0)
    frames = [rng.normal(size=(n, 3)).astype(np.float32) for n in (4, 9, 2, 7, 4)]
    digits = [[1], [2, 3], [4], [5, 6, 7], [8]]
    return frames, digits, Split.of(frames, digits, Buckets((4, 6, 9)))


def test_buckets_hold_every_recording_with_its_digits(bucketed: tuple[list, list, Split]) -> None:
    frames, digits, split = bucketed
    assert [examples.steps[0].shape for examples in split.buckets] == [(4, 3, 3), (9, 2, 3)]
    assert sorted(split.labels) == sorted(digits)
    columns = [(examples, column) for examples in split.buckets for column in range(len(examples.whole[0]))]
    assert len(columns) == len(frames)
    for (examples, column), in_order, spoken in zip(columns, split.frames, split.labels, strict=True):
        (xs, labels), (lengths, counts) = examples
        assert np.array_equal(in_order, frames[digits.index(spoken)])
        np.testing.assert_array_equal(xs[: lengths[column], column], in_order)
        assert labels[: counts[column], column].tolist() == spoken


def test_predictions_are_in_the_order_of_the_split(
    bucketed: tuple[list, list, Split], monkeypatch: pytest.MonkeyPatch
) -> None:
    *_, split = bucketed
    monkeypatch.setattr(transcripts, "_predict", _labels)
    assert transcripts.predict(None, np.zeros((2, 1)), split.buckets) == [split.labels, split.labels]


def test_recordings_too_short_for_their_digits_are_counted_and_reported(bucketed: tuple[list, list, Split]) -> None:
    frames, _, enough = bucketed
    assert enough.without_path == 0
    short = Split.of(frames, [[1], [2, 3], [4, 4], [5, 6, 7], [8]], Buckets((4, 6, 9)))  # two frames for 4 4
    assert short.without_path == 1
    problem = measurement.Problem("joined", (), None, 1, {"training": short}, {})
    assert summary.too_short(problem).startswith("1 of 5 training recordings have fewer frames than their digits need")
    assert summary.too_short(problem._replace(splits={"training": enough})) is None
    assert summary.too_short(problem._replace(question="digits")) is None


def _labels(model: None, params: np.ndarray, batch: Examples) -> tuple:
    del model, params
    return batch.steps[1].T, batch.whole[1]


def test_the_baseline_cuts_at_pauses() -> None:
    loud, quiet = np.ones((10, 4)), np.zeros((5, 4))
    frames = np.concatenate([quiet, loud, quiet, loud, quiet[:2], loud, quiet])
    assert [len(segment) for segment in support_vector_machine.cut(frames, 0.3)] == [10, 22]  # two frames are no pause
    assert support_vector_machine.cut(np.concatenate([quiet, loud[:5], quiet]), 0.3) == []


def test_the_baseline_reads_clear_digits(synthetic: list[SpokenDigit]) -> None:
    mel, splits = LogMel(formants.RATE, 20), split_spoken_digits(synthetic)
    frames = {name: [mel(r.samples) for r in split] for name, split in splits.items()}
    labels = {name: np.array([r.digit for r in split]) for name, split in splits.items()}
    machine = support_vector_machine.fit(
        frames["training"], labels["training"], frames["validation"], labels["validation"]
    )
    assert machine.score(support_vector_machine.features(frames["test"]), labels["test"]) > 0.9


@pytest.fixture(scope="module")
def problems() -> list[measurement.Problem]:
    return speech.plan(dataclasses.replace(TINY, questions=("speakers", "joined")))[1]


@pytest.mark.extended
def test_every_speaker_is_unknown_once(problems: list[measurement.Problem]) -> None:
    *speakers, joined = problems
    assert [problem.network.name for problem in speakers] == [f"speaker {name}" for name in formants.SPEAKERS]
    assert [len(problem.splits["test"].frames) for problem in speakers] == [120] * 4
    assert joined.network.name == "joined"


@pytest.mark.extended
def test_frames_are_standardised_on_the_training_set(problems: list[measurement.Problem]) -> None:
    for problem in problems:
        frames = np.concatenate(problem.splits["training"].frames).astype(float)
        np.testing.assert_allclose(frames.mean(axis=0), 0, atol=1e-4)
        np.testing.assert_allclose(frames.std(axis=0), 1, rtol=1e-4)
    # The baseline is fitted to single digits in the scale of the recordings that it reads.
    split, (frames, labels) = problems[0].splits["test"], problems[0].singles["test"]
    assert labels.tolist() == [digits[0] for digits in split.labels]  # one bucket: in the same order
    assert all(np.array_equal(a, b) for a, b in zip(frames, split.frames, strict=True))


def _compare_saved_model(problem: measurement.Problem, folder: Path, results: list) -> None:
    """Checks that the saved model is the trained one, and transcribes a WAV file."""
    loaded, split = models.load(folder / "models" / problem.network.name), problem.splits["test"]
    (record,) = (record for record in results if record["run"] == problem.network.name)
    params = jax.tree.map(lambda leaf: leaf[None], loaded.params)
    again = Transcripts(split.labels, transcripts.predict(loaded.model, params, split.buckets))
    assert float(again.label_error_rate[0]) == record["test/label_error_rate"]
    every, rate = synthetic_digits(TINY.recordings, np.random.default_rng(TINY.seed))
    tested = split_spoken_digits(every)["test"]
    wavfile.write(folder / "digit.wav", rate, tested[0].samples)
    read = loaded.definition.read(folder / "digit.wav")
    assert loaded.predict(read) == loaded.predict([tested[0].samples])
    if problem.question == "digits":
        predicted = loaded.predict([each.samples for each in tested])
        assert sorted(int(digit) for (digit,) in predicted) == sorted(digit for (digit,) in again.predicted[0])
        for frames, each in zip(problem.singles["test"][0], tested, strict=True):
            np.testing.assert_array_equal(frames, loaded.definition.frames(each.samples))


@pytest.mark.extended
def test_a_tiny_run_writes_its_records_and_files(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    speech.run(TINY, str(tmp_path), ModelSettings(save_model=True))
    content = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    runs = ["digits, SVM", "joined, SVM", "digits", "joined"]
    assert [(r["run"], r["question"], r["seed"]) for r in content["results"]] == [(r, r.split(",")[0], 0) for r in runs]
    assert all(0 <= r["test/wrong"] <= 1 and r["validation/label_error_rate"] >= 0 for r in content["results"])
    for name in ("config.json", "arrays.npz", "errors.png", "confusion.png", "joined.png", "summary.html"):
        assert (tmp_path / name).stat().st_size > 100
    page = (tmp_path / "summary.html").read_text(encoding="utf-8")
    right = {record["run"]: 100 - 100 * record["test/wrong"] for record in content["results"]}
    for run in ("digits", "joined"):
        assert f">{right[run] - right[f'{run}, SVM']:+.1f} (" in page  # points beside the support vector machine
    with np.load(tmp_path / "arrays.npz") as arrays:
        curves = {run: arrays[f"{run}/validation/label_error_rate"] for run in ("digits", "joined")}
    for record in content["results"][2:]:
        assert record["validation/label_error_rate"] == curves[record["run"]].min()
    printed = capsys.readouterr().out
    assert "3 to 7 digits in a row" in printed
    assert max(len(line) for line in printed.splitlines()) <= 100
    for problem in speech.plan(TINY)[1]:
        _compare_saved_model(problem, tmp_path, content["results"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"questions": ("digit",)}, "--questions: unknown 'digit': known are digits, speakers, joined"),
        ({"questions": ("class",)}, "these recordings answer --questions=digits,speakers,joined,speaker, got class"),
        ({"questions": ()}, "--questions must name at least one and none twice"),
        ({"epochs": 0}, "--epochs must be positive, got 0"),
        ({"learning_rate": float("nan")}, "--learning_rate must be a positive number"),
        ({"dropout": 1.0}, "--dropout must be from 0 to below 1"),
        pytest.param({"bands": 200}, "--bands=200: LogMel: 200 bands are too many", marks=pytest.mark.extended),
        pytest.param({"cell": "gruu"}, "gruu", marks=pytest.mark.extended),
        ({"data": "/nowhere"}, "--data: /nowhere: no such folder"),
        ({"recordings": 8}, "no recording for the training set"),
        ({"test": "/nowhere"}, "--train and --test must be two files, got no --train"),
    ],
)
def test_bad_flags_are_rejected_before_anything_is_written(changes: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        speech.run(dataclasses.replace(TINY, **changes), str(tmp_path))
    assert not list(tmp_path.iterdir())
