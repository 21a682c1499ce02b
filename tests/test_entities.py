"""Entities in the tagging experiment: files of the user's own split, scores, the dictionary, the CRF, refusals."""

import importlib.util
import json
import random
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments import tagging
from experiments.baselines.seen_entities import SeenEntities
from experiments.common import tag_scores
from experiments.common.flags import UserError
from experiments.common.settings import ModelSettings
from experiments.tagging import measurement, scoring
from experiments.tagging.corpus import load
from rnn_jax import models
from rnn_jax.data import Sentence, TagCorpus, entities

ROOT = Path(__file__).parents[1]
SENTENCES = {
    "train": [
        "Ada/B-PER Lovelace/I-PER wrote/O",
        "New/B-LOC York/I-LOC is/O new/O",
        "she/O met/O Ada/B-PER in/O York/B-LOC",
    ],
    "dev": ["New/O ideas/O of/O Ada/B-PER", "she/O met/O Ada/B-PER in/O York/B-LOC"],
    "test": ["in/O New/B-LOC York/I-LOC Ada/B-PER wrote/O", "Grace/B-PER Hopper/I-PER met/O she/O", "met/O Ada/B-ORG"],
}
TINY = {"word_features": 3, "character_features": 2, "character_units": 2, "hidden_size": 2, "epochs": 2}
TINY |= {"batch_size": 3, "buckets": 1, "seeds": 2, "min_count": 1}


def sentence(text):
    return Sentence(*(tuple(column) for column in zip(*(pair.rsplit("/", 1) for pair in text.split()), strict=True)))


