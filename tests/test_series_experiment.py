"""The experiment on labelled series: data, splits, nearest series, records and refusals; heartbeats and readers."""

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments import doctor, series
from experiments.baselines import nearest_series, series_features
from experiments.common.flags import UserError
from experiments.common.settings import ModelSettings
from experiments.series import sets
from rnn_jax import models
from rnn_jax.data import LabelledSeries, heartbeats, read_labelled_series
from rnn_jax.data.electrocardiogram import KINDS

ROOT = Path(__file__).parents[1]
VOWELS = ROOT.parent / "shared" / "data" / "japanese_vowels"
TINY = series.Config(cells=("gru",), hidden_size=3, bands=("0.2", "1"), epochs=2, batch_size=8, seeds=2, series=100)


def made(count, seed=0, classes=("up", "down", "flat"), channels=2):
    rng = np.random.default_rng(seed)
    names = [classes[i % len(classes)] for i in range(count)]
    values = [rng.normal(size=(rng.integers(3, 8), channels)) for _ in names]
    return LabelledSeries.of(values, names, [f"c{i}" for i in range(channels)])


def write_ts(path, labelled):
    lines = [
        ":".join([*(",".join(map(str, channel)) for channel in values.T.tolist()), name])
        for values, name in zip(labelled.values, labelled.names, strict=True)
    ]
    path.write_text("\n".join([f"@classLabel true {' '.join(labelled.classes)}", "@data", *lines]), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return {"train": write_ts(folder / "A_TRAIN.ts", made(24)), "test": write_ts(folder / "A_TEST.ts", made(9, seed=1))}


def with_(files, **fields):
    return dataclasses.replace(TINY, **{**files, **fields})


def test_a_ts_file_is_read_as_it_was_written(tmp_path):
    written = made(7)
    read = read_labelled_series(write_ts(tmp_path / "A.ts", written))
    assert (read.names, read.classes, read.channels) == (written.names, ("down", "flat", "up"), ("1", "2"))
    assert all(np.array_equal(a, b) for a, b in zip(read.values, written.values, strict=True))
    assert read.places[0] == f"{tmp_path / 'A.ts'}, line 3"
    assert read.take([6, 0]).names == [written.names[6], written.names[0]]


def test_missing_values_are_interpolated_and_counted(tmp_path):
    path = tmp_path / "A.ts"
    path.write_text("@classLabel true A B\n@data\n?,1,?,?,4,?:0,1,2,3,4,5:A\n1:2:B\n", encoding="utf-8")
    read = read_labelled_series(path, longest_gap=2)
    np.testing.assert_array_equal(read.values[0].T, [[1, 1, 2, 3, 4, 4], np.arange(6)])
    assert read.filled.tolist() == [4, 0]
    with pytest.raises(ValueError, match=re.escape("line 3: channel '1' is missing in 2 steps; gaps of up to 1 steps")):
        read_labelled_series(path, longest_gap=1)


def test_folders_and_lists_of_csv_files_are_read_alike(tmp_path):
    for name, rows in (("walk/1", "0,1,2\n1,3,4\n"), ("walk/2", "0,5,6\n"), ("run/1", "0,7,8\n")):
        path = tmp_path / f"{name}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text("time,x,y\n" + rows, encoding="utf-8")
    read = read_labelled_series(tmp_path)
    assert (read.names, read.channels) == (["run", "walk", "walk"], ("x", "y"))
    assert [values.tolist() for values in read.values] == [[[7, 8]], [[1, 2], [3, 4]], [[5, 6]]]
    (tmp_path / "labels.csv").write_text("label,file\nwalk,walk/2.csv\nrun,run/1.csv\n", encoding="utf-8")
    for path in (tmp_path, tmp_path / "labels.csv"):
        listed = read_labelled_series(path)
        assert (listed.names, [len(values) for values in listed.values]) == (["walk", "run"], [1, 1])
    (tmp_path / "run" / "1.csv").write_text("time,x,z\n0,7,8\n", encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(f"1.csv: must have the columns x, y as {tmp_path / 'walk'}")):
        read_labelled_series(tmp_path)
    (tmp_path / "labels.csv").unlink()
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="must hold a folder of CSV files for each class"):
        read_labelled_series(tmp_path / "empty")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"names": ["a"]}, "values, names and places must be as many, got 2, 1, 2"),
        ({"channels": ["x"]}, "series 1: must be finite numbers [T, 1] with T of at least 1, got shape [4, 2]"),
        ({"values": [np.zeros((4, 2)), np.zeros((0, 2))]}, "series 2: must be finite numbers [T, 2]"),
        ({"values": [np.zeros((4, 2)), np.full((1, 2), np.nan)]}, "series 2: must be finite numbers [T, 2]"),
        ({"classes": ["a"]}, "classes must hold 'b', got a"),
    ],
)
def test_labelled_series_refuse_what_does_not_fit(fields, message):
    good = {"values": [np.zeros((4, 2))] * 2, "names": ["a", "b"], "channels": ["x", "y"]}
    with pytest.raises(ValueError, match=re.escape(message)):
        LabelledSeries.of(**{**good, **fields})


