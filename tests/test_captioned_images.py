"""Images with a table of captions: what is read, what is refused, and a run of the captioning experiment."""

import dataclasses
import json
import re

import jax
import numpy as np
import pytest
from PIL import Image

from experiments import captioning
from experiments.captioning import described
from experiments.common import captioned_images
from experiments.common.flags import UserError
from experiments.common.settings import ModelSettings
from rnn_jax import models
from rnn_jax.data import read_captioned_images

TINY = captioning.Config(
    embedding=3, hidden_size=4, readout=3, epochs=2, batch_size=4, seeds=1, size=8, learning_rate=0.02
)
COLOURS = {"red": (220, 20, 20), "green": (20, 220, 20), "blue": (20, 20, 220)}


def load(config):
    return captioned_images.load(config, config.data, config.size, config.seed)


@pytest.fixture
def folder(tmp_path):
    """Eighteen images of one colour each, in a folder `Images` as Flickr8k's, with two captions each."""
    rng, folder = np.random.default_rng(0), tmp_path / "data"
    (folder / "Images").mkdir(parents=True)
    for number in range(18):
        pixels = rng.integers(0, 20, (12, 10 + number % 3, 3)) + np.array(list(COLOURS.values())[number % 3])
        suffix = "jpg" if number % 2 else "png"
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "Images" / f"{number}.{suffix}")
    table(folder, rows())
    return folder


def rows(splits=None):
    lines = []
    for number in range(18):
        name, colour = f"{number}.{'jpg' if number % 2 else 'png'}", [*COLOURS][number % 3]
        end = f",{splits[number]}" if splits else ""
        lines += [f'{name},"A {colour} card, alone ."{end}', f"{name},The card is {colour}{end}"]
    return lines


def table(folder, lines, header="image,caption", name="captions.txt"):
    (folder / name).write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return str(folder / name)


def test_flickr8k_layout_is_read(folder):
    read = read_captioned_images(folder, 4)
    assert read.captions[1] == (("a", "green", "card", ",", "alone", "."), ("the", "card", "is", "green"))
    assert len(read.images) == 18
    assert read.images[1].shape == (4, 4, 3)
    assert read.images[1][..., 1].min() > 200 > 60 > read.images[1][..., 0].max()
    assert (read.parts, read.left_out) == (None, 0)


REFUSED = [
    (["0.png,x", "twice.png,x"], "image,caption", "line 3: must name one image, got "),
    (["0.png,x", "99.png,x"], "image,caption", "line 3: must name a PNG or JPEG image in"),
    (["0.png, "], "image,caption", "line 2: must hold a caption, got an empty one"),
    (["0.png,x,train", "0.png,y,test"], "image,caption,split", "line 3: an image must be in one split, got 'test' aft"),
    (["0.png,x,fold1"], "image,caption,split", "line 2: split must be training, validation or test, got 'fold1'"),
    (["0.png,x,train", "1.jpg,y,"], "image,caption,split", "line 3: must name a split as the others do, got none"),
    (["0.png,x,y"], "image,caption", "line 2: must have 2 fields, as line 1, got 3"),
    (["0.png,x"], "file,caption", "line 1: must name the columns image and caption once each"),
    ([], "image,caption", "must hold a caption below its header"),
]


@pytest.mark.parametrize(("lines", "header", "message"), REFUSED, ids=[message for *_, message in REFUSED])
def test_a_row_that_cannot_be_used_is_refused_by_file_and_line(lines, header, message, folder):
    path = table(folder, lines, header)
    for place in (folder, folder / "Images"):
        (place / "twice.png").write_bytes((folder / "Images" / "2.png").read_bytes())
    with pytest.raises(ValueError, match=re.escape(f"{path}{', ' if message.startswith('line') else ': '}{message}")):
        read_captioned_images(folder, 8)


def test_splits_are_by_image_and_repetitions_are_reported(folder):
    (folder / "Images" / "2.png").write_bytes((folder / "Images" / "14.png").read_bytes())
    data = load(dataclasses.replace(TINY, data=str(folder)))
    assert "split at random: 13 training (26 captions)" in data.note  # 2.png is with its copy
    keys = [set(part.keys) for part in data.parts.values()]
    assert sum(map(len, keys)) == len(set.union(*keys)) == 17
    names = ["train"] * 10 + ["val"] * 4 + ["test"] * 4
    table(folder, rows(names), "image,caption,split")
    data = load(dataclasses.replace(TINY, data=str(folder)))
    assert "split by its column: 10 training (20 captions), 4 validation (8 captions), 4 test (8 cap" in data.note
    assert "Images in a later split, too, and kept as the files have them: 1 of the training set, 0 of the" in data.note
    paths = {name: table(folder, rows()[part], name=f"{name}.csv") for name, part in SLICES.items()}
    data = load(dataclasses.replace(TINY, **paths))
    assert "split as given, validation drawn from training: 10 training (20 captions), 2 validation" in data.note
    with pytest.raises(UserError, match="replace --data"):
        load(dataclasses.replace(TINY, **paths, data=str(folder)))
    paths["train"] = table(folder, rows(names), "image,caption,split", "train.csv")  # test images among them
    with pytest.raises(
        UserError, match=r"--train: .*train.csv, line 22: split must be training, as .*got 'validation'"
    ):
        load(dataclasses.replace(TINY, **paths))


SLICES = {"train": slice(24), "test": slice(24, 36)}


@pytest.mark.extended
def test_epochs_draw_among_the_captions_of_an_image(folder):
    data = load(dataclasses.replace(TINY, data=str(folder)))
    (network,) = described.make_networks(dataclasses.replace(TINY, models=("none",)), data)
    model = network.trainer.model
    params, batch = model.init(jax.random.key(0)), data.training.take(np.arange(3))
    losses = {float(described.loss(model, params, batch, jax.random.key(seed))) for seed in (*range(6), 0)}
    assert 1 < len(losses) <= 6


@pytest.mark.extended
def test_a_run_writes_records_and_a_model_that_is_applied(folder, tmp_path, capsys):
    config = dataclasses.replace(TINY, data=str(folder), epochs=30, hidden_size=16, readout=8, embedding=8)
    captioning.run(config, str(tmp_path / "run"), ModelSettings(save_model=True))
    printed = " ".join(capsys.readouterr().out.split())
    assert f"{folder}: UTF-8, columns image and caption; images resized to 8 x 8 in colour; split at random" in printed
    assert "Validation chooses" in printed
    results = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))["results"]
    assert [record["run"] for record in results] == ["the nearest image's caption", "attention", "none"]
    assert results[0]["test/rougeL"] > 0.5
    assert (tmp_path / "run" / "attention.png").stat().st_size > 1000
    loaded, data = models.load(tmp_path / "run" / "models" / "none"), load(config)
    written = loaded.predict(data.images("test"))
    scored = captioned_images.scores(data.parts["test"], [[tuple(text.split()) for text in written]], None)
    assert scored.rouge.mean() == pytest.approx(results[2]["test/rougeL"])
    read = loaded.definition.read(folder / "Images")
    assert read.shape == (18, 8, 8, 3)
    assert loaded.predict(loaded.definition.read(folder / "Images" / "3.jpg")) == loaded.predict(read[3:4])
    with pytest.raises(
        ValueError, match=re.escape("images must be [N, 8, 8, 3], as in training, got shape [18, 8, 8]")
    ):
        loaded.predict(read[..., 0])
