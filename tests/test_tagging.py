"""The tagging experiment: corpus, baseline, scores, the files of a run, rejected flags."""

import json
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments import tagging
from experiments.baselines import most_frequent_tag
from experiments.baselines.most_frequent_tag import MostFrequentTag
from experiments.common import tag_scores
from experiments.common.flags import UserError
from experiments.common.settings import ModelSettings
from experiments.tagging import measurement
from experiments.tagging.corpus import load
from rnn_jax import models
from rnn_jax.data import Sentence, Vocabulary, python_roles
from rnn_jax.data.tag_corpus import UNKNOWN_TAG

ROOT = Path(__file__).parents[1]
SENTENCES = {
    "train": [
        "the/D dog/N runs/V",
        "the/D run/N",
        "a/D dog/N can/A run/V",
        "run/V",
        "the/D can/N",
        "both/D dogs/N run/V",
    ],
    "dev": ["the/D cat/N runs/V fast/R", "run/V", "a/D run/N"],
    "test": ["both/D dogs/N run/V", "the/D cats/N can/A jump/V very/R high/R"],
}
TINY = tagging.Config(
    word_features=3, character_features=2, character_units=2, hidden_size=2, epochs=2, batch_size=3, buckets=2, seeds=2
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("treebank")
    for end, sentences in SENTENCES.items():
        lines = []
        for sentence in sentences:
            for number, pair in enumerate(sentence.split(), 1):
                word, tag = pair.split("/")
                lines.append("\t".join([str(number), word, "_", tag, *"_" * 6]))
            lines.append("")
        (folder / f"tiny-{end}.conllu").write_text("\n".join(lines), encoding="utf-8")
    return str(folder)


def with_(data, **fields):
    return tagging.Config(**{**vars(TINY), "data": data, **fields})


def test_the_corpus_knows_the_training_set_only(data):
    corpus = load(with_(data, min_count=2, buckets=2))
    # "both dogs run" is in the test set, "run" in the validation set; both are removed from the training set.
    assert corpus.repeated == {"training": 2, "validation": 0}
    assert [len(corpus.sentences[name]) for name in ("training", "validation", "test")] == [4, 3, 2]
    assert corpus.words.tokens == ("the", "can", "dog", "run")
    assert corpus.tags == ("A", "D", "N", "V")
    assert set(corpus.characters.tokens) == set("thedogrunsac")
    test = corpus.splits["test"]
    assert [len(examples.steps["words"]) for examples in test.buckets] == [3, 6]
    assert test.words == ["both", "dogs", "run", "the", "cats", "can", "jump", "very", "high"]
    assert test.gold.tolist() == [1, 2, 3, 1, 2, 0, 3, UNKNOWN_TAG, UNKNOWN_TAG]
    (long,) = test.buckets[1:]
    unknown = Vocabulary.UNKNOWN
    assert np.asarray(long.steps["words"])[:, 0].tolist() == [
        *corpus.words.encode(["the"]),
        unknown,
        *corpus.words.encode(["can"]),
        unknown,
        unknown,
        unknown,
    ]
    assert long.steps["characters"].shape == (6, 1, 16)
    assert long.whole.tolist() == [6]
    assert [len(each) for each in load(with_(data, sentences=1, min_count=1, buckets=1)).sentences.values()] == [
        1,
        1,
        1,
    ]


def test_most_frequent_tag_of_seen_words_and_of_the_endings_of_unseen_ones():
    training = [
        Sentence(("run", "run", "can", "Rome", "7"), ("V", "N", "A", "P", "C")),
        Sentence(("run", "quickly"), ("V", "R")),
    ]
    training.append(Sentence(("the",) * 11, ("D",) * 11))  # too frequent to count for unseen words
    words = ["run", "can", "slowly", "Paris", "42", "xyz"]
    by_ending = MostFrequentTag.fit(training, 3)
    assert by_ending.tags(words) == ["V", "A", "R", "P", "C", "V"]
    assert MostFrequentTag.fit(training, None).tags(words) == ["V", "A", "V", "V", "V", "V"]
    assert MostFrequentTag.fit(training[2:], 3).tags(["xyz"]) == ["D"]  # no word is rare
    chosen = most_frequent_tag.taggers(training, [Sentence(("slowly", "Paris"), ("R", "P"))])
    assert [tagger.longest for tagger in chosen.values()] == [None, 1]
    assert [tagger.accuracy([Sentence(("Paris", "run"), ("P", "V"))]) for tagger in chosen.values()] == [0.5, 1]


def test_scores_by_hand(data):
    corpus = load(with_(data, min_count=1, buckets=1))
    _, d, n, v = range(4)
    predicted = np.array([[d, n, v, d, n, n, v, v, v], [d, d, d, d, d, d, d, d, d]])
    scores, scored = tag_scores.word_scores(corpus, predicted)
    np.testing.assert_allclose(scores["accuracy"], [6 / 9, 2 / 9])
    np.testing.assert_allclose(scored.values, scores["accuracy"])
    assert scored.items == len(corpus.splits["test"].sentences)
    # Unseen: both, dogs, cats, jump, very, high. Seen with several tags: run, can.
    np.testing.assert_allclose(scores["unseen_accuracy"], [4 / 6, 1 / 6])
    np.testing.assert_allclose(scores["ambiguous_accuracy"], [1 / 2, 0])
    f1 = np.array([scores[f"f1/{tag}"] for tag in corpus.tags])
    np.testing.assert_allclose(f1[:, 0], [0, 1, 2 * 2 / (3 + 2), 2 * 2 / (4 + 2)])
    np.testing.assert_allclose(f1[:, 1], [0, 2 * 2 / (9 + 2), 0, 0])


def test_predictions_are_in_the_order_of_the_words(data, monkeypatch):
    corpus, networks = tagging.plan(with_(data))
    split = corpus.splits["validation"]
    monkeypatch.setattr(measurement, "_predict", _word_ids)
    predicted = measurement.predictions(networks[1].trainer.model, np.zeros((2, 1)), split)
    ids = corpus.words.encode(split.words)
    np.testing.assert_array_equal(predicted, [ids, ids])


def _word_ids(model, params, batch):
    del model, params
    return batch.steps["words"].T


def test_networks_differ_in_their_inputs_only(data):
    words, characters, forward = (network.trainer.model for network in tagging.plan(with_(data))[1])
    assert words.word_encoder is None
    assert words.features == 3
    assert characters.features == forward.features == 3 + 2 * 2
    # As many features of each word, from both directions or from one.
    assert words.cell.output_size == characters.cell.output_size == forward.cell.output_size == 4
    assert type(forward.cell.cell).__name__ == "LSTM"
    stacked = tagging.plan(with_(data, layers=2, cell="gru", taggers=("characters",)))[1][0].trainer.model
    assert [layer.input_size for layer in stacked.cell.layers] == [7, 4]


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    tagging.run(with_(data, buckets=1), str(folder), ModelSettings(save_model=True))
    return folder, json.loads((folder / "results.json").read_text(encoding="utf-8"))["results"]


@pytest.mark.extended
@pytest.mark.parametrize("name", ["words", "characters"])
def test_the_saved_model_is_the_trained_one(name, finished, data):
    folder, records = finished
    loaded = models.load(folder / "models" / name)
    record = next(r for r in records if (r["run"], r["seed"]) == (name, loaded.notes["seed"]))
    corpus, _ = tagging.plan(with_(data, buckets=1))
    split = corpus.splits["test"]
    params = jax.tree.map(lambda leaf: leaf[None], loaded.params)
    (predicted,) = measurement.predictions(loaded.model, params, split)
    assert float(np.mean(predicted == split.gold)) == record["test/accuracy"]
    texts = [" ".join(sentence.words) for sentence in split.sentences]
    tags = loaded.predict(texts)
    assert [tag for each in tags for tag in each] == [corpus.tags[index] for index in predicted]
    lines = loaded.definition.lines(texts, tags)
    assert lines[0] == f"{split.words[0]}\t{tags[0][0]}"
    assert lines.count("") == len(texts)


@pytest.mark.extended
def test_writes_its_files(finished):
    folder, _ = finished
    names = {"config.json", "results.json", "arrays.npz", "accuracy.png", "tags.png", "summary.html"}
    assert {p.name for p in folder.iterdir() if p.is_file()} == names
    assert all((folder / name).read_bytes().startswith(b"\x89PNG") for name in ("accuracy.png", "tags.png"))
    assert "most frequent tag, endings" in (folder / "summary.html").read_text(encoding="utf-8")


@pytest.mark.extended
def test_records_hold_each_seed_and_agree_with_the_curves(finished):
    folder, records = finished
    assert [(r["run"], r["seed"]) for r in records] == [
        ("most frequent tag", 0),
        ("most frequent tag, endings", 0),
        *((name, seed) for name in ("words", "characters", "forward") for seed in (0, 1)),
    ]
    arrays = np.load(folder / "arrays.npz")
    for record in records:
        assert record["test/words"] == 9
        assert record["training/removed"] == 2
        assert 9 * record["test/accuracy"] == pytest.approx(round(9 * record["test/accuracy"]))
        if "epochs" in record:
            curve = arrays[f"{record['run']}/validation/accuracy"][record["seed"]]
            assert curve.shape == (2,)
            assert record["validation/accuracy"] == pytest.approx(curve.max())
            assert record["best_epoch"] == 1 + np.argmax(curve)
    assert arrays["words/training/loss"].shape == (2, 2 * 2)


BAD = [
    ({"data": "nowhere"}, "--data: nowhere: no such folder"),
    ({"taggers": ("word",)}, "--taggers: unknown 'word': known are words, characters, forward"),
    ({"taggers": ()}, "--taggers must name at least one and none twice, got ''"),
    ({"taggers": ("words", "words")}, "--taggers must name at least one and none twice, got 'words,words'"),
    ({"cell": "lstmm"}, "unknown cell 'lstmm'"),
    ({"min_count": 9}, "--min_count=9: Vocabulary.of: no ordinary token occurs min_count = 9 times"),
    ({"dropout": 1.0}, "--dropout must be from 0 to below 1, got 1.0"),
    ({"learning_rate": 0.0}, "--learning_rate must be a positive number, got 0.0"),
    ({"sentences": 0}, "--sentences must be positive, got 0"),
    ({"epochs": 0}, "--epochs must be positive, got 0"),
]


@pytest.mark.parametrize(("fields", "message"), BAD, ids=[str(fields) for fields, _ in BAD])
def test_bad_flags_are_rejected_before_anything_is_written(fields, message, data, tmp_path):
    with pytest.raises(UserError, match=re.escape(message)):
        tagging.run(with_(**{"data": data, **fields}), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_folder_without_a_split_or_with_all_sentences_in_the_test_set_is_rejected(data, tmp_path):
    (tmp_path / "x-train.conllu").write_text("1\ta\t_\tX" + "\t_" * 6, encoding="utf-8")
    with pytest.raises(UserError, match=r"must hold one file \*-dev\.conllu, got none"):
        load(with_(str(tmp_path)))
    for end in ("dev", "test"):
        (tmp_path / f"x-{end}.conllu").write_text("1\ta\t_\tX" + "\t_" * 6, encoding="utf-8")
    with pytest.raises(UserError, match="the training set has no sentence that is not in a later split"):
        load(with_(str(tmp_path)))
    (tmp_path / "y-train.conllu").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match=r"must hold one file \*-train\.conllu, got x-train\.conllu, y-train\.conllu"):
        load(with_(str(tmp_path)))


def roles(line, monkeypatch):
    monkeypatch.setattr(python_roles, "standard_library", lambda characters: line)
    return [sentence for split in python_roles.source_code().values() for sentence in split]


def test_the_roles_of_tokens(monkeypatch):
    sentences = roles("x = f(a, key=g.h(1), b='s')  # comment\n", monkeypatch)
    words = ("x", "=", "f", "(", "a", ",", "key", "=", "g", ".", "h", "(", "1", ")", ",", "b", "=", "'s'", ")")
    tags = "ASSIGNED OP CALLED OP READ OP ARGUMENT OP READ OP METHOD OP NUMBER OP OP ARGUMENT OP STRING OP"
    assert [(s.words, " ".join(s.tags)) for s in sentences] == [(words, tags)]
    (line,) = roles("def f(x): return x.y\n", monkeypatch)
    assert line.tags == ("KEYWORD", "DEFINED", "OP", "READ", "OP", "OP", "KEYWORD", "READ", "OP", "ATTRIBUTE")
    (line,) = roles("from a.b import c as d\n", monkeypatch)
    assert line.tags == ("KEYWORD", "IMPORTED", "OP", "IMPORTED", "KEYWORD", "IMPORTED", "KEYWORD", "IMPORTED")
    assert len(roles("a = 1\nb\na = 1\nc = (\n", monkeypatch)) == 1  # too short, repeated, cut off


@pytest.mark.extended
def test_a_malformed_file_ends_the_program_without_a_traceback(data, tmp_path):
    for path in Path(data).iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "tiny-dev.conllu").write_text("1\tword\tX\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "experiments.tagging", f"--data={tmp_path}", f"--workdir={tmp_path / 'run'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.strip().startswith(
        f"error: --data: {tmp_path / 'tiny-dev.conllu'}, line 1: must have 10 columns"
    )
    assert "Traceback" not in done.stderr
