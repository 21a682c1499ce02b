"""The names: the language of a name, names of a language, what a run writes and refuses."""

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import names
from experiments.common.flags import UserError
from experiments.common.text_classification import figures
from experiments.names import config as configs
from experiments.names import generated, generator
from experiments.names.languages import LANGUAGES
from rnn_jax import training
from rnn_jax.data import Vocabulary

pytestmark = pytest.mark.usefixtures("unoptimized")

ROOT = Path(__file__).parents[1]
TINY = names.Config(
    split=("60", "20", "20"),
    cells=("gru",),
    hidden_size=3,
    epochs=2,
    generator="gru",
    generator_size=4,
    generator_epochs=2,
    batch_size=8,
    seeds=2,
)


@pytest.fixture(scope="module", autouse=True)
def one_bucket():
    """Each is a program to be compiled."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("experiments.common.text_classification.texts.BUCKETS", 1)
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for language, letters in (("Ab", "ab"), ("Cd", "cd"), ("Ef", "ae")):
        made = sorted({"".join(rng.choice(list(letters), rng.integers(3, 7))) for _ in range(40)})
        (folder / f"{language}.txt").write_text("\n".join([*made, "same", made[0].upper()]) + "\n", encoding="utf-8")
    return str(folder)


def with_(data, **fields):
    return dataclasses.replace(TINY, **{"data": data, **fields})


@pytest.fixture(scope="module")
def plan(data):
    return configs.plan(with_(data))


def test_a_name_is_its_begin_its_characters_and_end(plan):
    made, texts = plan.generator, plan.texts
    assert made.vocabulary.tokens == (*texts.vocabulary.tokens, "<Ab>", "<Cd>", "<Ef>")
    for name, part in texts.parts.items():
        examples = made.examples[name]
        for column, (text, label) in enumerate(zip(part.labelled.texts, part.labels, strict=True)):
            length = int(examples.whole[column])
            ids = np.asarray(examples.steps)[:, column]
            assert length == len(text) + 2
            assert ids[0] == len(texts.vocabulary) + label
            assert ids[length - 1] == Vocabulary.END
            np.testing.assert_array_equal(ids[1 : length - 1], texts.vocabulary.encode(text))


def test_nats_are_of_characters_and_end_and_of_nothing_else(plan):
    made = plan.generator
    model, examples = made.trainer.model, made.examples["test"]
    params = model.init(jax.random.key(0))
    got = generator.sum_of_nats(model, params, examples)
    _, logits = model.apply(params, examples.steps)  # causal: what follows a name's end changes nothing before it
    logp = np.asarray(jax.nn.log_softmax(logits))
    for column, length in enumerate(np.asarray(examples.whole)):
        ids = np.asarray(examples.steps)[:length, column]
        wanted = -sum(logp[t, column, ids[t + 1]] for t in range(length - 1))
        assert float(got[column]) == pytest.approx(wanted, rel=1e-5)
    loss = generator.loss(model, params, examples, jax.random.key(0))
    assert float(loss) == pytest.approx(float(jnp.sum(got) / jnp.sum(examples.whole - 1)), rel=1e-5)


def test_what_is_written_is_of_the_language_asked_for_and_stops(plan):
    """A readout that names the language: after <Ab> an a and then END, after <Cd> c, after <Ef> e."""
    made = plan.generator
    vocabulary = made.vocabulary

    @dataclasses.dataclass(frozen=True)
    class Scripted:
        size: int = len(vocabulary)
        network = made.trainer.model.network

        def step(self, params, state, ids):
            first, end = vocabulary.encode("ace"), Vocabulary.END
            language = ids - (len(vocabulary) - 3)
            following = jnp.where(language >= 0, jnp.asarray(first)[language], end)
            return state, jnp.where(jax.nn.one_hot(following, len(vocabulary), dtype=bool), 0.0, -jnp.inf)

    scripted = dataclasses.replace(made, trainer=dataclasses.replace(made.trainer, model=Scripted()))
    params = jax.vmap(made.trainer.model.init)(jax.random.split(jax.random.key(0), 1))
    written = generator.write(scripted, params, np.array([2, 0, 1, 0]), jax.random.key(0))
    assert written == ["e", "a", "c", "a"]


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    names.run(with_(data), str(folder))
    return folder, json.loads((folder / "results.json").read_text())["results"]


def test_writes_its_files(finished):
    folder, _ = finished
    pngs = {"validation.png", "test.png", "confusion.png"}
    wanted = pngs | {"config.json", "results.json", "arrays.npz", "names.txt", "summary.html"}
    assert {path.name for path in folder.iterdir() if path.is_file()} == wanted
    assert all((folder / name).read_bytes().startswith(b"\x89PNG") for name in pngs)
    assert "generated names" in (folder / "summary.html").read_text()


def test_the_records_tell_the_run(finished, plan):
    folder, records = finished
    *classifiers, most, bayes, logistic, writer = records
    assert [record["run"] for record in classifiers] == ["gru", "gru"]
    assert [most["run"], bayes["run"]] == ["most frequent class", "naive Bayes, 1..3-grams"]
    assert logistic["ceiling"] <= 1
    lines = (folder / "names.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) == generated.COUNT == writer["generated"]
    assert [line.split("\t")[0] for line in lines[:4]] == ["Ab", "Cd", "Ef", "Ab"]
    known = {text.casefold() for text in plan.texts.parts["training"].labelled.texts}
    written = [line.split("\t")[1] for line in lines]
    assert writer["generated/new"] == sum(name.casefold() not in known for name in written)
    assert writer["generated/different"] == len({name.casefold() for name in written})
    assert 0 <= writer["generated/language_heard"] <= 1
    assert writer["judge"] == "gru"
    # In two epochs not much is learnt: what it costs is near that of a draw from all tokens.
    assert 1 < writer["test/nats_per_character"] < np.log(len(plan.generator.vocabulary)) + 0.5


def test_a_name_of_several_languages_sets_the_ceiling(data, tmp_path_factory, plan):
    together = [part.labelled for part in plan.texts.parts.values() if "same" in part.labelled.texts]
    assert len(together) == 1
    assert together[0].texts.count("same") == 3
    assert plan.texts.repeated == 3  # the first name of each language came again in capitals


def test_told_another_language_names_cost_more(data):
    """Letters that no two languages share: what is learnt of a language is its letters."""
    config = with_(data, generator_size=16, generator_epochs=12, learning_rate=0.03)
    made = configs.plan(config).generator
    writing = generator.learn(made, jax.random.key(0), lambda fit: None, training.Session())
    assert writing.other > writing.test + 0.3
    assert writing.test < 1.8
    assert np.isfinite(writing.fit.scores).all()


def test_the_confusion_is_by_row(monkeypatch):
    drawn = []

    class Axis:
        def __getattr__(self, name):
            return lambda *args, **kwargs: drawn.append((name, args, kwargs))

    class Figure:
        def subplots(self):
            return Axis()

        def colorbar(self, *args, **kwargs):
            pass

    monkeypatch.setattr(figures.plotting, "figure", lambda size: Figure())
    monkeypatch.setattr(figures.plotting, "png", lambda drawn: b"")
    figures.confusion_figure(np.array([[0, 1, 1], [0, 0, 1]]), np.array([0, 0, 1]), ("a", "b", "none"), "")
    (shares,) = (args[0] for name, args, _ in drawn if name == "imshow")
    np.testing.assert_allclose(shares, [[75, 25, 0], [0, 100, 0], [0, 0, 0]])
    (told,) = (kwargs for name, _, kwargs in drawn if name == "set")
    assert told["yticklabels"] == ["a (2)", "b (1)", "none (0)"]


def test_the_default_names_are_of_languages_that_share_some():
    everything = configs.names()
    assert everything.classes == tuple(sorted(LANGUAGES))
    counts = np.bincount(everything.labels)
    assert counts.max() == 3 * counts.min()
    assert everything.texts == configs.names().texts


BAD = [
    ({"data": "nowhere"}, "--data: nowhere: must be a folder with one file of texts per class"),
    ({"generator": "bi_lstm"}, "unknown cell 'bi_lstm'"),
    ({"generator": "nope:Cell"}, "cannot import module 'nope'"),
    ({"cells": ("lru", "xyz")}, "unknown cell 'xyz'"),
    ({"dropout": -0.1}, "--dropout must be from 0 to below 1, got -0.1"),
    ({"generator_epochs": 0}, "--generator_epochs must be a positive number, got 0"),
    ({"split": ("50", "50", "50")}, "split_labelled: shares must have the sum 1, got 1.5"),
]


@pytest.mark.parametrize(("fields", "message"), BAD, ids=[str(fields) for fields, _ in BAD])
def test_bad_settings_are_refused_before_anything_is_written(fields, message, data, tmp_path):
    with pytest.raises(UserError, match=re.escape(message)):
        names.run(with_(**{"data": data, **fields}), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_language_of_two_names_ends_the_program_without_a_traceback(tmp_path):
    (tmp_path / "A.txt").write_text("Anna\nBert\n")
    (tmp_path / "B.txt").write_text("Carl\nDora\nEmil\n")
    done = subprocess.run(
        [sys.executable, "-m", "experiments.names", "--quick", f"--data={tmp_path}", f"--workdir={tmp_path / 'run'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 2
    assert "class 'A' must have at least 3 texts, got 2" in done.stderr
    assert "Traceback" not in done.stderr
