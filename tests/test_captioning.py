"""The captioning experiment: sentences, scenes, scores, the files of a run, rejected flags and files."""

import dataclasses
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
from matplotlib import image

from experiments import captioning
from experiments.captioning import measurement
from experiments.common import digit_images, evidence, scenes
from experiments.common.flags import UserError
from experiments.common.settings import ModelSettings
from rnn_jax import models
from rnn_jax.data import Examples, digit_scenes

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
def test_sentence_names_digits_and_their_relation(kind, digits, words):
    assert " ".join(digit_scenes.sentence(digit_scenes.KINDS.index(kind), digits)) == words


@pytest.fixture(scope="module")
def data():
    return scenes.load(None, TINY["scenes"], TINY["tested"], 0)


@pytest.fixture(scope="module")
def drawn():
    """Scenes whose digits are squares filled with different shades, 400 of each kind [kinds, 400, edge, edge]."""
    side = 8
    shades = np.array([0.3, 0.6, 0.9], np.float32)
    images = np.broadcast_to(shades[:, None, None], (3, side, side))
    keys = jax.random.split(jax.random.key(0), 400)
    compose = jax.jit(jax.vmap(digit_scenes.compose, in_axes=(0, None, None)))
    return np.stack([np.asarray(compose(keys, images, kind))[..., 0] for kind in range(len(digit_scenes.KINDS))])


def boxes(scene):
    """Returns (top, left) of each digit of a scene; all must be whole."""
    corners = []
    for shade in (0.3, 0.6, 0.9):
        rows, columns = np.nonzero(np.isclose(scene, shade))
        if len(rows):
            assert len(rows) == 64, "a digit is cut or covered"
            assert (rows.max() - rows.min(), columns.max() - columns.min()) == (7, 7)
            corners.append((rows.min(), columns.min()))
    return np.array(corners)


def test_positions_agree_with_the_relation_and_no_digit_covers_another(drawn):
    for kind, composed in enumerate(drawn):
        name, places = digit_scenes.KINDS[kind], np.array([boxes(scene) for scene in composed])
        assert places.shape == (400, digit_scenes.COUNTS[kind], 2)
        down, right = np.diff(places, axis=1).min(axis=1).T if places.shape[1] > 1 else (None, None)
        if name in ("beside", "row"):
            assert right.min() >= 8
            assert np.abs(places[:, 1:, 0] - places[:, :1, 0]).max() == 4
        if name == "above":
            assert down.min() >= 8
            assert np.abs(np.diff(places[..., 1], axis=1)).max() == 4


def test_a_single_digit_reaches_every_position(drawn):
    alone = np.array([boxes(scene)[0] for scene in drawn[0]])
    room = drawn.shape[-1] - 8
    for axis in range(2):
        counts = np.bincount(alone[:, axis], minlength=room + 1)
        assert len(counts) == room + 1
        assert counts.min() > 0
        assert abs(alone[:, axis].mean() - room / 2) < 1.2  # a standard error is 0.36


