"""Text classification: texts as arrays, loss, predictions, baselines; and the sentiment experiment."""

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

from experiments import sentiment
from experiments.baselines import bag_of_words
from experiments.common import classification, fitting, runner
from experiments.common.flags import UserError
from experiments.common.numbers import mean_sd
from experiments.common.settings import ModelSettings
from experiments.common.texts import load
from experiments.sentiment.grammar import BAD as BLAME
from experiments.sentiment.grammar import GOOD as PRAISE
from experiments.sentiment.grammar import NEGATIONS, reviews
from rnn_jax import GRU, Bidirectional, models, training
from rnn_jax.data import Embedding, Labelled
from rnn_jax.data import folded_words as words
from rnn_jax.models import Classifier

ROOT = Path(__file__).parents[1]
TINY = sentiment.Config(
    split=("60", "20", "20"),
    cells=("bi_gru",),
    embedding=3,
    hidden_size=2,
    min_count=1,
    epochs=2,
    batch_size=8,
    seeds=2,
)


def labelled(count=60):
    rng = np.random.default_rng(0)
    names = [("good", "bad")[n % 2] for n in range(count)]
    fillers = [" ".join(rng.choice(list("abcde"), rng.integers(1, 5))) for _ in names]
    return Labelled.of(
        [f"{n} {filler} {name}!" for n, (name, filler) in enumerate(zip(names, fillers, strict=True))], names
    )


@pytest.fixture(scope="module", autouse=True)
def two_buckets():
    """Each bucket is a program to compile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("experiments.common.texts.BUCKETS", 2)
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "texts.csv"
    texts, labels, classes = labelled()
    lines = [f"{classes[label]},{text}\n" for text, label in zip(texts, labels, strict=True)]
    path.write_text("label,text\n" + "".join(lines) + lines[0], encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def texts(data):
    return load(with_(data), labelled, "", words)


def with_(data, **fields):
    return dataclasses.replace(TINY, **{"data": data, **fields})


def test_words():
    assert words("It ISN'T good... co-writer/director, 2\u20443") == [
        *("it", "isn't", "good", "...", "co-writer/director", ",", "2", "\u2044", "3"),
    ]


def test_the_vocabulary_holds_the_training_set_only(texts):
    training_words = {word for text in texts.splits["training"].labelled.texts for word in words(text)}
    assert set(texts.vocabulary.tokens) == training_words
    assert texts.changed == "Duplicates removed: 1."
    assert texts.lines[0].endswith("texts.csv: UTF-8, columns label and text, separated by commas")
    assert texts.lines[1].startswith("2 classes (bad, good); 36 training, 12 validation, 12 test texts. ")
    assert texts.fields == {}


@pytest.fixture
def parts(tmp_path):
    """Files of a user's split; one text comes again in the test set."""
    rows = {
        "train": ["good,a b", "good,A  b", "bad,c d", "bad,c e", "good,e", "awful,h", "awful,i"],
        "validation": ["bad,c d", "good,f"],
        "test": ["bad,g h", "good,f"],
    }
    for name, lines in rows.items():
        (tmp_path / f"{name}.csv").write_text("\n".join(["label,text", *lines]), encoding="utf-8")
    return {name: str(tmp_path / f"{name}.csv") for name in rows}


def test_files_of_a_split_are_kept_as_they_are(parts):
    texts = load(with_(None, **parts), labelled, "", words)
    read = {name: split.labelled.texts for name, split in texts.splits.items()}
    assert read == {
        "training": ("a b", "A b", "c d", "c e", "e", "h", "i"),
        "validation": ("c d", "f"),
        "test": ("g h", "f"),
    }
    assert [texts.classes[label] for label in texts.splits["test"].labels] == ["bad", "good"]
    assert texts.fields == {"training/repeated": 1, "validation/repeated": 1}
    assert "1 of the training set, 1 of the validation set" in texts.changed
    assert texts.lines[2] == f"--test={parts['test']}: UTF-8, columns label and text, separated by commas"


def test_without_a_validation_file_texts_of_the_training_file_validate(parts):
    del parts["validation"]
    splits = load(with_(None, **parts), labelled, "", words).splits
    both = [splits[name].labelled.texts for name in ("training", "validation")]
    assert sorted(both[0] + both[1]) == ["A b", "a b", "c d", "c e", "e", "h", "i"]
    assert len({"a b", "A b"} & set(both[0])) in (0, 2)  # the same text, so in one split
    assert set(splits["validation"].labels) == {0, 1, 2}


