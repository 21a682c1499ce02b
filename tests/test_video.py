"""The video experiment: clips, scores, findings, the files of a run, rejected flags."""

import json
import re

import jax
import numpy as np
import pytest

from experiments import video
from experiments.common import clips, evidence
from experiments.common.fitting import Network, Outcome
from experiments.common.flags import UserError
from experiments.common.settings import ModelSettings
from experiments.video import measurement, summary
from rnn_jax import models, significance
from rnn_jax.data import moving_images
from rnn_jax.models.video import NO_LABEL

TINY = {"features": 4, "hidden_size": 4, "clips": 64, "tested": 20, "batch_size": 32, "epochs": 2, "seeds": 2}


def tiny(**fields):
    return video.Config(**{**TINY, **fields})


@pytest.fixture(scope="module")
def data():
    return clips.load(None, TINY["clips"], TINY["tested"], 0)


@pytest.fixture(scope="module")
def drawn():
    """Directions [N, T], paths [N] and (top, left) positions [N, T, 2] of 1,200 clips of a filled square."""
    square = np.ones((6, 6), np.float32)
    drawn = jax.jit(jax.vmap(moving_images.clip, in_axes=(0, None)))(jax.random.split(jax.random.key(0), 1200), square)
    frames = np.asarray(drawn.frames)[..., 0]
    assert frames.shape == (1200, moving_images.FRAMES, moving_images.edge(6), moving_images.edge(6))
    assert np.all(frames.sum(axis=(2, 3)) == 36), "the square is cut"
    positions = np.stack([frames.any(axis=3).argmax(axis=2), frames.any(axis=2).argmax(axis=2)], axis=-1)
    return np.asarray(drawn.directions), np.asarray(drawn.path), positions


@pytest.mark.extended
def test_class_of_a_frame_is_the_direction_of_the_last_move(drawn):
    directions, _, positions = drawn
    assert np.all(directions[:, 0] == NO_LABEL)
    moves = np.diff(positions, axis=1)
    speeds = np.abs(moves).sum(axis=2)
    assert set(speeds.ravel().tolist()) == {1, 2}
    assert np.all(speeds == speeds[:, :1])
    names = {(-1, 0): "up", (0, 1): "right", (1, 0): "down", (0, -1): "left"}
    for clip, labels in zip((moves / speeds[..., None]).astype(int).tolist(), directions, strict=True):
        assert [names[tuple(move)] for move in clip] == [moving_images.DIRECTIONS[label] for label in labels[1:]]


@pytest.mark.extended
def test_path_of_a_clip_follows_from_its_directions(drawn):
    directions, paths, _ = drawn
    changes = np.diff(directions[:, 1:], axis=1) % 4
    right, reverse, left = ((changes == quarters).any(axis=1) for quarters in (1, 2, 3))
    vertical = directions[:, 1] % 2 == 0
    expected = {
        "straight, vertical": ~right & ~reverse & ~left & vertical,
        "straight, horizontal": ~right & ~reverse & ~left & ~vertical,
        "to and fro, vertical": reverse & vertical,
        "to and fro, horizontal": reverse & ~vertical,
        "clockwise": right & ~reverse & ~left,
        "anticlockwise": left & ~reverse & ~right,
    }
    assert tuple(expected) == moving_images.PATHS
    for path, members in enumerate(expected.values()):
        np.testing.assert_array_equal(paths == path, members)
        assert 150 < members.sum() < 250  # expected 200; a standard deviation is 13


@pytest.mark.extended
def test_one_move_does_not_show_the_path_and_one_position_not_the_move(drawn):
    directions, paths, positions = drawn
    for path in (4, 5):
        for step in directions[paths == path, 1:].T:  # as a path starts anywhere in its cycle
            np.testing.assert_allclose(np.bincount(step, minlength=4) / len(step), 0.25, atol=0.12)  # 4 sd
    middle = (moving_images.edge(6) - 6) / 2
    for direction in range(4):
        after = positions[:, 1:][(directions == direction)[:, 1:] & (paths >= 4)[:, None]]
        assert np.abs(after.mean(axis=0) - middle).max() < 1.5


@pytest.mark.extended
def test_scores_compare_with_the_classes_of_the_clips(data):
    true, whole = clips.classes(data.test), data.test.whole
    for place in (0, 7):
        clip = moving_images.clip(whole["key"][place], whole["image"][place])
        assert int(clip.path) == true.paths[place]
        np.testing.assert_array_equal(clip.directions[1:], true.directions[place])
    predicted = clips.Classes(
        np.stack([true.directions, (true.directions + 1) % 4]),
        np.stack([true.digits, np.where(np.arange(20) < 5, true.digits, true.digits + 1)]),
        np.stack([true.paths, np.where(np.arange(20) < 4, true.paths + 1, true.paths)]),
    )
    scores = measurement.scores(predicted, true)
    np.testing.assert_allclose(scores["frames"], [1, 0])
    np.testing.assert_allclose(scores["digits"], [1, 0.25])
    np.testing.assert_allclose(scores["paths"], [1, 0.8])
    np.testing.assert_allclose(scores["clips"], [1, 0.05])
    np.testing.assert_allclose(measurement.errors(measurement.Test(scores, predicted, None)), [0, 1 - 0.05 / 2])


