"""The captioning experiment: its sentences and scenes, what a run writes, what it refuses."""

import gzip
import json
import re
import struct
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments import captioning
from experiments.captioning import config as configs
from experiments.captioning import measurement, scenes, summary
from experiments.common import digit_images
from experiments.common.flags import UserError

ROOT = Path(__file__).parents[1]
TINY = {
    "embedding": 3,
    "hidden_size": 4,
    "readout": 3,
    "scenes": 64,
    "tested": 20,
    "batch_size": 32,
    "epochs": 2,
    "seeds": 2,
}


def tiny(**fields):
    return captioning.Config(**{**TINY, **fields})


@pytest.mark.parametrize(
    ("kind", "digits", "words"),
    [
        ("alone", (8, 0, 0), "an eight alone"),
        ("beside", (1, 8, 0), "a one to the left of an eight"),
        ("beside", (6, 6, 0), "two sixes side by side"),
        ("above", (0, 8, 5), "a zero above an eight"),
        ("above", (0, 0, 5), "two zeros one above the other"),
        ("row", (1, 8, 3), "an eight between a one and a three"),
        ("row", (6, 3, 6), "a three between two sixes"),
        ("row", (3, 3, 6), "a three between a three and a six"),
    ],
)
def test_sentences(kind, digits, words):
    assert " ".join(scenes.sentence(scenes.KINDS.index(kind), digits)) == words


@pytest.fixture(scope="module")
def drawn():
    """Scenes of digits that are filled squares, each of its own shade: 400 of each kind, [kinds, 400, edge, edge]."""
    side = 8
    shades = np.array([0.3, 0.6, 0.9], np.float32)
    images = np.broadcast_to(shades[:, None, None], (3, side, side))
    keys = jax.random.split(jax.random.key(0), 400)
    compose = jax.jit(jax.vmap(scenes.compose, in_axes=(0, None, None)))
    return np.stack([np.asarray(compose(keys, images, kind))[..., 0] for kind in range(len(scenes.KINDS))])


def boxes(scene):
    """(top, left) of each digit that is whole and there."""
    found = []
    for shade in (0.3, 0.6, 0.9):
        rows, columns = np.nonzero(np.isclose(scene, shade))
        if len(rows):
            assert len(rows) == 64, "a digit is cut or covered"
            assert (rows.max() - rows.min(), columns.max() - columns.min()) == (7, 7)
            found.append((rows.min(), columns.min()))
    return np.array(found)


def test_digits_stand_as_their_sentence_says_and_none_covers_another(drawn):
    for kind, of_kind in enumerate(drawn):
        name, places = scenes.KINDS[kind], np.array([boxes(scene) for scene in of_kind])
        assert places.shape == (400, scenes.COUNTS[kind], 2)
        down, right = np.diff(places, axis=1).min(axis=1).T if places.shape[1] > 1 else (None, None)
        if name in ("beside", "row"):
            assert right.min() >= 8
            assert np.abs(places[:, 1:, 0] - places[:, :1, 0]).max() == 4
        if name == "above":
            assert down.min() >= 8
            assert np.abs(np.diff(places[..., 1], axis=1)).max() == 4


def test_digits_stand_everywhere_they_may(drawn):
    alone = np.array([boxes(scene)[0] for scene in drawn[0]])
    room = drawn.shape[-1] - 8
    for axis in range(2):
        counts = np.bincount(alone[:, axis], minlength=room + 1)
        assert len(counts) == room + 1
        assert counts.min() > 0
        assert abs(alone[:, axis].mean() - room / 2) < 1.2  # a standard error is 0.36