def test_a_class_that_the_training_file_lacks_is_refused(parts):
    Path(parts["test"]).write_text("label,text\nbad,a\nugly,b\n", encoding="utf-8")
    with pytest.raises(UserError, match="--test: class 'ugly' must be in the training set, which has awful, bad, good"):
        load(with_(None, **parts), labelled, "", words)


def test_buckets_hold_every_text_and_label_in_order(texts):
    for split in texts.splits.values():
        assert sorted(split.order) == list(range(len(split.labelled.texts)))
        order = iter(split.order)
        for examples in split.buckets:
            lengths, labels = examples.whole
            for column, length in enumerate(lengths.tolist()):
                index = next(order)
                ids = np.asarray(examples.steps)[:length, column]
                np.testing.assert_array_equal(ids, texts.vocabulary.encode(words(split.labelled.texts[index])))
                assert labels[column] == split.labelled.labels[index]


def test_predictions_are_in_the_order_of_the_texts(texts):
    model = Classifier(GRU(3, 4), 2, Embedding(len(texts.vocabulary), 3))
    params = jax.jit(jax.vmap(model.init))(jax.random.split(jax.random.key(0), 2))
    split = texts.splits["training"]
    predicted = classification.predictions(model, params, split)
    alone = jax.jit(jax.vmap(lambda params, ids: jnp.argmax(model.apply(params, ids[:, None])[0]), (0, None)))
    expected = [alone(params, texts.vocabulary.encode(words(text))) for text in split.labelled.texts[:12]]
    np.testing.assert_array_equal(predicted[:, :12], np.transpose(expected))
    assert len(np.unique(predicted)) == 2


def test_macro_f1_by_hand():
    predictions = classification.Predictions(np.array([0, 0, 0, 1, 2]), np.array([[0, 0, 1, 1, 0]]))
    # F1 of 0: 2 * 2 / (3 + 3); of 1: 2 / (2 + 1); of 2: 0.
    assert predictions.macro_f1[0] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert predictions.accuracy[0] == pytest.approx(3 / 5)


def test_baselines_are_fitted_on_training_and_chosen_by_validation(texts):
    most, bayes, logistic = bag_of_words.baselines(texts, (1, 2))
    assert np.unique(most.test.predicted).size == 1
    for baseline in (bayes, logistic):
        assert baseline.validation == 0.0
        np.testing.assert_array_equal(baseline.test.predicted[0], texts.splits["test"].labelled.labels)
    assert bayes.fields["settings"] == "alpha=0.03"  # the first of several that are equally good

    def with_wrong_labels(name):
        split = texts.splits[name]
        wrong = split._replace(labelled=split.labelled._replace(labels=1 - split.labelled.labels))
        return bag_of_words.baselines(dataclasses.replace(texts, splits=texts.splits | {name: wrong}), (1, 2))[1]

    assert with_wrong_labels("validation").validation > 0.5
    np.testing.assert_array_equal(with_wrong_labels("test").test.predicted, bayes.test.predicted)  # labels are not read


@pytest.mark.extended
def test_regularisation_depends_on_the_data_unless_it_is_given(data):
    def plan(path, **fields):
        _, loss, networks = sentiment.plan(with_(path, **fields))
        return loss, networks[0].trainer.model

    loss, model = plan(data)
    assert (loss.rate, model.cell.rate, model.dropout) == (0.3, 0.5, 0.5)
    given = plan(data, word_dropout=0.0, input_dropout=0.0, dropout=0.1)
    for (loss, model), dropout in ((plan(None), 0.0), (given, 0.1)):
        assert (loss.rate, model.dropout) == (0.0, dropout)
        assert isinstance(model.cell, Bidirectional)  # no dropout around it


def polarity(clause):
    text = " ".join(words(clause))
    sign = 1 if any(f" {word}" in f" {text}" for word in PRAISE) else -1
    assert (sign == 1) != any(f" {word}" in f" {text}" for word in BLAME)
    return sign * (-1 if any(f" {negation} " in text for negation in NEGATIONS) else 1)