@pytest.mark.slow
def test_every_epoch_draws_new_paths():
    data, networks = video.plan(tiny(cells=("gru",)))
    model = networks[0].trainer.model
    params = model.init(jax.random.key(0))
    batch = data.training.take(np.arange(8))
    losses = [float(measurement.loss(model, params, batch, jax.random.key(seed))) for seed in (0, 0, 1)]
    assert losses[0] == losses[1] != losses[2]


def _compare_saved_models(data, folder, results):
    """Checks that the saved models are the trained ones, and classify clips from a file."""
    frames = moving_images.batch(data.test.whole["key"], data.test.whole["image"]).frames
    np.save(folder / "clips.npy", np.swapaxes(frames, 0, 1)[..., 0])
    for name in ("none", "gru"):
        loaded = models.load(folder / "models" / name)
        record = next(r for r in results if (r["run"], r["seed"]) == (name, loaded.notes["seed"]))
        again = measurement.evaluate(loaded.model, jax.tree.map(lambda leaf: leaf[None], loaded.params), data.test)
        assert {key: record[f"test/{key}"] for key in again.scores} == {k: float(v[0]) for k, v in again.scores.items()}
        read = loaded.definition.read(folder / "clips.npy")
        predicted = loaded.predict(read)
        assert [clip for _, clip in predicted] == [
            (str(digit), moving_images.PATHS[path])
            for digit, path in zip(again.predicted.digits[0], again.predicted.paths[0], strict=True)
        ]
        assert [moves for moves, _ in predicted] == [
            [moving_images.DIRECTIONS[move] for move in row] for row in again.predicted.directions[0]
        ]
        assert loaded.definition.lines(read, predicted)[0].count("\t") == 2
        with pytest.raises(
            ValueError, match=r"clips must be \[N, T, 26, 26\], as in training, T at least 2, got shape"
        ):
            loaded.predict(read[:, :1])


@pytest.mark.extended
def test_a_run_writes_files_and_records(data, tmp_path, capsys):
    video.run(tiny(), str(tmp_path), ModelSettings(save_model=True))
    written = {path.name for path in tmp_path.iterdir() if path.is_file()}
    pngs = {"clips.png", "paths.png", "validation.png"}
    assert written == {"config.json", "results.json", "arrays.npz", *pngs, "summary.html"}
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["results"]
    assert [(record["run"], record["seed"]) for record in results] == [("none", 0), ("none", 1), ("gru", 0), ("gru", 1)]
    alone, gru = (100 * np.mean([r["test/clips"] for r in results if r["run"] == run]) for run in ("none", "gru"))
    assert f">{gru - alone:+.1f} (" in (tmp_path / "summary.html").read_text(encoding="utf-8")
    curves = np.load(tmp_path / "arrays.npz")
    runs = evidence.read(str(tmp_path))
    assert all(seed.has_measurements for run in runs.values() for seed in run.values())
    for record in results:
        assert record["test/clips"] <= min(record["test/digits"], record["test/paths"]) <= 1
        curve = curves[f"{record['run']}/validation/wrong"][record["seed"]]
        assert record["validation/wrong"] == curve[record["best_epoch"] - 1] == curve.min()
        assert record["diverged"] is False
    printed = " ".join(capsys.readouterr().out.split())
    assert "CNN alone" in printed
    assert re.search(r"Validation chooses CNN .* of the clips are correct", printed)
    _compare_saved_models(data, tmp_path, results)


def test_the_first_line_states_what_was_read(data):
    expected = "clips of moving digits, 8 x 8 pixels each; 64 training clips in an epoch, 20 validation, 20 test"
    assert clips.note(data) == f"scikit-learn's digits: {expected}, of other images"


def test_findings_compare_with_convolutions_alone(data):
    true = clips.classes(data.test)
    right = clips.Classes(*(values[None] for values in true))
    wrong = right._replace(directions=(right.directions + 1) % 4, paths=right.paths + 1)

    def outcome(name, label, predicted, error):
        fit = type("Fit", (), {"scores": np.array([[error]]), "best": np.array([1]), "diverged": []})()
        scored = significance.means((predicted.digits == true.digits) & (predicted.paths == true.paths))
        return Outcome(
            Network(name, None, label), fit, measurement.Test(measurement.scores(predicted, true), predicted, scored)
        )

    alone, gru = outcome("none", "CNN alone", wrong, 0.5), outcome("gru", "CNN + gru", right, 0.0)
    assert summary.findings([alone, gru]) == [
        "Validation chooses CNN + gru: 100.0 % of the frames and 100.0 % of the clips are correct; clips: +100.0 "
        "points (95 % interval 100.0 to 100.0) beside CNN alone: better."
    ]
    assert summary.findings([alone]) == [
        "Validation chooses CNN alone: 0.0 % of the frames and 0.0 % of the clips are correct."
    ]


BAD = [
    ({"cells": ("none", "none")}, "--cells must name at least one and none twice, got 'none,none'"),
    ({"cells": ("grru",)}, "unknown cell 'grru': known are"),
    ({"clips": 0}, "--clips must be positive, got 0"),
    ({"clip_norm": float("inf")}, "--clip_norm must be a positive number, got inf"),
    ({"data": "nowhere"}, "--data: nowhere must hold labels.csv beside images of your own, or MNIST's four IDX files"),
]


@pytest.mark.parametrize(("fields", "message"), BAD, ids=[str(fields) for fields, _ in BAD])
def test_bad_flags_are_rejected_before_anything_is_written(fields, message, tmp_path):
    with pytest.raises(UserError, match=re.escape(message)):
        video.run(tiny(**fields), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()