def test_a_split_uses_all_images_equally_often():
    digits = digit_images.read(None, "captions.csv").validation
    split = scenes.split(digits, 100, np.random.default_rng(0))
    places = digits.draw(300, np.random.default_rng(0))
    counts = np.bincount(places, minlength=len(digits.labels))
    assert set(counts.tolist()) <= {300 // len(counts), 300 // len(counts) + 1}
    labels = digits.labels[places.reshape(100, 3)]
    assert split.sentences == [digit_scenes.sentence(k, tuple(row)) for k, row in zip(split.kinds, labels, strict=True)]
    np.testing.assert_array_equal(split.examples.whole["images"], digits.images[places.reshape(100, 3)])


def test_no_image_is_in_two_splits():
    digits = digit_images.read(None, "captions.csv")
    splits = digits.training, digits.validation, digits.test
    images = [{image.tobytes() for image in split.images} for split in splits]
    assert sum(len(split.labels) for split in splits) == 1797
    assert len(set.union(*images)) >= 1797 - 5  # some images are equal in every pixel
    assert digits.training.images.max() == 1


@pytest.mark.slow
def test_every_epoch_composes_new_training_scenes_and_the_others_are_fixed():
    data, networks = captioning.plan(tiny(models=("none",)))
    batch = data.training.examples.take(np.arange(8))
    model = networks[0].trainer.model
    params = model.init(jax.random.key(0))
    losses = [float(measurement.loss(model, params, batch, jax.random.key(seed))) for seed in (0, 0, 1)]
    assert losses[0] == losses[1] != losses[2]
    again, _ = captioning.plan(tiny(models=("none",)))
    np.testing.assert_array_equal(data.test.examples.whole["scene"], again.test.examples.whole["scene"])
    assert not np.array_equal(data.test.examples.whole["scene"], data.validation.examples.whole["scene"])


def test_the_first_line_states_what_was_read(data):
    expected = "scenes of digits, 8 x 8 pixels each; 64 training scenes in an epoch, 20 validation, 20 test"
    assert scenes.note(data).startswith(f"scikit-learn's digits: {expected}, of other images")


def test_scores_count_exact_captions_by_kind_and_by_form(data):
    truth = data.test.sentences
    assert set(measurement.scores(data.test, [truth])["exact"]) == {1}
    row = data.test.kinds == digit_scenes.KINDS.index("row")
    wrong = [("a", "zero", *caption[2:]) if there else caption for caption, there in zip(truth, row, strict=True)]
    scores = measurement.scores(data.test, [wrong, truth])
    zeros = np.mean([caption[1] == "zero" for caption, there in zip(truth, row, strict=True) if there])
    np.testing.assert_allclose(scores["exact/row"], [zeros, 1])
    for name in ("exact/alone", "exact/beside", "form"):
        np.testing.assert_array_equal(scores[name], [1, 1])
    np.testing.assert_allclose(scores["exact"], [1 - (1 - zeros) * row.mean(), 1])


@pytest.mark.extended
def test_a_training_scene_is_nearest_to_itself(data):
    whole = data.training.examples.whole
    keys = jax.random.split(jax.random.key(7), len(whole["kind"]))
    composed = jax.vmap(digit_scenes.compose)(keys, whole["images"], whole["kind"])
    test = dataclasses.replace(data.training, examples=Examples({}, {"scene": composed}))
    baseline = measurement.baseline(dataclasses.replace(data, test=test), 7)
    assert baseline.test.captions == data.training.sentences
    np.testing.assert_array_equal(baseline.test.scores["exact"], [1])


def _compare_saved_models(data, folder, results):
    """Checks that the saved models are the trained ones, and describe images from files."""
    images = np.asarray(data.test.examples.whole["scene"])[..., 0]
    np.save(folder / "scenes.npy", images)
    image.imsave(folder / "scene.png", images[0], cmap="gray", vmin=0, vmax=1)
    for name in ("attention", "none"):
        loaded = models.load(folder / "models" / name)
        record = next(r for r in results if (r["run"], r["seed"]) == (name, loaded.notes["seed"]))
        params = jax.tree.map(lambda leaf: leaf[None], loaded.params)
        again = measurement.evaluate(loaded.model, params, data.test)
        assert float(again.scores["exact"][0]) == record["test/exact"]
        read = loaded.definition.read(folder / "scenes.npy")
        assert loaded.predict(read) == [" ".join(words) for words in again.captions]
        assert isinstance(loaded.predict(loaded.definition.read(folder / "scene.png"))[0], str)
        with pytest.raises(ValueError, match=r"images must be \[N, 32, 32\], as in training, got shape \[1, 8, 8\]"):
            loaded.predict(read[:1, :8, :8])


@pytest.mark.extended
def test_a_run_writes_files_and_records(data, tmp_path, capsys):
    captioning.run(tiny(), str(tmp_path), ModelSettings(save_model=True))
    written = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert written == {"config.json", "results.json", "arrays.npz", "validation.png", "attention.png", "summary.html"}
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["results"]
    nearest, *attending = (100 * record["test/exact"] for record in results[:3])
    margin = f">{np.mean(attending) - nearest:+.1f} ("
    assert margin in (tmp_path / "summary.html").read_text(encoding="utf-8")
    assert [(record["run"], record["seed"]) for record in results] == [
        ("the nearest scene's sentence", 0),
        ("attention", 0),
        ("attention", 1),
        ("none", 0),
        ("none", 1),
    ]
    curves = np.load(tmp_path / "arrays.npz")
    runs = evidence.read(str(tmp_path))
    assert [name for name, seeds in runs.items() if seeds[0].has_measurements] == ["attention", "none"]
    for record in results:
        assert 0 <= record["test/exact"] <= record["test/form"] <= 1
    for record in results[1:]:
        curve = curves[f"{record['run']}/validation/exact"]
        assert curve.shape == (2, 2)
        assert (
            record["validation/exact"] == curve[record["seed"], record["best_epoch"] - 1] == curve[record["seed"]].max()
        )
        assert record["diverged"] is False
    printed = capsys.readouterr().out
    assert "exact, %" in printed
    _compare_saved_models(data, tmp_path, results)
    assert "Validation chooses " in printed


BAD = [
    ({"models": ("attention", "both")}, "--models: unknown 'both': known are attention, none"),
    ({"models": ("none", "none")}, "--models must name at least one and none twice, got 'none,none'"),
    ({"cell": "grru"}, "unknown cell 'grru': known are"),
    ({"epochs": 0}, "--epochs must be positive, got 0"),
    ({"learning_rate": float("nan")}, "--learning_rate must be a positive number, got nan"),
    ({"dropout": 1.0}, "--dropout must be from 0 to below 1, got 1.0"),
    (
        {"data": "nowhere"},
        "--data: nowhere must hold captions.csv beside images of your own, or MNIST's four IDX files",
    ),
]


@pytest.mark.parametrize(("fields", "message"), BAD, ids=[str(fields) for fields, _ in BAD])
def test_bad_flags_are_rejected_before_anything_is_written(fields, message, tmp_path):
    with pytest.raises(UserError, match=re.escape(message)):
        captioning.run(tiny(**fields), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def write_idx(folder, split, images, labels):
    for name, array in (("images-idx3", images), ("labels-idx1", labels)):
        header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
        (folder / f"{split}-{name}-ubyte.gz").write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes()))


