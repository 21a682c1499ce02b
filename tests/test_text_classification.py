"""What the experiments share that classify texts: texts, loss, guesses, opponents; and the sentiment experiment."""

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
from experiments.common.flags import UserError
from experiments.common.text_classification import measurement, opponents, summary
from experiments.common.text_classification.texts import read
from experiments.common.text_classification.words import words
from experiments.sentiment import config as configs
from experiments.sentiment.reviews import BAD as BLAME
from experiments.sentiment.reviews import GOOD as PRAISE
from experiments.sentiment.reviews import NEGATIONS, reviews
from rnn_jax import GRU, Bidirectional, training
from rnn_jax.data import Embedding, Examples, Labelled, Vocabulary
from rnn_jax.models import Classifier

pytestmark = pytest.mark.usefixtures("unoptimized")

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
    """Each is a program to be compiled."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("experiments.common.text_classification.texts.BUCKETS", 2)
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "texts.csv"
    found = labelled()
    lines = [f"{found.classes[label]},{text}\n" for text, label in zip(found.texts, found.labels, strict=True)]
    path.write_text("label,text\n" + "".join(lines) + lines[0], encoding="utf-8")
    return str(path)


def with_(data, **fields):
    return dataclasses.replace(TINY, **{"data": data, **fields})


def test_words():
    assert words("It ISN'T good... co-writer/director, 2\u20443") == [
        *("it", "isn't", "good", "...", "co-writer/director", ",", "2", "\u2044", "3"),
    ]


def test_the_vocabulary_has_seen_the_training_part_alone(data):
    texts = read(data, labelled, "", ("60", "20", "20"), 0, words, 1)
    training_words = {word for text in texts.parts["training"].labelled.texts for word in words(text)}
    assert set(texts.vocabulary.tokens) == training_words
    assert texts.repeated == 1
    for part in texts.parts.values():
        for examples, members in zip(part.buckets, part.members, strict=True):
            lengths, labels = examples.whole
            np.testing.assert_array_equal(labels, part.labels[members])
            for column, member in enumerate(members):
                ids = np.asarray(examples.steps)[: int(lengths[column]), column]
                wanted = texts.vocabulary.encode(words(part.labelled.texts[member]))
                np.testing.assert_array_equal(ids, wanted)


def test_word_dropout_makes_a_share_unknown_and_leaves_the_rest():
    @dataclasses.dataclass(frozen=True)
    class Spy:
        def loss(self, params, ids, labels, lengths, key):
            del params, labels, lengths, key
            seen.append(np.asarray(ids))
            return 0.0

    seen: list[np.ndarray] = []
    ids = jnp.full((50, 40), 7)
    batch = Examples(ids, (jnp.full(40, 50), jnp.zeros(40, int)))
    for rate in (0.0, 0.3):
        measurement.WordDropout(rate)(Spy(), None, batch, jax.random.key(0))
    assert np.all(seen[0] == 7)
    assert set(np.unique(seen[1])) == {Vocabulary.UNKNOWN, 7}
    assert np.mean(seen[1] == Vocabulary.UNKNOWN) == pytest.approx(0.3, abs=0.03)


def test_guesses_are_in_the_order_of_the_part(data):
    texts = read(data, labelled, "", ("60", "20", "20"), 0, words, 1)
    model = Classifier(GRU(3, 4), 2, Embedding(len(texts.vocabulary), 3))
    params = [model.init(jax.random.key(seed)) for seed in range(2)]
    part = texts.parts["training"]
    found = measurement.guesses(model, jax.tree.map(lambda *leaves: jnp.stack(leaves), *params), part)
    ids = [texts.vocabulary.encode(words(text)) for text in part.labelled.texts]
    wanted = [[int(jnp.argmax(model.apply(p, each[:, None])[0])) for each in ids[:12]] for p in params]
    np.testing.assert_array_equal(found[:, :12], wanted)
    assert len(np.unique(found)) == 2


def test_macro_f1_by_hand():
    labels, found = np.array([0, 0, 0, 1, 2]), np.array([[0, 0, 1, 1, 0]])
    # F1 of 0: 2 * 2 / (3 + 3); of 1: 2 / (2 + 1); of 2: 0.
    assert measurement.macro_f1(found, labels)[0] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert measurement.accuracy(found, labels)[0] == pytest.approx(3 / 5)


def test_opponents_are_fitted_to_training_and_chosen_by_validation(data):
    texts = read(data, labelled, "", ("60", "20", "20"), 0, words, 1)
    most, bayes, logistic = opponents.opponents(texts, (1, 2))
    assert np.unique(most.guesses).size == 1
    for opponent in (bayes, logistic):
        assert opponent.validation == 1.0
        np.testing.assert_array_equal(opponent.guesses, texts.parts["test"].labels)  # the last word tells
    assert bayes.settings == "alpha=0.03"  # the first of those that are equally good

    def with_wrong(name):
        part = texts.parts[name]
        wrong = part._replace(labelled=part.labelled._replace(labels=1 - part.labels))
        return opponents.opponents(dataclasses.replace(texts, parts=texts.parts | {name: wrong}), (1, 2))[1]

    assert with_wrong("validation").validation < 0.5
    np.testing.assert_array_equal(with_wrong("test").guesses, bayes.guesses)  # whose labels nobody reads


def test_regularisation_suits_the_texts_unless_it_is_given(data):
    few, grammar = configs.plan(with_(data)).networks[0], configs.plan(with_(None)).networks[0]
    given = configs.plan(with_(data, word_dropout=0.0, input_dropout=0.0, dropout=0.1)).networks[0]
    assert (few.word_dropout, few.trainer.model.cell.rate, few.trainer.model.dropout) == (0.3, 0.5, 0.5)
    for network, dropout in ((grammar, 0.0), (given, 0.1)):
        assert (network.word_dropout, network.trainer.model.dropout) == (0.0, dropout)
        assert isinstance(network.trainer.model.cell, Bidirectional)  # no dropout around it


def polarity(clause):
    found = words(clause)
    text = " ".join(found)
    sign = 1 if any(f" {word}" in f" {text}" for word in PRAISE) else -1
    assert (sign == 1) != any(f" {word}" in f" {text}" for word in BLAME)
    return sign * (-1 if any(f" {negation} " in text for negation in NEGATIONS) else 1)


def test_the_grammars_reviews_say_what_their_labels_say():
    found = reviews(400)
    two = 0
    for text, label in zip(found.texts, found.labels, strict=True):
        clauses = text.removesuffix(" .").removeprefix("although ").split(" , ")
        verdict = clauses[0]
        if len(clauses) == 2 and not clauses[1].startswith("although "):
            verdict = clauses[1].removeprefix("but ")
        praise = found.classes[label] == "positive"
        assert polarity(verdict) == (1 if praise else -1)
        assert sum(map(polarity, clauses)) == 0 or len(clauses) == 1  # the other clause says the contrary
        two += len(clauses) == 2
    assert 150 < two < 250
    assert reviews(400).texts == found.texts


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    sentiment.run(with_(data), str(folder))
    return folder, json.loads((folder / "results.json").read_text())


def test_writes_its_files(finished):
    folder, _ = finished
    names = {"config.json", "results.json", "arrays.npz", "validation.png", "test.png", "summary.html"}
    assert {path.name for path in folder.iterdir() if path.is_file()} == names
    for name in ("validation", "test"):
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert "naive Bayes" in (folder / "summary.html").read_text()


def test_the_records_tell_the_run(finished):
    folder, written = finished
    assert set(written) == {"config", "environment", "results"}
    by_run = {}
    for record in written["results"]:
        assert record["finished"]
        by_run.setdefault(record["run"], []).append(record)
    assert list(by_run) == [
        "bi_gru",
        "most frequent class",
        "naive Bayes, 1..2-grams",
        "logistic regression, 1..2-grams",
    ]
    accuracies = np.load(folder / "arrays.npz")["bi_gru/validation/accuracy"]
    assert accuracies.shape == (2, 2)
    for record, curve in zip(by_run["bi_gru"], accuracies, strict=True):
        assert record["best_epoch"] == 1 + np.argmax(curve)
        assert record["validation/accuracy"] == pytest.approx(curve.max())
        assert record["parameters"] > 2 * 3 * (3 * 2 + 2 * 2)
        assert 0 <= record["test/accuracy"] <= 1
    assert by_run["most frequent class"][0]["test/accuracy"] == pytest.approx(0.5)


def test_what_has_ended_is_on_disk_before_the_next_ends(data, tmp_path, monkeypatch):
    measured = measurement.measure

    def second_fails(network, *rest):
        if network.name == "rnn":
            raise RuntimeError("interrupted")
        return measured(network, *rest)

    monkeypatch.setattr("experiments.common.text_classification.run.measure", second_fails)
    monkeypatch.setattr("experiments.common.parallel.programs_at_a_time", lambda: 1)
    with pytest.raises(RuntimeError, match="interrupted"):
        sentiment.run(with_(data, cells=("bi_gru", "rnn")), str(tmp_path))
    runs = [record["run"] for record in json.loads((tmp_path / "results.json").read_text())["results"]]
    assert runs[:2] == ["bi_gru", "bi_gru"]
    assert "rnn" not in runs


def test_the_kept_parameters_are_those_of_the_best_epoch_and_the_test_part_is_read_once(data, monkeypatch):
    plan = configs.plan(with_(data))
    texts, told, read_parts = plan.texts, iter([12, 3]), []
    real, validation = measurement.guesses, plan.texts.parts["validation"]

    def scripted(model, params, part):
        read_parts.append((part is validation, jax.tree.map(np.array, params)))
        if part is not validation:
            return real(model, params, part)
        right = next(told)
        return np.where(np.arange(len(part.labels)) < right, part.labels, 1 - part.labels)[None].repeat(2, axis=0)

    monkeypatch.setattr(measurement, "guesses", scripted)
    keys = jax.random.split(jax.random.key(0), 2)
    outcome = measurement.measure(plan.networks[0], texts, keys, lambda o: None, training.Session())
    assert [is_validation for is_validation, _ in read_parts] == [True, True, False]
    assert outcome.fit.best.tolist() == [1, 1]
    jax.tree.map(np.testing.assert_array_equal, read_parts[2][1], read_parts[0][1])
    assert np.ptp(jax.tree.leaves(read_parts[1][1])[0] - jax.tree.leaves(read_parts[0][1])[0]) > 0


def test_the_network_compared_is_the_one_that_validation_chooses():
    def outcome(name, scores):
        fit = training.Fit(None, np.array(scores), None, 0.0)
        return measurement.Outcome(measurement.Network(name, None, 0.0, 2), fit, None)

    found = [outcome("a", [[0.5, 0.3], [0.4, 0.4]]), outcome("b", [[0.3, 0.9], [0.33, 0.9]])]
    assert measurement.chosen(found).network.name == "b"


def test_the_spread_is_of_the_seeds():
    assert summary._spread(np.array([70.0])) == "70.0"
    assert summary._spread(np.array([70.0, 72.0])) == "71.0±1.4"


BAD = [
    ({"data": "nowhere.csv"}, "--data: nowhere.csv: cannot be read: No such file or directory"),
    ({"data": "nowhere"}, "--data: nowhere: must be a folder with one file of texts per class, or a file .csv or .tsv"),
    ({"split": ("80", "20")}, "split_labelled: shares must be 3 numbers, of training, validation, test, got 2"),
    ({"split": ("80", "x", "10")}, "--split must be three numbers, got '80,x,10'"),
    ({"cells": ("lstmm",)}, "unknown cell 'lstmm': known are rnn, irnn"),
    ({"cells": ("bi_lstmm",)}, "unknown cell 'lstmm': known are rnn, irnn"),
    ({"cells": ("gru", "gru")}, "--cells must name each network once, got gru 2 times"),
    ({"cells": ()}, "--cells must name at least one network, got none"),
    ({"pooling": "sum"}, "--pooling must be one of last, mean, max, got 'sum'"),
    ({"min_count": 100}, "no token comes --min_count=100 times in the training part"),
    ({"word_dropout": 1.0}, "--word_dropout must be from 0 to below 1, got 1.0"),
    ({"epochs": 0}, "--epochs must be a positive number, got 0"),
    ({"learning_rate": float("nan")}, "--learning_rate must be a positive number, got nan"),
]


@pytest.mark.parametrize(("fields", "message"), BAD, ids=[str(fields) for fields, _ in BAD])
def test_bad_settings_are_refused_before_anything_is_written(fields, message, data, tmp_path):
    with pytest.raises(UserError, match=re.escape(message)):
        sentiment.run(with_(**{"data": data, **fields}), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_the_command_line_ends_without_a_traceback(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("label,words\na,b\n")
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
