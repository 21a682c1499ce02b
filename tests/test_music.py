"""Piano rolls and the music experiment: files, baselines, the loss, the files of a run, rejected flags."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.io

from experiments import music
from experiments.baselines import chords
from experiments.common.flags import UserError
from experiments.common.settings import ModelSettings
from experiments.music import composed, measurement
from rnn_jax import LSTM, models
from rnn_jax.data import Examples, read_piano_rolls
from rnn_jax.models import ReadoutModel

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parents[1]
JSB = ROOT.parent / "shared" / "data" / "jsb_chorales" / "JSB_Chorales.mat"


def rolls(seed, *lengths):
    rng = np.random.default_rng(seed)
    return [(rng.random((length, 88)) < 0.1).astype(np.uint8) for length in lengths]


PIECES = {"traindata": rolls(0, 6, 4, 9, 6), "validdata": rolls(1, 5, 3), "testdata": rolls(2, 2, 7)}


def cells(pieces):
    """A MATLAB cell array [1, n]."""
    array = np.empty((1, len(pieces)), object)
    array[0] = pieces
    return array


def save(path, **variables):
    arrays = {
        name: cells(pieces) if isinstance(pieces, list) else pieces for name, pieces in (PIECES | variables).items()
    }
    scipy.io.savemat(path, {name: each for name, each in arrays.items() if each is not None})
    return str(path)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return save(tmp_path_factory.mktemp("data") / "pieces.mat")


def test_pieces_are_read_as_written(data):
    pieces = read_piano_rolls(data)
    for split, name in (("training", "traindata"), ("validation", "validdata"), ("test", "testdata")):
        assert [piece.dtype for piece in pieces[split]] == [np.uint8] * len(PIECES[name])
        for piece, expected in zip(pieces[split], PIECES[name], strict=True):
            np.testing.assert_array_equal(piece, expected)


MALFORMED = [
    ({"testdata": None}, "must hold the variables traindata, validdata, testdata, got traindata, validdata"),
    ({"validdata": np.zeros((4, 88))}, "validdata must be a cell array of pieces, got float64[4, 88]"),
    (
        {"traindata": [*rolls(0, 4), np.zeros((4, 87))]},
        "traindata, piece 2: must be [T, 88] with T of at least 2, got shape [4, 87]",
    ),
    ({"traindata": rolls(0, 1, 4)}, "traindata, piece 1: must be [T, 88] with T of at least 2, got shape [1, 88]"),
    ({"testdata": [2.0 * roll for roll in rolls(0, 4)]}, "testdata, piece 1: must hold only 0 and 1"),
    ({"testdata": [np.full((4, 88), np.nan)]}, "testdata, piece 1: must hold only 0 and 1"),
]


@pytest.mark.parametrize(("variables", "message"), MALFORMED, ids=[message for _, message in MALFORMED])
def test_malformed_variables_are_named(variables, message, tmp_path):
    path = save(tmp_path / "bad.mat", **variables)
    with pytest.raises(ValueError, match=re.escape(f"{path}: {message}")):
        read_piano_rolls(path)


@pytest.mark.parametrize("kind", ["empty", "text", "cut off", "7.3", "missing"])
def test_files_that_are_no_piano_rolls_are_rejected_by_name(kind, data, tmp_path):
    path, whole = tmp_path / "bad.mat", Path(data).read_bytes()
    version = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF\r\n\x1a\n" + bytes(64)
    content = {
        "empty": b"",
        "text": b"not a matlab file at all\n" * 20,
        "cut off": whole[: len(whole) // 2],
        "7.3": version,
    }
    if kind in content:
        path.write_bytes(content[kind])
    with pytest.raises(ValueError, match=re.escape(f"{path}: ")) as caught:
        read_piano_rolls(path)
    assert ("7.3" in str(caught.value)) == (kind == "7.3")


@pytest.mark.skipif(not JSB.is_file(), reason="the chorales are not in ../shared/data/jsb_chorales")
def test_the_chorales():
    splits = read_piano_rolls(JSB)
    assert {name: len(pieces) for name, pieces in splits.items()} == {"training": 229, "validation": 76, "test": 77}
    assert sum(len(piece) for piece in splits["test"]) == 4_725
    assert 3 < np.mean([piece.sum(1).mean() for piece in splits["training"]]) < 4  # four voices, some in unison


def test_composed_pieces_follow_the_rule():
    splits = composed.pieces()
    assert {name: len(pieces) for name, pieces in splits.items()} == composed.COUNTS
    for piece in splits["test"]:
        assert len(piece) % (composed.PHRASE * composed.HELD) == 0
        np.testing.assert_array_equal(piece[::2], piece[1::2])
        assert set(piece.sum(1)) <= {2, 3, 4}  # voices may meet
        tonic = np.flatnonzero(piece[-1])[0] % 12  # the bass of the last chord
        fifth = np.flatnonzero(piece[-3])[0] % 12
        assert (fifth - tonic) % 12 == 7
    np.testing.assert_array_equal(composed.pieces()["test"][3], splits["test"][3])


def test_the_first_line_states_what_was_read(data):
    note = music.plan(music.Config(data=data, hidden_size=2, cells=("rnn",)))[0].note
    assert note == (
        f"{data}: piano rolls of 88 keys; 4 training, 2 validation, 2 test pieces, 42 steps. "
        "Pieces removed because a later split repeats them: 0 of the training set, 0 of the validation set."
    )


def nats(p, y):
    return -np.mean(np.sum(y * np.log(p) + (1 - y) * np.log(1 - p), axis=1))


def test_baselines_by_hand():
    # Two keys, one piece: the first sounds at every other step, the second always.
    piece = np.array([[0, 1], [1, 1], [0, 1], [1, 1], [0, 1]])
    pieces = {name: [piece] for name in ("training", "validation", "test")}
    x, y = chords.pairs([piece])
    np.testing.assert_array_equal(x, piece[:-1])
    np.testing.assert_array_equal(y, piece[1:])
    losses = {row.title: float(row.test.nats_per_step[0]) for row in chords.baselines(pieces)}
    frequencies = np.array([2.5 / 5, 4.5 / 5])
    assert losses["note frequencies"] == pytest.approx(nats(frequencies[None], y), rel=1e-5)
    after_on, after_off = (0 + 0.5) / 3, (2 + 0.5) / 3
    always = (4 + 0.9) / 5
    p = np.array([[after_off, always], [after_on, always]] * 2)
    assert losses["repeat last chord, smoothed"] == pytest.approx(nats(p, y), rel=1e-5)
    assert losses["logistic regression, last chord"] < 0.1


def test_the_regression_equals_that_of_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    x = (rng.random((200, 4)) < 0.5).astype(np.float32)
    y = (rng.random((200, 4)) < 1 / (1 + np.exp(-(2 * x[:, ::-1] - 1)))).astype(np.float32)
    logits = chords._regression(x, y, 1e-2)(x)
    for key in range(4):
        # Its objective is a sum, this one a mean.
        other = LogisticRegression(C=1 / (1e-2 * len(x)), tol=1e-8).fit(x, y[:, key])
        np.testing.assert_allclose(logits[:, key], other.decision_function(x), atol=2e-3)


MODEL = ReadoutModel(LSTM(88, 3), 88)


def padded(pieces):
    steps = np.zeros((max(map(len, pieces)), len(pieces), 88), np.float32)
    for column, piece in enumerate(pieces):
        steps[: len(piece), column] = piece
    return Examples({"roll": jnp.asarray(steps)}, jnp.array([len(piece) for piece in pieces]))


@pytest.mark.extended
def test_the_loss_is_per_step_over_all_pieces_together_and_padding_changes_nothing():
    params, key = MODEL.init(jax.random.key(0)), jax.random.key(1)
    pieces = rolls(3, 6, 2, 4)
    losses = []
    for piece in pieces:
        logits = np.asarray(MODEL.apply(params, piece[:-1, None].astype(np.float32))[1][:, 0], np.float64)
        p, y = 1 / (1 + np.exp(-logits)), piece[1:]
        losses += list(-np.sum(y * np.log(p) + (1 - y) * np.log(1 - p), axis=1))
    assert len(losses) == 5 + 1 + 3
    batch = padded(pieces)
    value, grads = jax.value_and_grad(lambda p: measurement.loss(MODEL, p, batch, key))(params)
    assert value == pytest.approx(np.mean(losses), rel=1e-5)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(grads))
    beyond = np.arange(6)[:, None, None] >= np.asarray(batch.whole)[:, None]
    spoilt = batch._replace(steps={"roll": jnp.where(beyond, 1.0, batch.steps["roll"])})
    again, grads_again = jax.value_and_grad(lambda p: measurement.loss(MODEL, p, spoilt, key))(params)
    assert again == value
    jax.tree.map(np.testing.assert_array_equal, grads, grads_again)
    # The same over a whole split, for any buckets.
    seeds = jax.tree.map(lambda leaf: jnp.stack([leaf, 2 * leaf]), params)
    buckets = [padded(pieces[:1]), padded(pieces[1:])]
    whole = measurement.losses(MODEL, seeds, buckets)
    assert whole.steps.tolist() == [len(piece) - 1 for piece in pieces]
    assert whole.nats_per_step.shape == (2,)
    assert whole.nats_per_step[0] == pytest.approx(np.mean(losses), rel=1e-5)


def test_a_drawn_piece_follows_the_probabilities_of_the_network():
    params = MODEL.init(jax.random.key(0))
    kernel, bias = params.readout["params"].values()
    # Probabilities of 0 and 1: it always draws key 40.
    prefix = jnp.asarray(np.eye(88, dtype=np.float32)[[3, 4]])
    certain = jnp.where(jnp.arange(88) == 40, 50.0, -50.0)
    params = params._replace(readout={"params": {"kernel": 0 * kernel, "bias": certain + 0 * bias}})
    drawn = measurement.improvise(MODEL, params, jax.random.key(0), prefix, 3)
    assert np.argmax(drawn, axis=1).tolist() == [3, 4, 40, 40, 40]
    np.testing.assert_array_equal(drawn.sum(1), np.ones(5))
    # Step by step, the network computes the same as in one pass over the drawn piece.
    params = MODEL.init(jax.random.key(2))
    params = params._replace(
        readout=jax.tree.map(lambda leaf: 200 * leaf, params.readout)
    )  # probabilities close to 0 or 1
    drawn = np.asarray(measurement.improvise(MODEL, params, jax.random.key(0), prefix, 12))
    _, logits = MODEL.apply(params, drawn[:-1, None])
    sure = np.abs(logits[1:, 0]) > 10
    assert sure.mean() > 0.5
    np.testing.assert_array_equal((np.asarray(logits[1:, 0]) > 0)[sure], drawn[2:][sure] > 0)


TINY = music.Config(hidden_size=3, epochs=2, batch_size=2, buckets=2, seeds=2)


def with_(data, **fields):
    return music.Config(**{**vars(TINY), "data": data, **fields})


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    music.run(with_(data, buckets=1), str(folder), ModelSettings(save_model=True))
    return folder, json.loads((folder / "results.json").read_text(encoding="utf-8"))["results"]


@pytest.mark.extended
@pytest.mark.parametrize("name", ["lstm", "rnn"])
def test_the_saved_model_is_the_trained_one(name, finished, data, tmp_path):
    folder, records = finished
    loaded = models.load(folder / "models" / name)
    record = next(r for r in records if (r["run"], r["seed"]) == (name, loaded.notes["seed"]))
    examples = music.plan(with_(data, buckets=1))[0].examples["test"]
    params = jax.tree.map(lambda leaf: leaf[None], loaded.params)
    assert float(measurement.losses(loaded.model, params, examples).nats_per_step[0]) == record["test/nats_per_step"]
    application, text = loaded.definition, "60 64 67 / / 62 65"
    (tmp_path / "chords.txt").write_text(text.replace(" / ", "\n").replace("/ ", "\n"), encoding="utf-8")
    piece = application.read(tmp_path / "chords.txt")
    np.testing.assert_array_equal(piece, application.from_text(text))
    continued = loaded.predict(piece, seed=1)
    assert continued.shape == (3 + application.count, 88)
    assert application.lines(piece, continued)[:3] == ["60 64 67", "", "62 65"]
    np.testing.assert_array_equal(loaded.predict(piece, seed=1), continued)
    with pytest.raises(ValueError, match="text, line 1: notes must be 21 to 108, got '20'"):
        application.from_text("20")


@pytest.mark.extended
def test_writes_its_files(finished):
    folder, _ = finished
    names = {"config.json", "results.json", "arrays.npz", "loss.png", "rolls.png", "summary.html"}
    assert {p.name for p in folder.iterdir() if p.is_file()} == names
    assert all((folder / name).read_bytes().startswith(b"\x89PNG") for name in ("loss.png", "rolls.png"))
    assert "logistic regression" in (folder / "summary.html").read_text(encoding="utf-8")


@pytest.mark.extended
def test_records_hold_each_seed_and_agree_with_the_curves(finished):
    folder, records = finished
    names = ["note frequencies", "repeat last chord, smoothed", "logistic regression, last chord"]
    networks = [(name, seed) for name in ("lstm", "gru", "rnn") for seed in (0, 1)]
    assert [(r["run"], r["seed"]) for r in records] == [*((name, 0) for name in names), *networks]
    arrays = np.load(folder / "arrays.npz")
    np.testing.assert_array_equal(arrays["drawn"], np.concatenate([PIECES["testdata"][0][:1], arrays["drawn"][1:]]))
    for record in records:
        assert record["test/steps"] == 1 + 6
        assert record["training/removed"] == 0
        assert 0 < record["test/nats_per_step"] < 2 * 88 * math.log(2)
        if "epochs" in record:
            curve = arrays[f"{record['run']}/validation/loss"][record["seed"]]
            assert record["validation/nats_per_step"] == pytest.approx(curve.min())
            assert record["best_epoch"] == 1 + np.argmin(curve)


@pytest.mark.extended
def test_a_network_whose_seeds_all_diverge_is_reported(data, tmp_path, capsys):
    music.run(with_(data, cells=("rnn",), buckets=1, learning_rate=1e38), str(tmp_path))
    records = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["results"]
    assert [(r["diverged"], r["diverged_at"]) for r in records if r["run"] == "rnn"] == [(True, 2), (True, 2)]
    assert "rnn: seed 0 diverged at step 2" in " ".join(capsys.readouterr().out.split())


def test_pieces_of_a_later_split_are_removed_from_training(tmp_path):
    twice = [*PIECES["traindata"], PIECES["testdata"][1], PIECES["validdata"][0]]
    data, _ = music.plan(with_(save(tmp_path / "twice.mat", traindata=twice), cells=("gru",)))
    assert data.removed == {"training": 2, "validation": 0}
    assert [len(pieces) for pieces in data.pieces.values()] == [4, 2, 2]


BAD = [
    ({"data": "nowhere.mat"}, "--data: nowhere.mat: cannot be read: "),
    ({"cells": ("lstmm",)}, "unknown cell 'lstmm'"),
    ({"cells": ("lru",)}, "--cells=lru needs --dropout=0: "),
    ({"cells": ("gru", "gru")}, "--cells must name at least one and none twice, got 'gru,gru'"),
    ({"dropout": -0.1}, "--dropout must be from 0 to below 1, got -0.1"),
    ({"seeds": 0}, "--seeds must be positive, got 0"),
    ({"learning_rate": float("inf")}, "--learning_rate must be a positive number, got inf"),
]


@pytest.mark.parametrize(("fields", "message"), BAD, ids=[str(fields) for fields, _ in BAD])
def test_bad_flags_are_rejected_before_anything_is_written(fields, message, data, tmp_path):
    with pytest.raises(UserError, match=re.escape(message)):
        music.run(with_(**{"data": data, **fields}), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.extended
def test_a_file_that_is_not_matlabs_ends_the_program_without_a_traceback(tmp_path):
    path = tmp_path / "pieces.mat"
    path.write_text("no matrix", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "experiments.music", f"--data={path}", f"--workdir={tmp_path / 'run'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.strip().startswith(f"error: --data: {path}: cannot be read as a .mat file")
    assert "Traceback" not in done.stderr