def test_labels_of_the_grammar_follow_from_its_reviews():
    made = reviews(400)
    two = 0
    for text, label in zip(made.texts, made.labels, strict=True):
        clauses = text.removesuffix(" .").removeprefix("although ").split(" , ")
        verdict = clauses[0]
        if len(clauses) == 2 and not clauses[1].startswith("although "):
            verdict = clauses[1].removeprefix("but ")
        praise = made.classes[label] == "positive"
        assert polarity(verdict) == (1 if praise else -1)
        assert sum(map(polarity, clauses)) == 0 or len(clauses) == 1  # two clauses contradict each other
        two += len(clauses) == 2
    assert 150 < two < 250
    assert reviews(400).texts == made.texts


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    sentiment.run(with_(data), str(folder), ModelSettings(save_model=True))
    return folder, json.loads((folder / "results.json").read_text(encoding="utf-8"))


@pytest.mark.extended
def test_the_saved_model_is_the_best_seed_of_the_trained_one(finished, texts):
    folder, written = finished
    loaded = models.load(folder / "models" / "bi_gru")
    record = next(r for r in written["results"] if (r["run"], r["seed"]) == ("bi_gru", loaded.notes["seed"]))
    best = max(r["validation/accuracy"] for r in written["results"] if r["run"] == "bi_gru")
    assert 1 - loaded.notes["validation"] == record["validation/accuracy"] == best
    tested = texts.splits["test"].labelled
    labels = [label for label, _ in loaded.predict(tested.texts)]
    assert (
        np.mean([a == tested.classes[b] for a, b in zip(labels, tested.labels, strict=True)]) == record["test/accuracy"]
    )
    params = jax.tree.map(lambda leaf: leaf[None], loaded.params)
    (predicted,) = classification.predictions(loaded.model, params, texts.splits["test"])
    assert labels == [tested.classes[index] for index in predicted]


@pytest.mark.extended
def test_writes_its_files(finished):
    folder, _ = finished
    names = {"config.json", "results.json", "arrays.npz", "validation.png", "test.png", "summary.html"}
    assert {path.name for path in folder.iterdir() if path.is_file()} == names
    for name in ("validation", "test"):
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert "naive Bayes" in (folder / "summary.html").read_text(encoding="utf-8")


@pytest.mark.extended
def test_margins_over_the_best_baseline_have_intervals(finished):
    folder, written = finished
    baselines = [r for r in written["results"] if "settings" in r]
    best = max(baselines, key=lambda record: record["validation/accuracy"])
    assert "test/margin" not in best
    networks = [r for r in written["results"] if r["run"] == "bi_gru"]
    margin = 100 * (np.mean([r["test/accuracy"] for r in networks]) - best["test/accuracy"])
    for record in networks:
        assert record["reference"] == best["run"]
        assert record["test/margin"] == pytest.approx(margin)
        assert record["test/margin_low"] <= margin <= record["test/margin_high"]
    text = f"{margin:+.1f} ({networks[0]['test/margin_low']:.1f} to {networks[0]['test/margin_high']:.1f})"
    page = (folder / "summary.html").read_text(encoding="utf-8")
    assert f"points beside {best['run']}" in page
    assert f">{text}</td>" in page


@pytest.mark.extended
def test_records_describe_the_run(finished):
    folder, written = finished
    assert set(written) == {"config", "environment", "results"}
    by_run = {}
    for record in written["results"]:
        assert record["finished"]
        by_run.setdefault(record["run"], []).append(record)
    assert list(by_run) == [
        "most frequent class",
        "naive Bayes, 1..2-grams",
        "logistic regression, 1..2-grams",
        "bi_gru",
    ]
    accuracies = np.load(folder / "arrays.npz")["bi_gru/validation/accuracy"]
    assert accuracies.shape == (2, 2)
    for seed, (record, curve) in enumerate(zip(by_run["bi_gru"], accuracies, strict=True)):
        assert (record["seed"], record["diverged"], record["diverged_at"]) == (seed, False, None)
        assert record["best_epoch"] == 1 + np.argmax(curve)
        assert record["validation/accuracy"] == pytest.approx(curve.max())
        assert record["parameters"] > 2 * 3 * (3 * 2 + 2 * 2)
        assert 0 <= record["test/accuracy"] <= 1
    assert by_run["most frequent class"][0]["test/accuracy"] == pytest.approx(0.5)


@pytest.mark.extended
def test_results_of_a_finished_network_survive_the_failure_of_the_next(data, tmp_path, monkeypatch):
    fit = fitting.training.fit

    def second_fails(trainer, *rest, **options):
        if not isinstance(trainer.model.cell.cell, Bidirectional):
            raise RuntimeError("interrupted")
        return fit(trainer, *rest, **options)

    monkeypatch.setattr(fitting.training, "fit", second_fails)
    monkeypatch.setattr(runner, "parallel_programs", lambda: 1)
    with pytest.raises(RuntimeError, match="interrupted"):
        sentiment.run(with_(data, cells=("bi_gru", "rnn")), str(tmp_path))
    runs = [record["run"] for record in json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["results"]]
    assert runs.count("bi_gru") == 2
    assert "rnn" not in runs


