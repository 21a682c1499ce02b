"""Folders of video frames with a table of classes: what is read, what is refused, and a run of the video experiment."""

import dataclasses
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from experiments import video
from experiments.common import labelled_clips
from experiments.common.flags import UserError
from experiments.common.settings import ModelSettings
from rnn_jax import GRU, models
from rnn_jax.data import read_image, read_labelled_clips
from rnn_jax.models import ImageEncoder, VideoClassifier

TINY = video.Config(features=6, hidden_size=6, epochs=2, batch_size=4, seeds=2, size=8, learning_rate=0.01)


def load(config):
    return labelled_clips.load(config, config.data, config.size, config.seed)


TRAIN, TEST = slice(10), slice(10, 18)


@pytest.fixture
def folder(tmp_path):
    """Clips of a bright bar that moves down or up, in unequal numbers of frames of unequal sizes."""
    rng, folder = np.random.default_rng(0), tmp_path / "data"
    for number in range(18):
        (folder / f"clip{number}").mkdir(parents=True)
        for frame in range(rng.integers(2, 5)):
            pixels = rng.integers(0, 60, (16, 12 + number % 3, 3)).astype(np.uint8)
            place = 2 + 3 * frame if number % 2 else 12 - 3 * frame
            pixels[place : place + 3] = 250
            suffix = "jpg" if number % 5 else "png"
            Image.fromarray(pixels).save(folder / f"clip{number}" / f"frame{8 + frame}.{suffix}")
    return folder


def table(folder, rows, header="clip,label", name="labels.csv"):
    (folder / name).write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return str(folder)


BY_CLIP = [f"clip{number},{'down' if number % 2 else 'up'}" for number in range(18)]


def test_frames_are_in_natural_order_resized_and_in_colour(tmp_path):
    (tmp_path / "a").mkdir()
    for number, shade in ((2, 10), (10, 200)):
        Image.new("RGB", (20, 30), (shade, 0, 99)).save(tmp_path / "a" / f"frame{number}.png")
    (tmp_path / "a" / "notes.txt").write_text("none", encoding="utf-8")
    (tmp_path / "unused").mkdir()
    rows = ["a,frame10,dark,dev", "a, frame2.png ,light,val"]
    clips = read_labelled_clips(table(tmp_path, rows, "clip,frame,label,split"), 8)
    np.testing.assert_array_equal(clips.frames[0][:, 0, 0], [[10, 0, 99], [200, 0, 99]])
    assert clips.frames[0].shape == (2, 8, 8, 3)
    assert clips.labels == (("light", "dark"),)
    assert (clips.by_frame, clips.parts, clips.left_out) == (True, ("validation",), 1)
    Image.new("RGB", (20, 30)).save(tmp_path / "0.png")
    assert read_labelled_clips(table(tmp_path, [".,dark", "a,light"]), 8).left_out == 1  # images beside the table


REFUSED = [
    (["clip0,up", "clip99,up"], "clip,label", "line 3: must name a folder of PNG or JPEG images in"),
    ([",up"], "clip,label", "line 2: must name a folder of PNG or JPEG images in"),
    (["clip0,up", "clip0,up"], "clip,label", "line 3: must name each clip or frame once"),
    (["clip0,up", "./clip0/,up"], "clip,label", "line 3: must name each clip or frame once"),
    (["clip0, "], "clip,label", "line 2: must name a class, got an empty label"),
    (["clip0,up,holdout"], "clip,label,split", "line 2: split must be training, validation or test, got 'holdout'"),
    (["clip0,up,test", "clip1,up,"], "clip,label,split", "line 3: must name a split as the others do, got none"),
    (["clip0,frame8,up", "clip1,,up"], "clip,frame,label", "line 3: must name a frame in each row or in none, got ''"),
    (["clip0,,up", "clip1,frame8,up"], "clip,frame,label", "line 3: must name a frame in each row or in none"),
    (["clip0,frame7,up"], "clip,frame,label", "line 2: must name an image of the clip, as frame8.png, got 'frame7'"),
    (
        ["clip0,frame8,up,test", "clip0,frame9,up,train"],
        "clip,frame,label,split",
        "line 3: a clip must be in one split, got 'training' after 'test'",
    ),
    ([], "clip,label", "must name a clip below its header"),
    (["clip0,up"], "video,label", "line 1: must name the columns clip and label once each"),
]


@pytest.mark.parametrize(("rows", "header", "message"), REFUSED, ids=[message for *_, message in REFUSED])
def test_a_row_that_cannot_be_used_is_refused_by_file_and_line(rows, header, message, folder):
    with pytest.raises(ValueError, match=re.escape(f"labels.csv{', ' if message[0] == 'l' else ': '}{message}")):
        read_labelled_clips(table(folder, rows, header), 8)


def test_an_image_that_cannot_be_read_is_refused_by_name(folder):
    broken = folder / "clip0" / "frame8.png"
    broken.write_bytes(broken.read_bytes()[:40])
    with pytest.raises(ValueError, match=re.escape(f"{broken}: must be a PNG or JPEG image")):
        read_labelled_clips(table(folder, BY_CLIP), 8)
    Image.fromarray(np.full((4, 4), 60_000, np.uint16)).save(broken)
    with pytest.raises(ValueError, match=re.escape(f"{broken}: must be a PNG or JPEG image: must have 8 bits")):
        read_image(broken, 8)