def test_a_draft_uses_each_image_as_often_as_the_others():
    digits = digit_images.read(None).validation
    found = scenes.draft(digits, 100, np.random.default_rng(0))
    places = digits.draw(300, np.random.default_rng(0))
    counts = np.bincount(places, minlength=len(digits.labels))
    assert set(counts.tolist()) <= {300 // len(counts), 300 // len(counts) + 1}
    labels = digits.labels[places.reshape(100, 3)]
    assert found.sentences == [scenes.sentence(k, tuple(row)) for k, row in zip(found.kinds, labels, strict=True)]
    np.testing.assert_array_equal(found.images, digits.images[places.reshape(100, 3)])


def test_no_image_is_in_two_parts():
    parts = digit_images.read(None)
    images = [{image.tobytes() for image in part.images} for part in (parts.training, parts.validation, parts.test)]
    assert sum(len(part.labels) for part in (parts.training, parts.validation, parts.test)) == 1797
    assert len(set.union(*images)) >= 1797 - 5  # some are the same to the pixel
    assert parts.training.images.max() == 1


@pytest.mark.slow
def test_scenes_of_an_epoch_are_new_ones_and_those_that_are_kept_are_not():
    ready = configs.plan(tiny())
    batch = ready.training.take(np.arange(8))
    model = ready.trainers["none"].model
    params = model.init(jax.random.key(0))
    losses = [float(measurement.loss(model, params, batch, jax.random.key(seed))) for seed in (0, 0, 1)]
    assert losses[0] == losses[1] != losses[2]
    again = configs.plan(tiny())
    np.testing.assert_array_equal(ready.test.examples.whole["scene"], again.test.examples.whole["scene"])
    assert not np.array_equal(ready.test.examples.whole["scene"], ready.validation.examples.whole["scene"])


def test_shares_of_right_captions_are_counted_by_kind_and_form():
    ready = configs.plan(tiny())
    truth = ready.test.draft.sentences
    assert measurement.exact(ready.test, truth) == 1
    row = ready.test.draft.kinds == scenes.KINDS.index("row")
    wrong = [("a", "zero", *caption[2:]) if there else caption for caption, there in zip(truth, row, strict=True)]
    found = summary.scores(ready.test, wrong)
    zeros = np.mean([caption[1] == "zero" for caption, there in zip(truth, row, strict=True) if there])
    assert found["exact/row"] == pytest.approx(zeros)
    assert found["exact/alone"] == found["exact/beside"] == found["form"] == 1
    assert found["exact"] == pytest.approx(1 - (1 - zeros) * row.mean())


def test_the_nearest_scene_is_itself():
    ready = configs.plan(tiny())
    whole = ready.training.whole
    keys = jax.random.split(jax.random.key(7), len(whole["kind"]))
    composed = jax.vmap(scenes.compose)(keys, whole["images"], whole["kind"])
    test = configs.Part(ready.draft, ready.test.examples._replace(whole={"scene": composed}))
    found = measurement.nearest(configs.dataclasses.replace(ready, test=test), 7)
    assert found == ready.draft.sentences


@pytest.mark.usefixtures("unoptimized")
def test_a_run_writes_its_files(tmp_path, capsys):
    captioning.run(tiny(), str(tmp_path))
    written = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert written == {"config.json", "results.json", "validation.png", "attention.png", "summary.html"}
    results = json.loads((tmp_path / "results.json").read_text())["results"]
    assert [(record["run"], record["seed"]) for record in results] == [
        (summary.NEAREST, 0),
        ("attention", 0),
        ("attention", 1),
        ("none", 0),
        ("none", 1),
    ]
    for record in results[1:]:
        assert len(record["validation/exact"]) == 2
        assert 0 <= record["test/exact"] <= record["test/form"] <= 1
    shown = capsys.readouterr().out
    assert "exact, %" in shown
    assert "no attention: " in shown


BAD = [
    ({"models": ("attention", "both")}, "--models must be some of attention, none, got 'attention,both'"),
    ({"models": ("none", "none")}, "--models must be some of attention, none, got 'none,none'"),
    ({"cell": "grru"}, "unknown cell 'grru': known are"),
    ({"epochs": 0}, "--epochs must be positive, got 0"),
    ({"learning_rate": float("nan")}, "--learning_rate must be a positive number, got nan"),
    ({"dropout": 1.0}, "--dropout must be from 0 to below 1, got 1.0"),
    ({"data": "nowhere"}, "--data: nowhere/train-images-idx3-ubyte: no such file, plain or with .gz"),
]


@pytest.mark.parametrize(("fields", "message"), BAD, ids=[str(fields) for fields, _ in BAD])
def test_bad_settings_are_refused_before_anything_is_written(fields, message, tmp_path):
    with pytest.raises(UserError, match=re.escape(message)):
        captioning.run(tiny(**fields), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def write_idx(folder, part, images, labels):
    for name, array in (("images-idx3", images), ("labels-idx1", labels)):
        header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
        (folder / f"{part}-{name}-ubyte.gz").write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes()))


def test_larger_images_are_made_smaller(tmp_path):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(256, size=(24, 28, 28)), np.arange(24) % 10
    for part in ("train", "t10k"):
        write_idx(tmp_path, part, images, labels)
    parts = digit_images.read(str(tmp_path))
    assert (len(parts.training.labels), len(parts.validation.labels), len(parts.test.labels)) == (22, 2, 24)
    np.testing.assert_allclose(parts.test.images[3, 0, 1], images[3, :2, 2:4].mean() / 255, rtol=1e-6)
    np.testing.assert_array_equal(parts.validation.labels, labels[[11, 23]])


@pytest.mark.parametrize(
    ("shape", "label", "message"),
    [
        ((24, 28, 20), 0, "images must be square, got 560 pixels"),
        ((24, 8, 8), 10, "labels must be digits, 0 to 9, got 10"),
    ],
)
def test_files_of_something_else_end_the_program_without_a_traceback(shape, label, message, tmp_path):
    for part in ("train", "t10k"):
        write_idx(tmp_path, part, np.zeros(shape), np.full(24, label))
    done = subprocess.run(
        [sys.executable, "-m", "experiments.captioning", f"--data={tmp_path}", f"--workdir={tmp_path / 'run'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert done.stderr.strip() == f"error: --data: {tmp_path}: {message}"
