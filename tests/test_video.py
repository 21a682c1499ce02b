"""The video experiment: its clips, what a run writes, what it refuses."""

import dataclasses
import json
import re

import jax
import numpy as np
import pytest

from experiments import video
from experiments.common.flags import UserError
from experiments.video import clips, measurement, summary
from experiments.video import config as configs
from rnn_jax.data import Examples
from rnn_jax.models.video import NO_LABEL

TINY = {"features": 4, "hidden_size": 4, "clips": 64, "tested": 20, "batch_size": 32, "epochs": 2, "seeds": 2}


def tiny(**fields):
    return video.Config(**{**TINY, **fields})


@pytest.fixture(scope="module")
def made():
    """1,200 clips of a filled square of 6 pixels: their classes, and where the square stands, [N, T, 2]."""
    square = np.ones((6, 6), np.float32)
    found = jax.jit(jax.vmap(clips.clip, in_axes=(0, None)))(jax.random.split(jax.random.key(0), 1200), square)
    frames = np.asarray(found.frames)[..., 0]
    assert frames.shape == (1200, clips.FRAMES, clips.edge(6), clips.edge(6))
    assert np.all(frames.sum(axis=(2, 3)) == 36), "the square is cut"
    places = np.stack([frames.any(axis=3).argmax(axis=2), frames.any(axis=2).argmax(axis=2)], axis=-1)
    return np.asarray(found.directions), np.asarray(found.path), places


def test_a_frames_class_is_the_direction_of_its_last_move(made):
    directions, _, places = made
    assert np.all(directions[:, 0] == NO_LABEL)
    moves = np.diff(places, axis=1)
    speeds = np.abs(moves).sum(axis=2)
    assert set(speeds.ravel().tolist()) == {1, 2}
    assert np.all(speeds == speeds[:, :1])
    up_right_down_left = {(-1, 0): 0, (0, 1): 1, (1, 0): 2, (0, -1): 3}
    for clip, said in zip((moves / speeds[..., None]).astype(int).tolist(), directions, strict=True):
        assert [up_right_down_left[tuple(move)] for move in clip] == said[1:].tolist()


def test_a_clips_path_is_what_its_directions_make(made):
    directions, paths, _ = made
    turned = np.diff(directions[:, 1:], axis=1) % 4
    quarter, half = (turned == 1).any(axis=1), (turned == 2).any(axis=1)
    back = (turned == 3).any(axis=1)
    vertical = directions[:, 1] % 2 == 0
    wanted = {
        "straight, vertical": ~quarter & ~half & ~back & vertical,
        "straight, horizontal": ~quarter & ~half & ~back & ~vertical,
        "to and fro, vertical": half & vertical,
        "to and fro, horizontal": half & ~vertical,
        "clockwise": quarter & ~half & ~back,
        "anticlockwise": back & ~half & ~quarter,
    }
    assert tuple(wanted) == clips.PATHS
    for path, of_path in enumerate(wanted.values()):
        np.testing.assert_array_equal(paths == path, of_path)
        assert 150 < of_path.sum() < 250  # of 200; a standard deviation is 13


def test_no_move_tells_the_path_and_no_place_the_move(made):
    directions, paths, places = made
    for path in (4, 5):
        for of_step in directions[paths == path, 1:].T:  # wherever in its turn a path begins
            np.testing.assert_allclose(np.bincount(of_step, minlength=4) / len(of_step), 0.25, atol=0.12)  # 4 sd
    middle = (clips.edge(6) - 6) / 2
    for direction in range(4):
        there = places[:, 1:][(directions == direction)[:, 1:] & (paths >= 4)[:, None]]
        assert np.abs(there.mean(axis=0) - middle).max() < 1.5


def test_classes_and_shares_are_those_of_the_clips():
    ready = configs.plan(tiny())
    true = measurement.truth(ready.test)
    whole = ready.test.whole
    for place in (0, 7):
        found = clips.clip(whole["key"][place], whole["image"][place])
        assert int(found.path) == true.paths[place]
        np.testing.assert_array_equal(found.directions[1:], true.directions[place])
    said = measurement.Guesses(
        np.stack([true.directions, (true.directions + 1) % 4]),
        np.stack([true.digits, np.where(np.arange(20) < 5, true.digits, true.digits + 1)]),
        np.stack([true.paths, np.where(np.arange(20) < 4, true.paths + 1, true.paths)]),
    )
    found = measurement.shares(said, true)
    np.testing.assert_allclose(found.frames, [1, 0])
    np.testing.assert_allclose(found.digits, [1, 0.25])
    np.testing.assert_allclose(found.paths, [1, 0.8])
    np.testing.assert_allclose(found.clips, [1, 0.05])


@pytest.mark.slow
def test_paths_of_an_epoch_are_new_ones():
    ready = configs.plan(tiny())
    model = ready.trainers["gru"].model
    params = model.init(jax.random.key(0))
    batch = Examples({}, {name: ready.training.whole[name][:8] for name in ("image", "label")})
    losses = [float(measurement.loss(model, params, batch, jax.random.key(seed))) for seed in (0, 0, 1)]
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.usefixtures("unoptimized")
def test_a_run_writes_its_files(tmp_path, capsys):
    video.run(tiny(), str(tmp_path))
    written = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert written == {"config.json", "results.json", "clips.png", "paths.png", "validation.png", "summary.html"}
    results = json.loads((tmp_path / "results.json").read_text())["results"]
    assert [(record["run"], record["seed"]) for record in results] == [("none", 0), ("none", 1), ("gru", 0), ("gru", 1)]
    for record in results:
        assert record["test/clips"] <= min(record["test/digits"], record["test/paths"]) <= 1
    shown = capsys.readouterr().out
    assert "CNN alone: " in shown
    assert re.search(r"CNN \+ gru: .* beside convolutions alone", shown.replace("\n", " "))


def test_sentences_tell_what_the_recurrence_is_worth():
    ready = configs.plan(tiny())
    true = measurement.truth(ready.test)
    right = measurement.Guesses(true.directions[None], true.digits[None], true.paths[None])
    wrong = dataclasses.replace(right, directions=(right.directions + 1) % 4)
    fit = type("Fit", (), {"seconds": 60.0, "diverged": []})()
    outcomes = [measurement.Outcome("none", fit, wrong), measurement.Outcome("gru", fit, right)]
    assert summary.sentences(outcomes, true) == [
        "CNN alone: 0.0 % of the frames and 100.0 % of the clips are right. Training took 1.0 minutes.",
        "CNN + gru: 100.0 % of the frames and 100.0 % of the clips are right, +100.0 and +0.0 beside convolutions "
        "alone. Training took 1.0 minutes.",
    ]


BAD = [
    ({"cells": ("none", "none")}, "--cells must be different ones, got 'none,none'"),
    ({"cells": ("grru",)}, "unknown cell 'grru': known are"),
    ({"clips": 0}, "--clips must be positive, got 0"),
    ({"clip_norm": float("inf")}, "--clip_norm must be a positive number, got inf"),
    ({"data": "nowhere"}, "--data: nowhere/train-images-idx3-ubyte: no such file, plain or with .gz"),
]


@pytest.mark.parametrize(("fields", "message"), BAD, ids=[str(fields) for fields, _ in BAD])
def test_bad_settings_are_refused_before_anything_is_written(fields, message, tmp_path):
    with pytest.raises(UserError, match=re.escape(message)):
        video.run(tiny(**fields), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()