def test_heartbeats_equal_golden_values():
    beats = heartbeats(100, np.random.default_rng(0))
    assert beats.classes == tuple(KINDS)
    assert np.bincount(beats.labels).tolist() == [40, 15, 15, 15, 15]
    assert [len(beats.values[i]) for i in (0, 40, 55, 70, 85)] == [129, 106, 105, 145, 123]
    np.testing.assert_allclose(
        beats.values[0][[0, 1, 60]],
        [[0.9496205, 0.1395722], [0.7665721, 0.0128937], [0.0607897, -0.0746124]],
        atol=1e-6,
    )


def test_a_ventricular_beat_is_wide_and_a_premature_one_early():
    beats = heartbeats(400, np.random.default_rng(1))
    of = {kind: [v for v, name in zip(beats.values, beats.names, strict=True) if name == kind] for kind in KINDS}
    length = {kind: np.mean([len(values) for values in each]) for kind, each in of.items()}
    assert max(length["atrial premature"], length["ventricular premature"]) < 0.9 * length["normal"]
    above = {kind: np.mean([np.mean(values[20:, 0] > 0.6) for values in each]) for kind, each in of.items()}
    assert above["ventricular premature"] > 2 * above["normal"]


def warped(a, b, band):
    """The definition, cell by cell."""
    radius = max(np.floor(band * max(len(a), len(b))), abs(len(a) - len(b)))
    costs = np.full((len(a) + 1, len(b) + 1), np.inf)
    costs[0, 0] = 0
    for i in range(len(a)):
        for j in range(len(b)):
            if abs(i - j) <= radius:
                before = min(costs[i, j], costs[i, j + 1], costs[i + 1, j])
                costs[i + 1, j + 1] = np.sum((a[i] - b[j]) ** 2) + before
    return costs[-1, -1]


@pytest.mark.parametrize("band", [0.0, 0.25, 1.0])
def test_dynamic_time_warping_equals_its_definition(band):
    rng = np.random.default_rng(0)
    known, queries = ([rng.normal(size=(n, 2)) for n in lengths] for lengths in ((5, 1, 9, 8), (3, 8, 1, 12)))
    expected = [[warped(k, q, band) for k in known] for q in queries]
    np.testing.assert_allclose(nearest_series.distances(queries, known, band), expected, rtol=1e-5)


def test_the_nearest_series_is_found_whatever_its_speed():
    slow, fast = np.repeat(np.arange(4.0), 3)[:, None], np.arange(4.0)[:, None]
    model = nearest_series.NearestSeries(1.0, 10).fit([slow, -slow], np.array([7, 8]))
    assert model.predict([fast, -fast, slow]).tolist() == [7, 8, 7]
    assert len(nearest_series.NearestSeries(1.0, 1).fit([slow, -slow], np.array([7, 8])).known) == 1