def write(folder, name, texts):
    path = folder / f"{name}.conll"
    lines = ("\n".join(f"{word}\t{tag}" for word, tag in zip(*sentence(text), strict=True)) for text in texts)
    path.write_text("\n\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("conll")
    train, dev, test = (write(folder, name, texts) for name, texts in SENTENCES.items())
    return {"train": train, "validation": dev, "test": test}


def config(files, **fields):
    return tagging.Config(**{**TINY, **files, **fields})


def test_a_users_own_split_is_kept_and_repeats_are_counted(files):
    corpus = load(config(files))
    assert {name: len(each) for name, each in corpus.sentences.items()} == {"training": 3, "validation": 2, "test": 3}
    assert corpus.repeated == {"training": 1, "validation": 0}
    assert corpus.note.startswith("Sentences in a later split, too, and kept as the files have them: 1 of the training")
    assert corpus.source.lines == [
        f"--{name}={files[name]}: CoNLL, UTF-8, tabs between 2 columns: token 1, IOB2 tag 2; {count} sentences"
        for name, count in {"train": 3, "validation": 2, "test": 3}.items()
    ]
    assert corpus.tags == ("B-LOC", "B-PER", "I-LOC", "I-PER", "O")


def test_parts_of_speech_can_be_split_by_the_user_too(tmp_path):
    paths = {}
    for name in ("train", "validation", "test"):
        paths[name] = str(tmp_path / name)
        Path(paths[name]).write_text("".join(f"{i}\t{name}\t_\tX" + "\t_" * 6 + "\n" for i in (1, 2)), encoding="utf-8")
    corpus = load(config(paths))
    assert not corpus.source.entities
    assert corpus.words.tokens == ("train",)
    assert "CoNLL-U, UTF-8, tabs between 10 columns: form 2" in corpus.source.lines[0]


def test_entities_are_those_of_seqevals_strict_mode():
    scheme = pytest.importorskip("seqeval.scheme")
    draw = random.Random(0)
    for _ in range(300):
        tags = draw.choices(["O", "B-A", "I-A", "B-B", "I-B"], k=draw.randint(1, 8))
        expected = [(each.start, each.end, each.tag) for each in scheme.Entities([tags], scheme.IOB2).entities[0]]
        assert entities(tags) == expected


def test_the_dictionary_takes_the_longest_phrase_with_its_most_frequent_type():
    training = [
        sentence("New/B-LOC York/I-LOC Times/O"),
        sentence("New/B-ORG York/I-ORG Times/I-ORG"),
        sentence("Apple/B-ORG Apple/O Apple/O"),
        sentence("Paris/B-PER Paris/B-LOC Paris/B-LOC"),
    ]
    seen = SeenEntities.fit(training, 0.5)
    text = ["New", "York", "Times", "in", "New", "York", "new", "York", "Apple", "Paris", "Paris"]
    tags = ["B-ORG", "I-ORG", "I-ORG", "O", "B-LOC", "I-LOC", "O", "O", "O", "B-LOC", "B-LOC"]
    assert seen.tags(text) == tags  # Apple is an entity in a third of its occurrences
    assert SeenEntities.fit(training, 0.0).tags(["Apple"]) == ["B-ORG"]
    assert SeenEntities.fit(training, 0.5).tags([]) == []


def test_scores_by_hand(files):
    pytest.importorskip("seqeval")
    corpus = load(config(files))
    split, ids = corpus.splits["test"], {tag: i for i, tag in enumerate([*corpus.tags])}
    assert [s.words[0] for s in split.sentences] == ["in", "Grace", "met"]
    right = ["O", "B-LOC", "I-LOC", "B-PER", "O", "B-PER", "I-PER", "O", "O", "O", "O"]  # all but Ada, ORG
    half = ["O", "B-LOC", "O", "B-PER", "O", "I-PER", "I-PER", "O", "O", "O", "B-PER"]  # only Ada in the first sentence
    none = ["O"] * 11
    predicted = np.array([[ids[tag] for tag in tags] for tags in (right, half, none)])
    scores, scored = tag_scores.entity_scores(corpus, split, predicted)
    np.testing.assert_allclose(scores["precision"], [1, 1 / 3, 0])
    np.testing.assert_allclose(scores["recall"], [3 / 4, 1 / 4, 0])
    np.testing.assert_allclose(scores["f1"], [6 / 7, 2 / 7, 0])
    # Unseen: Grace Hopper. Ada is an entity of the training set, though of another type.
    np.testing.assert_allclose(scores["unseen_recall"], [1, 0, 0])
    np.testing.assert_allclose(scores["f1/PER"], [1, 2 / 4, 0])
    np.testing.assert_allclose(scored.values, scores["f1"])
    np.testing.assert_allclose(scored.score(np.array([0, 0, 2])), [8 / 9, 4 / 10, 0])  # the first sentence twice
    assert set(scores) == {"precision", "recall", "f1", "unseen_recall", "f1/LOC", "f1/PER"}


def test_the_baseline_is_the_dictionary_that_validation_chooses(files):
    pytest.importorskip("seqeval")
    corpus = load(config(files))
    (row,) = scoring.ENTITIES.baselines(corpus)
    assert row.title == "dictionary of seen entities"
    assert row.fields == {"least_share": 0.0, "phrases": 4}
    assert row.validation == 0.0
    # New York and Ada of the first sentence; Ada of the third has another type.
    np.testing.assert_allclose(row.test.values["f1"], 2 * 2 / (3 + 4))


def test_a_tag_outside_without_a_word_outside_in_training():
    pytest.importorskip("seqeval")
    parts = {
        "training": [sentence("Ada/B-PER")],
        "validation": [sentence("Ada/B-PER")],
        "test": [sentence("a/O Ada/B-PER")],
    }
    corpus = TagCorpus.of(parts)
    (row,) = scoring.ENTITIES.baselines(corpus)
    assert (row.validation, row.test.values["f1"]) == (0, 1)


@pytest.fixture(scope="module")
def finished(files, tmp_path_factory):
    pytest.importorskip("seqeval")
    folder = tmp_path_factory.mktemp("run")
    tagging.run(config(files, taggers=("characters", "crf")), str(folder), ModelSettings(save_model=True))
    return folder, json.loads((folder / "results.json").read_text(encoding="utf-8"))["results"]


@pytest.mark.extended
def test_a_run_on_entities_records_f1_and_draws_it(finished, capsys):
    folder, records = finished
    assert {path.name for path in folder.iterdir() if path.suffix == ".png"} == {"f1.png", "tags.png"}
    assert [record["run"] for record in records] == ["dictionary of seen entities", *["characters"] * 2, *["crf"] * 2]
    curve = np.load(folder / "arrays.npz")["crf/validation/f1"]
    assert curve.shape == (2, 2)
    for record in records:
        assert record["training/repeated"] == 1
        assert 0 <= record["test/f1"] <= 1
        if record["run"] == "crf":
            assert record["definition"]["crf"] is True
            assert record["validation/f1"] == pytest.approx(curve[record["seed"]].max())


@pytest.mark.extended
def test_the_saved_crf_predicts_the_tags_of_the_run(finished, files):
    folder, records = finished
    loaded = models.load(folder / "models" / "crf")
    record = next(r for r in records if (r["run"], r["seed"]) == ("crf", loaded.notes["seed"]))
    corpus, _ = tagging.plan(config(files))
    params, split = jax.tree.map(lambda leaf: leaf[None], loaded.params), corpus.splits["test"]
    predicted = measurement.predictions(loaded.model, params, split)
    scores = scoring.ENTITIES.test(corpus, predicted).values
    assert [float(scores[name][0]) for name in ("f1", "recall")] == [record["test/f1"], record["test/recall"]]
    tags = loaded.predict([" ".join(sentence.words) for sentence in split.sentences])
    assert [tag for each in tags for tag in each] == [corpus.tags[index] for index in predicted[0]]


@pytest.mark.extended
def test_only_the_crf_has_parameters_between_tags(files):
    characters, crf = (network.trainer for network in tagging.plan(config(files, taggers=("characters", "crf")))[1])
    tags = 5
    assert crf.parameters == characters.parameters + tags * (tags + 2)


BAD = [
    ({"test": None}, {}, "--train, --validation and --test must be three files, got no --test"),
    ({"data": "folder"}, {}, "--train, --validation and --test replace --data"),
    ({}, {"train": ["a/O b/O"]}, "train.conll: the training set must hold at least one entity, got only tags O"),
    ({}, {"test": ["a/O b/O"]}, "train.conll: the test set must hold at least one entity, got only tags O"),
    ({}, {"test": []}, "test.conll: must hold at least one sentence, got none"),
    ({}, {"validation": ["a/NOUN"]}, "line 1: the tag must be O, B-TYPE or I-TYPE, got 'NOUN'"),
    ({"min_count": 9}, {}, "--min_count=9: Vocabulary.of: no ordinary token occurs min_count = 9 times"),
    ({"train": "nowhere"}, {}, "--train: nowhere: cannot be read: No such file"),
]


@pytest.mark.parametrize(("fields", "other", "message"), BAD, ids=[message for *_, message in BAD])
def test_bad_files_are_rejected_before_anything_is_written(fields, other, message, files, tmp_path):
    given = {**files, **{name: write(tmp_path, name, texts) for name, texts in other.items()}, **fields}
    with pytest.raises(UserError, match=re.escape(message)):
        tagging.run(config(given), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_files_of_two_formats_are_rejected(files, tmp_path):
    path = tmp_path / "a.conllu"
    path.write_text("1\ta\t_\tX" + "\t_" * 6, encoding="utf-8")
    with pytest.raises(UserError, match="--train, --validation and --test must be of one format, got --train="):
        load(config({**files, "test": str(path)}))


def test_a_missing_seqeval_is_reported_with_the_command_to_install_it(files, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=re.escape('F1 of entities needs seqeval: pip install "seqeval>=1.2.2"')):
        tagging.plan(config(files))


@pytest.mark.extended
def test_a_torn_file_ends_the_program_with_one_line(files, tmp_path):
    path = tmp_path / "torn.txt"
    path.write_text("Ada\tB-PER\nLove", encoding="utf-8")
    flags = [f"--{name}={path if name == 'validation' else given}" for name, given in files.items()]
    done = subprocess.run(
        [sys.executable, "-m", "experiments.tagging", *flags, f"--workdir={tmp_path / 'run'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    error = done.stderr.strip()
    assert error.startswith(f"error: --validation: {path}")
    assert error.endswith("line 2: must have 2 columns with tabs between them, got 1: 'Love'")
    assert len(error.splitlines()) == 1