@pytest.mark.extended
def test_best_epoch_by_validation_is_kept_and_the_test_set_is_evaluated_once(data, monkeypatch):
    texts, loss, (network,) = sentiment.plan(with_(data))
    correct, evaluated = iter([12, 3]), []
    real, validation = classification.predictions, texts.splits["validation"]

    def scripted(model, params, split):
        evaluated.append((split is validation, jax.tree.map(np.array, params)))
        if split is not validation:
            return real(model, params, split)
        labels = split.labelled.labels
        return np.where(np.arange(len(labels)) < next(correct), labels, 1 - labels)[None].repeat(2, axis=0)

    monkeypatch.setattr(classification, "predictions", scripted)
    status = runner.Status()
    job = classification.job(with_(data), texts, network, loss, lambda _: [], status)
    outcome = job.measure(training.Session())
    assert [is_validation for is_validation, _ in evaluated] == [True, True, False]
    assert outcome.fit.best.tolist() == [1, 1]
    jax.tree.map(np.testing.assert_array_equal, evaluated[2][1], evaluated[0][1])
    assert np.ptp(jax.tree.leaves(evaluated[1][1])[0] - jax.tree.leaves(evaluated[0][1])[0]) > 0
    assert job.summary(outcome) == str(status()) == "bi_gru: epoch 2: validation 25.0 %, best 100.0 %"


def test_the_best_network_is_the_one_that_validation_chooses():
    def outcome(name, scores):
        return fitting.Outcome(fitting.Network(name, None), training.Fit(None, np.array(scores), None, 0.0), None)

    outcomes = [outcome("a", [[0.5, 0.3], [0.4, 0.4]]), outcome("b", [[0.3, 0.9], [0.33, 0.9]])]
    assert fitting.best_outcome(outcomes).title == "b"


def test_the_standard_deviation_is_over_seeds():
    assert mean_sd(np.array([70.0]), 1) == "70.0"
    assert mean_sd(np.array([70.0, 72.0]), 1) == "71.0±1.4"


BAD = [
    ({"data": "nowhere.csv"}, "--data: nowhere.csv: cannot be read: No such file or directory"),
    ({"data": "nowhere"}, "--data: nowhere: must be a folder with one file of texts per class, or a file .csv or .tsv"),
    ({"split": ("80", "20")}, "split_labelled: shares must be 3 numbers, of training, validation, test, got 2"),
    ({"split": ("80", "x", "10")}, "--split must be three numbers, got '80,x,10'"),
    ({"cells": ("lstmm",)}, "unknown cell 'lstmm': known are rnn, irnn"),
    ({"cells": ("bi_lstmm",)}, "unknown cell 'lstmm': known are rnn, irnn"),
    ({"cells": ("gru", "gru")}, "--cells must name at least one and none twice, got 'gru,gru'"),
    ({"cells": ()}, "--cells must name at least one and none twice, got ''"),
    ({"pooling": "sum"}, "--pooling must be one of last, mean, max, got 'sum'"),
    ({"min_count": 100}, "no token occurs --min_count=100 times in the training set"),
    ({"word_dropout": 1.0}, "--word_dropout must be from 0 to below 1, got 1.0"),
    ({"epochs": 0}, "--epochs must be positive, got 0"),
    ({"learning_rate": float("nan")}, "--learning_rate must be a positive number, got nan"),
]


@pytest.mark.parametrize(("fields", "message"), BAD, ids=[str(fields) for fields, _ in BAD])
def test_bad_settings_are_rejected_before_anything_is_written(fields, message, data, tmp_path):
    with pytest.raises(UserError, match=re.escape(message)):
        sentiment.run(with_(**{"data": data, **fields}), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.extended
def test_the_command_line_reports_a_bad_file_without_a_traceback(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("label,words\na,b\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "experiments.sentiment", "--quick", f"--data={path}", f"--workdir={tmp_path / 'run'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 2
    assert done.stderr.strip().startswith(f"error: --data: {path}, line 1: must name the columns label and text")
    assert "Traceback" not in done.stderr