def test_features_by_hand():
    values = np.stack([np.arange(31.0), np.zeros(31)], axis=1)
    features = series_features.features([values, values[:1]])
    assert features.shape == (2, 2 * 19 + 1)
    np.testing.assert_allclose(features[0, :32:2], np.arange(0, 31, 2))
    np.testing.assert_allclose(features[0, 32:], [31, 15, 0, np.std(np.arange(31)), 0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(features[1], [*np.zeros(32), 1, *np.zeros(6)])


def test_the_split_keeps_classes_and_equal_series_in_one_part():
    labelled = made(60)
    labelled = labelled._replace(values=(*labelled.values[:57], *labelled.values[:3]))
    splits = sets.divide(labelled, [0.6, 0.2, 0.2], 0)
    assert sum(len(each.values) for each in splits.values()) == 60
    assert all(set(each.names) == {"up", "down", "flat"} for each in splits.values())
    keys = [{values.tobytes() for values in each.values} for each in splits.values()]
    assert sum(map(len, keys)) == len(set.union(*keys)) == 57


def test_channels_are_standardised_on_the_training_set_only():
    read = {name: made(12, seed=seed) for seed, name in enumerate(("training", "validation", "test"))}
    data = sets.prepare("", read, buckets=2)
    steps = np.concatenate(read["training"].values)
    for name, split in data.splits.items():
        assert split.labelled.names == read[name].names
        for values, before in zip(split.labelled.values, read[name].values, strict=True):
            np.testing.assert_allclose(values, (before - steps.mean(axis=0)) / steps.std(axis=0), rtol=1e-4, atol=1e-5)


def test_buckets_hold_every_series_and_label_in_order():
    data = sets.prepare("", dict.fromkeys(("training", "validation", "test"), made(12)), buckets=2)
    assert data.repeated == {"training": 12, "validation": 12}
    split = data.splits["training"]
    order = iter(split.order)
    for examples in split.buckets:
        lengths, labels = examples.whole
        for column, length in enumerate(lengths.tolist()):
            index = next(order)
            np.testing.assert_array_equal(examples.steps[:length, column], split.labelled.values[index])
            assert labels[column] == split.labels[index]
    assert len(split.buckets) == 2
    assert next(order, None) is None


def test_without_a_validation_file_it_is_drawn_from_the_training_file(data):
    def sizes(**fields):
        splits = series.plan(with_(data, **fields))[0].splits
        return [len(splits[name].order) for name in ("training", "validation", "test")]

    assert sizes() == [21, 3, 9]
    assert sizes(split=("50", "25", "25")) == [15, 9, 9]
    assert sizes(validation=data["test"]) == [24, 9, 9]


@pytest.mark.extended
@pytest.mark.skipif(not VOWELS.is_dir(), reason="the Japanese vowels are not in ../shared/data/japanese_vowels")
def test_the_japanese_vowels_have_their_official_split():
    read = [read_labelled_series(VOWELS / f"JapaneseVowels_{name}.ts") for name in ("TRAIN", "TEST")]
    assert [len(each.values) for each in read] == [270, 370]
    assert np.bincount(read[1].labels).tolist() == [31, 35, 88, 44, 29, 24, 40, 50, 29]
    assert all(each.values[0].shape[1] == 12 for each in read)
    # The figure quoted for dependent DTW on this data set.
    nearest = nearest_series.NearestSeries(1.0, 270).fit(read[0].values, read[0].labels)
    assert np.mean(nearest.predict(read[1].values) == read[1].labels) == pytest.approx(0.949, abs=1e-3)


def _compare_saved_model(data, folder, records):
    """Checks that the saved model is the trained one, and classifies series from .ts and CSV files."""
    loaded = models.load(folder / "models" / "gru")
    (record,) = (r for r in records if (r["run"], r["seed"]) == ("gru", loaded.notes["seed"]))
    read = loaded.definition.read(data["test"])
    labels = [label for label, _ in loaded.predict(read)]
    assert np.mean([label == name for label, name in zip(labels, read.names, strict=True)]) == record["test/accuracy"]
    path = folder / "one.csv"
    path.write_text("\n".join(f"{a},{b}" for a, b in read.values[0]), encoding="utf-8")
    (one,) = loaded.predict(loaded.definition.read(path))
    (first, *_) = loaded.predict(read.take([0]))
    assert one == first == loaded.predict([read.values[0]])[0]
    assert loaded.definition.lines(loaded.definition.read(path), [one]) == [f"{one.label}\t{one[1]:.3f}\t{path}"]
    path.write_text("x,y\n1,2\n", encoding="utf-8")
    with pytest.raises(ValueError, match="must have the channels 1, 2, got x, y"):
        loaded.predict(loaded.definition.read(path))


@pytest.mark.extended
def test_a_tiny_run_writes_its_records_and_files(data, tmp_path, capsys):
    series.run(with_(data), str(tmp_path), ModelSettings(save_model=True))
    records = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["results"]
    baselines = ["most frequent class", "logistic regression", "nearest series, DTW"]
    assert [(r["run"], r["seed"]) for r in records] == [*((name, 0) for name in baselines), ("gru", 0), ("gru", 1)]
    for record in records:
        assert (record["training/series"], record["test/series"], record["training/repeated"]) == (21, 9, 0)
        assert 0 <= record["test/accuracy"] <= 1
    assert records[2]["settings"] in ("band=0.2", "band=1")
    for name in ("series", "confusion", "validation", "test"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "channels (2): 1, 2; 3 to 7 steps." in " ".join(printed.split())
    assert max(len(line) for line in printed.splitlines()) <= 100
    _compare_saved_model(data, tmp_path, records)
    doctor.run(doctor.Config(), str(tmp_path))
    diagnosed = json.loads((tmp_path / "doctor.json").read_text(encoding="utf-8"))
    assert diagnosed["no_training_evidence"] == baselines


def with_line(path, folder, line, text):
    """Returns a copy of a file with another line, the first being 1; None leaves it out."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    lines[line - 1 : line] = [] if text is None else [text]
    (folder / "B.ts").write_text("\n".join(lines), encoding="utf-8")
    return str(folder / "B.ts")


FILES = [
    (
        "train",
        3,
        "1,x:2,3:up",
        "--train: {}, line 3: channel 1 must hold finite numbers, or ? if one is missing, got 'x'",
    ),
    (
        "train",
        3,
        "1,?:2,3:up",
        "--train: {}, line 3: channel '1' is missing in 1 step; gaps of up to 0 steps are filled",
    ),
    ("test", 5, "1:2:left", "--test: {}, line 5: class must be one of the header's, down, flat, up, got 'left'"),
    ("test", 1, "@timeStamps true", "--test: {}, line 1: @timeStamps must be false, got 'true'"),
]


@pytest.mark.parametrize(("flag", "line", "text", "message"), FILES)
def test_a_wrong_line_of_a_file_is_refused_by_its_flag_and_line(flag, line, text, message, data, tmp_path):
    path = with_line(data[flag], tmp_path, line, text)
    with pytest.raises(UserError, match=re.escape(message.format(path))):
        series.run(with_(data, **{flag: path}), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def prepared(**changed):
    read = {name: made(12, seed=seed) for seed, name in enumerate(("training", "validation", "test"))} | changed
    return sets.prepare("", read, buckets=1)


def test_data_that_cannot_be_learned_are_refused_with_their_place():
    flat = made(12)
    flat = flat._replace(values=tuple(values * [1, 0] + [0, 5] for values in flat.values))
    huge = made(12)._replace(values=tuple(values * 1e200 for values in made(12).values))
    for changed, message in (
        (
            {"training": made(12, classes=("up",))},
            "series 1: training set must have series of two classes, got only 'up'",
        ),
        (
            {"test": made(3, classes=("up", "left"))},
            "series 2: class 'left' must be in the training set, which has down,",
        ),
        ({"test": made(3, channels=3)}, "series 1: must have the channels c0, c1 of the training set, got c0, c1, c2"),
        ({"training": flat}, "series 1: channel 'c1' must vary in the training set, got 5 in every step of all its"),
        ({"training": huge}, "series 1: values must be small enough for their square, got "),
    ):
        with pytest.raises(UserError, match=re.escape(message)):
            prepared(**changed)


BAD = [
    ({"test": None}, "--train and --test must be two files, got no --test"),
    ({"train": None}, "--train and --test must be two files, got no --train"),
    ({"data": "a.ts"}, "--train, --validation and --test replace --data"),
    (
        {"train": None, "test": None, "data": "nowhere"},
        "--data: nowhere: must be a file .ts, a folder of CSV files, or",
    ),
    ({"split": ("80", "20")}, "--split=80,20: --split: shares must be 3 numbers, of training, validation, test, got 2"),
    ({"cells": ("gruu",)}, "unknown cell 'gruu'"),
    ({"bands": ("0.1", "x")}, "--bands must be positive numbers, at least one, none twice, got '0.1,x'"),
    ({"neighbours": 0}, "--neighbours must be positive, got 0"),
    ({"fill": -1}, "--fill must be at least 0, got -1"),
    ({"series": 10}, "--series must be at least 100, got 10"),
    ({"pooling": "sum"}, "--pooling must be one of last, mean, max, got 'sum'"),
    ({"delimiter": ","}, "--delimiter must be one of semicolon, tab, comma, got ','"),
    ({"dropout": 1.0}, "--dropout must be from 0 to below 1, got 1.0"),
]


@pytest.mark.parametrize(("fields", "message"), BAD, ids=[str(fields) for fields, _ in BAD])
def test_bad_settings_are_rejected_before_anything_is_written(fields, message, data, tmp_path):
    with pytest.raises(UserError, match=re.escape(message)):
        series.run(with_(data, **fields), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.extended
def test_the_command_line_reports_a_bad_file_without_a_traceback(data, tmp_path):
    path = with_line(data["train"], tmp_path, 4, "1,2:3:up")
    done = subprocess.run(
        [sys.executable, "-m", "experiments.series", f"--train={path}", f"--test={data['test']}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 2
    assert done.stderr.strip() == f"error: --train: {path}, line 4: channel 2 must have 2 values as channel 1, got 1"