def test_padding_changes_no_class_of_a_clip():
    model = VideoClassifier(ImageEncoder((8, 8, 3), (3,), (2,)), 4, GRU(4, 5), 0, (3,))
    params, frames = model.init(jax.random.key(0)), jax.random.uniform(jax.random.key(1), (5, 2, 8, 8, 3))
    assert params.frames == ()
    lengths, labels = jnp.array([3, 5]), jnp.array([0, 2])
    padded = model.apply(params, frames, lengths, key=None).clip[0]
    np.testing.assert_allclose(padded[:1], model.apply(params, frames[:3, :1], key=None).clip[0], rtol=1e-5)
    value = model.loss(params, frames, None, (labels,), lengths, key=None)
    expected = -jnp.mean(jax.nn.log_softmax(padded)[jnp.arange(2), labels])
    assert float(value) == pytest.approx(float(expected), rel=1e-6)
    with pytest.raises(ValueError, match="frame_labels must be None if, and only if, frame_classes is 0"):
        model.loss(params, frames, jnp.zeros((5, 2), int), (labels,), key=None)


def test_the_column_split_is_kept_and_repetitions_are_reported(folder):
    for path in (folder / "clip1").iterdir():
        path.unlink()
    for path in (folder / "clip17").iterdir():
        (folder / "clip1" / path.name).write_bytes(path.read_bytes())
    names = ["train"] * 10 + ["dev"] * 4 + ["test"] * 4
    rows = [f"{row},{name}" for row, name in zip(BY_CLIP, names, strict=True)]
    data = load(dataclasses.replace(TINY, data=table(folder, rows, "clip,label,split")))
    assert [len(split.labels) for split in data.splits.values()] == [10, 4, 4]
    start = f"{folder}: UTF-8, a class of each clip; images resized to 8 x 8 in colour; 18 clips of 2 to 4 frames, "
    assert data.note.startswith(f"{start}split by its column: 10 training, 4 validation, 4 test.")
    assert "2 classes (down, up), 18 labels" in data.note
    assert "kept as the files have them: 1 of the training set, 0 of the validation set" in data.note
    table(folder, [*rows[:-1], "clip17,sideways,test"], "clip,label,split")
    message = "labels.csv, line 19: class 'sideways' must be in the training set: down, up"
    with pytest.raises(UserError, match=re.escape(message)):
        load(dataclasses.replace(TINY, data=str(folder)))


def test_given_files_are_the_splits(folder):
    for name, rows in (("train.csv", BY_CLIP[TRAIN]), ("test.csv", BY_CLIP[TEST])):
        table(folder, rows, name=name)
    given = dataclasses.replace(TINY, train=str(folder / "train.csv"), test=str(folder / "test.csv"))
    data = load(given)
    assert "split as given, validation drawn from training: 8 training, 2 validation, 8 test" in data.note
    with pytest.raises(UserError, match="replace --data"):
        load(dataclasses.replace(given, data=str(folder)))


def by_frame(folder):
    """Returns rows of all frames but those of clip 0, of which only one has a class."""
    paths = {n: sorted((folder / f"clip{n}").iterdir()) for n in range(18)}
    rows = [(n, path.stem) for n, each in paths.items() for path in (each if n else each[:1])]
    return [f"clip{n},{stem},{'first' if stem == 'frame8' else 'later'}" for n, stem in rows]


@pytest.mark.extended
@pytest.mark.parametrize("kind", ["clip", "frame"])
def test_a_run_writes_records_and_a_model_that_is_applied(kind, folder, tmp_path, capsys):
    path = table(folder, by_frame(folder), "clip,frame,label") if kind == "frame" else table(folder, BY_CLIP)
    config = dataclasses.replace(TINY, data=path)
    video.run(config, str(tmp_path / "run"), ModelSettings(save_model=True))
    printed = " ".join(capsys.readouterr().out.split())
    assert f"a class of each {kind}" in printed
    assert "Validation chooses CNN" in printed
    results = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))["results"]
    names = ["most frequent class", "logistic regression, pixels", "none", "none", "gru", "gru"]
    assert [record["run"] for record in results] == names
    loaded, split = models.load(tmp_path / "run" / "models" / "gru"), load(config).splits["test"]
    predicted = [name for row in loaded.predict(list(split.clips.frames)) for name in row]
    true = [name for row in split.clips.labels for name in row]
    right = [a == b for a, b in zip(predicted, true, strict=True) if b]
    record = next(r for r in results if (r["run"], r["seed"]) == ("gru", loaded.notes["seed"]))
    assert np.mean(right) == pytest.approx(record["test/accuracy"])
    read = loaded.definition.read(folder)
    assert [len(clip) for clip in read] == [len([*(folder / f"clip{n}").iterdir()]) for n in range(18)]
    assert len(loaded.definition.lines(read, loaded.predict(read))) == 18
    assert len(loaded.definition.read(folder / "clip3")) == 1