def test_larger_images_are_reduced(tmp_path):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(256, size=(24, 28, 28)), np.arange(24) % 10
    for split in ("train", "t10k"):
        write_idx(tmp_path, split, images, labels)
    digits = digit_images.read(str(tmp_path), "captions.csv")
    assert (len(digits.training.labels), len(digits.validation.labels), len(digits.test.labels)) == (22, 2, 24)
    np.testing.assert_allclose(digits.test.images[3, 0, 1], images[3, :2, 2:4].mean() / 255, rtol=1e-6)
    np.testing.assert_array_equal(digits.validation.labels, labels[[11, 23]])


@pytest.mark.extended
@pytest.mark.parametrize(
    ("shape", "label", "message"),
    [
        ((24, 28, 20), 0, "images must be square, got 560 pixels"),
        ((24, 8, 8), 10, "labels must be digits, 0 to 9, got 10"),
    ],
)
def test_unsuitable_files_end_the_program_with_one_line(shape, label, message, tmp_path):
    for split in ("train", "t10k"):
        write_idx(tmp_path, split, np.zeros(shape), np.full(24, label))
    done = subprocess.run(
        [sys.executable, "-m", "experiments.captioning", f"--data={tmp_path}", f"--workdir={tmp_path / 'run'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert done.stderr.strip() == f"error: --data: {tmp_path}: {message}"
