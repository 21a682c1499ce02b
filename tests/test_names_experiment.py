"""Names: the language of a name, names of a language, what a run writes and rejects."""

import dataclasses
import functools
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
from experiments.common import classification, figures, fitting
from experiments.common.flags import UserError
from experiments.common.settings import ModelSettings
from experiments.names import generator
from experiments.names.languages import LANGUAGES
from experiments.names.languages import names as default_names
from rnn_jax import models, training
from rnn_jax.data import Vocabulary

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
    """Each bucket is a program to compile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("experiments.common.texts.BUCKETS", 1)
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
    return names.plan(with_(data))


def test_a_name_is_its_begin_its_characters_and_end(plan):
    made, texts = plan.generator, plan.texts
    assert made.vocabulary.tokens == (*texts.vocabulary.tokens, "<Ab>", "<Cd>", "<Ef>")
    for name, split in texts.splits.items():
        examples = made.examples[name]
        for column, (text, label) in enumerate(zip(split.labelled.texts, split.labelled.labels, strict=True)):
            length = int(examples.whole[column])
            ids = np.asarray(examples.steps)[:, column]
            assert length == len(text) + 2
            assert ids[0] == len(texts.vocabulary) + label
            assert ids[length - 1] == Vocabulary.END
            np.testing.assert_array_equal(ids[1 : length - 1], texts.vocabulary.encode(text))


def test_nats_include_characters_and_end_only(plan):
    made = plan.generator
    model, examples = made.network.trainer.model, made.examples["test"]
    params = jax.jit(model.init)(jax.random.key(0))
    sums = jax.jit(functools.partial(generator.sum_nats, model))(params, examples)
    _, logits = jax.jit(model.apply)(params, examples.steps)  # causal: padding changes nothing before it
    logp = np.asarray(jax.nn.log_softmax(logits))
    for column, length in enumerate(np.asarray(examples.whole)):
        ids = np.asarray(examples.steps)[:length, column]
        expected = -sum(logp[t, column, ids[t + 1]] for t in range(length - 1))
        assert float(sums[column]) == pytest.approx(expected, rel=1e-5)
    loss = jax.jit(functools.partial(generator.loss, model))(params, examples, jax.random.key(0))
    assert float(loss) == pytest.approx(float(jnp.sum(sums) / jnp.sum(examples.whole - 1)), rel=1e-5)


def test_generated_names_follow_the_requested_language_and_stop(plan):
    """The readout depends on the language: after <Ab> an a and then END, after <Cd> c, after <Ef> e."""
    made = plan.generator
    vocabulary = made.vocabulary

    @dataclasses.dataclass(frozen=True)
    class Scripted:
        size: int = len(vocabulary)
        network = made.network.trainer.model.network

        def step(self, params, state, ids):
            first, end = vocabulary.encode("ace"), Vocabulary.END
            language = ids - (len(vocabulary) - 3)
            following = jnp.where(language >= 0, jnp.asarray(first)[language], end)
            return state, jnp.where(jax.nn.one_hot(following, len(vocabulary), dtype=bool), 0.0, -jnp.inf)

    scripted = dataclasses.replace(made, application=dataclasses.replace(made.application, model=Scripted()))
    params = jax.vmap(made.network.trainer.model.init)(jax.random.split(jax.random.key(0), 1))
    written = generator.write(scripted, params, np.array([2, 0, 1, 0]), jax.random.key(0))
    assert written == ["e", "a", "c", "a"]


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    folder, drawn = tmp_path_factory.mktemp("run"), []
    confusion_figure = figures.confusion_figure

    def spy(*args):
        drawn.append(args)
        return confusion_figure(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "confusion_figure", spy)
        names.run(with_(data), str(folder), ModelSettings(save_model=True))
    return folder, json.loads((folder / "results.json").read_text(encoding="utf-8"))["results"], drawn[0]


@pytest.mark.extended
def test_the_saved_generator_writes_the_names_of_the_run(finished):
    folder, _, _ = finished
    loaded = models.load(folder / "models" / "generator")
    lines = (folder / "names.txt").read_text(encoding="utf-8").splitlines()
    languages = [line.split("\t")[0] for line in lines]
    assert loaded.definition.lines(languages, loaded.predict(languages)) == lines
    assert models.load(folder / "models" / "gru").predict(["abab"])[0].label in ("Ab", "Cd", "Ef")


@pytest.mark.extended
def test_writes_its_files(finished):
    folder, _, _ = finished
    pngs = {"validation.png", "test.png", "confusion.png"}
    expected = pngs | {"config.json", "results.json", "arrays.npz", "names.txt", "summary.html"}
    assert {path.name for path in folder.iterdir() if path.is_file()} == expected
    assert all((folder / name).read_bytes().startswith(b"\x89PNG") for name in pngs)
    assert "generated names" in (folder / "summary.html").read_text(encoding="utf-8")


@pytest.mark.extended
def test_records_describe_the_run(finished, plan):
    folder, records, _ = finished
    most, bayes, logistic, *classifiers, writer = records
    assert [(record["run"], record["seed"]) for record in classifiers] == [("gru", 0), ("gru", 1)]
    assert [most["run"], bayes["run"]] == ["most frequent class", "naive Bayes, 1..3-grams"]
    assert logistic["ceiling"] <= 1
    lines = (folder / "names.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) == generator.COUNT == writer["generated"]
    assert [line.split("\t")[0] for line in lines[:4]] == ["Ab", "Cd", "Ef", "Ab"]
    known = {text.casefold() for text in plan.texts.splits["training"].labelled.texts}
    written = [line.split("\t")[1] for line in lines]
    assert writer["generated/new"] == sum(name.casefold() not in known for name in written)
    assert writer["generated/different"] == len({name.casefold() for name in written})
    assert 0 <= writer["generated/recognised"] <= 1
    assert writer["judge"] == "gru"
    # After two epochs of training the loss is near that of a uniform draw from all tokens.
    assert 1 < writer["test/nats_per_character"] < np.log(len(plan.generator.vocabulary)) + 0.5


def test_a_name_of_several_languages_stays_in_each_and_in_one_split(plan):
    splits = [s.labelled.texts for s in plan.texts.splits.values() if "same" in s.labelled.texts]
    assert len(splits) == 1
    assert splits[0].count("same") == 3
    assert plan.texts.changed == "Duplicates removed: 3."  # the first name of each language, in capitals


@pytest.mark.extended
def test_names_cost_more_if_another_language_is_given(data):
    """No two languages share all letters, so the language predicts the letters."""
    config = with_(data, generator_size=16, generator_epochs=12, learning_rate=0.03)
    plan = names.plan(config)
    labels = plan.texts.splits["test"].labelled.labels
    params = jax.vmap(plan.networks[0].trainer.model.init)(jax.random.split(jax.random.key(0), 2))
    fit = training.Fit(params, np.zeros((2, 1)), None, 0.0)
    judge = fitting.Outcome(plan.networks[0], fit, classification.Predictions(labels, np.stack([labels] * 2)))
    outcome = generator.job(plan.generator, judge, lambda _: []).measure(training.Session())
    assert outcome.test.other_nats[0] > outcome.test.nats[0] + 0.3
    assert outcome.test.nats[0] < 1.8
    assert np.isfinite(outcome.fit.scores).all()


def test_confusion_matrices_are_in_percent_of_their_rows(monkeypatch):
    drawn = []
    monkeypatch.setattr(figures.plotting, "png", drawn.append)
    counts = figures.confusion(np.array([0, 0, 1]), np.array([[0, 1, 1], [0, 0, 1]]), 3)
    np.testing.assert_array_equal(counts, [[3, 1, 0], [0, 2, 0], [0, 0, 0]])
    figures.confusion_figure({"": counts}, ("a", "b", "none"))
    (image,) = drawn[0].axes[0].images
    np.testing.assert_allclose(image.get_array(), [[75, 25, 0], [0, 100, 0], [0, 0, 0]])


@pytest.mark.extended
def test_rows_of_the_confusion_figure_show_the_number_of_test_names(finished, plan):
    _, _, (_, classes, rows, _) = finished
    labels = plan.texts.splits["test"].labelled.labels
    assert classes == ("Ab", "Cd", "Ef")
    assert rows == [f"{name} ({np.sum(labels == n)})" for n, name in enumerate(classes)]


def test_default_names_are_deterministic_and_of_unequal_numbers():
    everything = default_names()
    assert everything.classes == tuple(sorted(LANGUAGES))
    counts = np.bincount(everything.labels)
    assert counts.max() == 3 * counts.min()
    assert everything.texts == default_names().texts


BAD = [
    ({"data": "nowhere"}, "--data: nowhere: must be a folder with one file of texts per class"),
    ({"generator": "bi_lstm"}, "unknown cell 'bi_lstm'"),
    ({"generator": "nope:Cell"}, "cannot import module 'nope'"),
    ({"cells": ("lru", "xyz")}, "unknown cell 'xyz'"),
    ({"dropout": -0.1}, "--dropout must be from 0 to below 1, got -0.1"),
    ({"generator_epochs": 0}, "--generator_epochs must be positive, got 0"),
    ({"split": ("50", "50", "50")}, "split_labelled: shares must have the sum 1, got 1.5"),
]


@pytest.mark.parametrize(("fields", "message"), BAD, ids=[str(fields) for fields, _ in BAD])
def test_bad_settings_are_rejected_before_anything_is_written(fields, message, data, tmp_path):
    with pytest.raises(UserError, match=re.escape(message)):
        names.run(with_(**{"data": data, **fields}), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.extended
def test_a_language_of_two_names_ends_the_program_without_a_traceback(tmp_path):
    (tmp_path / "A.txt").write_text("Anna\nBert\n", encoding="utf-8")
    (tmp_path / "B.txt").write_text("Carl\nDora\nEmil\n", encoding="utf-8")
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
