"""The translation experiment: what a run writes, its baselines and scores, summaries, given splits, refusals."""

import collections
import importlib.util
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments import translation
from experiments.baselines import nearest_sentence
from experiments.common import pair_texts, text_scores
from experiments.common.flags import UserError
from experiments.common.pair_texts import Corpus
from experiments.common.settings import ModelSettings
from experiments.translation import config as configs
from experiments.translation import measurement, summary
from rnn_jax import models
from rnn_jax.data import PairSplits, Referenced, sentence, with_references, words

ROOT = Path(__file__).parents[1]
TINY = {
    "pairs": 60,
    "validation_sources": 10,
    "test_sources": 12,
    "embedding": 4,
    "hidden_size": 6,
    "readout": 5,
    "batch_size": 32,
    "buckets": 1,
    "epochs": 2,
    "beam": 2,
    "cell": "gru",
}
needs_scores = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("sacrebleu", "rouge_score"))),
    reason="sacrebleu and rouge-score are not installed",
)


def tiny(**fields):
    return translation.Config(**{**TINY, **fields})


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "pairs.txt"
    nouns, verbs = ["dog", "cat", "man", "child", "king"], ["runs", "sleeps", "eats"]
    german = dict(
        zip(nouns + verbs, ["Hund", "Katze", "Mann", "Kind", "König", "läuft", "schläft", "isst"], strict=True)
    )
    lines = [
        f"The {noun} {verb} {n} times.\t{german[noun]} {german[verb]} {n}-mal.\tattribution"
        for noun in nouns
        for verb in verbs
        for n in range(2, 7)
    ]
    lines += ["That dog runs 2 times.\tHund läuft 2-mal.", "One two three four five six seven eight nine.\tZu lang."]
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    translation.run(tiny(seeds=2, own_words=0.2), str(folder), ModelSettings(save_model=True))
    return folder, json.loads((folder / "results.json").read_text(encoding="utf-8"))


@pytest.mark.extended
@pytest.mark.parametrize("name", ["general", "none"])
def test_the_saved_model_is_the_trained_one(name, finished):
    folder, results = finished
    loaded = models.load(folder / "models" / name)
    record = next(r for r in results["results"] if (r["run"], r["seed"]) == (name, loaded.notes["seed"]))
    corpus, _ = configs.plan(tiny(own_words=0.2))
    params = jax.tree.map(lambda leaf: leaf[None], loaded.params)
    again = measurement.translate_test_set(corpus, loaded.definition, params)
    assert again.fields[0]["test/nats_per_token"] == record["test/nats_per_token"]
    by_source = dict(zip(("".join(item.source) for item in corpus.tested), again.translations[0], strict=True))
    sources = list(by_source)
    assert loaded.predict(sources) == ["".join(by_source[source]) for source in sources]
    assert again.fields[0]["test/exact"] == record["test/exact"]


@pytest.mark.extended
def test_writes_its_files(finished):
    folder, results = finished
    names = {"config.json", "results.json", "arrays.npz", "loss.png", "length.png", "alignment.png", "summary.html"}
    assert {path.name for path in folder.iterdir() if path.is_file()} == names
    assert all((folder / name).read_bytes().startswith(b"\x89PNG") for name in names if name.endswith("png"))
    assert set(results) == {"config", "environment", "results"}


@pytest.mark.extended
def test_the_records_describe_the_run(finished):
    folder, results = finished
    records = {(record["run"], record["seed"]): record for record in results["results"]}
    runs = ["copy", "most frequent", "nearest"]
    assert set(records) == {(run, 0) for run in runs} | {(run, s) for run in ("general", "none") for s in (0, 1)}
    for record in records.values():
        assert record["pairs/training"] == 38
        assert record["test/sources"] == record["test/sources_with_unseen_targets"] == 12
        assert record["test/bleu"] is record["test/rougeL"] is None
        assert 0 <= record["test/exact"] <= 1
        assert sum(group["items"] for group in record["test/by_length"]) == 12
    for name in ("general", "none"):
        first, second = records[name, 0], records[name, 1]
        assert first["validation/nats_per_token"] != second["validation/nats_per_token"]
        curve = np.load(folder / "arrays.npz")[f"{name}/validation/nats_per_token"]
        assert curve.shape == (2, 2)
        assert first["validation/nats_per_token"] == curve[0].min()
        assert first["best_epoch"] == 1 + np.argmin(curve[0])
        assert 1 < first["test/nats_per_token"] < 4
        assert first["steps"] == 4
        assert len(first["examples"]) == 10


@pytest.mark.extended
@needs_scores
def test_a_corpus_of_sentences(file):
    corpus, _ = configs.plan(tiny(data=file, pairs=None, min_count=2, max_words=7))
    assert (corpus.read, corpus.kept) == (77, 76)
    assert "hund" in corpus.source.tokens  # German to English by default
    assert "the" in corpus.target.tokens
    both = [
        item
        for item in with_references([pair for split in corpus.splits for pair in split])
        if len(item.references) > 1
    ]
    assert [corpus.text(item.source) for item in both] == ["hund läuft 2-mal."]
    training = {source for source, _ in corpus.splits.training}
    assert not training & {source for source, _ in corpus.splits.test}
    counts = collections.Counter(word for source, _ in corpus.splits.training for word in source)
    assert set(corpus.source.tokens) == {word for word, count in counts.items() if count >= 2}
    for least in range(3, 12):  # for some of these it matters that the other splits are not counted
        corpus, _ = configs.plan(tiny(data=file, pairs=None, min_count=least, max_words=7))
        assert set(corpus.source.tokens) == {word for word, count in counts.items() if count >= least}
    swapped, _ = configs.plan(tiny(data=file, pairs=None, columns=("1", "2"), min_count=1, max_words=7))
    assert "hund" in swapped.target.tokens


@needs_scores
def test_scores_equal_sacrebleu_with_all_references():
    import sacrebleu

    items = [
        Referenced(("a",), (("he", "is", "a", "big", "man", "."), ("he", "is", "tall", "."))),
        Referenced(("b",), (("she", "runs", "very", "fast", "today", "."),)),
    ]
    translations = [("he", "is", "tall", "."), ("she", "runs", "very", "slowly", "today", ".")]
    score = text_scores.score(items, translations, sentence)
    expected = sacrebleu.corpus_bleu(
        ["he is tall.", "she runs very slowly today."],
        [["he is a big man.", "she runs very fast today."], ["he is tall.", None]],
        lowercase=True,
    )
    assert (score["bleu"], score["exact"]) == (pytest.approx(expected.score), 0.5)
    references = [[sentence(each) for each in item.references] for item in items]
    _, signature = text_scores.bleu([*map(sentence, translations)], references)
    assert signature.startswith("nrefs:var|case:lc|")
    scored = text_scores.scored(items, [translations, translations[::-1]], sentence)
    assert scored.values[0] == pytest.approx(expected.score / 100)
    drawn = [0, 1, 1]  # as if the second source stood twice in the test set
    again = text_scores.score([items[i] for i in drawn], [translations[i] for i in drawn], sentence)
    assert scored.score(np.array(drawn))[0] == pytest.approx(again["bleu"] / 100)
    np.testing.assert_allclose(text_scores.scored(items, [translations] * 2, None).values, [0.5, 0.5])
    perfect = text_scores.score(items, [items[0].references[0], items[1].references[0]], sentence)
    assert perfect == {"bleu": pytest.approx(100), "rouge1": 1, "rouge2": 1, "rougeL": 1, "exact": 1}


@needs_scores
def test_rouge_is_that_of_lin_2004_for_every_script_with_the_best_reference():
    from rouge_score.rouge_scorer import RougeScorer

    text, reference = "The cat, it ran on a mat.", "a cat sat on the mat"
    expected = {name: score.fmeasure for name, score in RougeScorer(text_scores.ROUGE).score(reference, text).items()}
    # 4 of 7 and 6 words are common, no two of them in a row; in order are cat, on, mat.
    assert expected == pytest.approx({"rouge1": 10 / 13, "rouge2": 0, "rougeL": 6 / 13})
    assert text_scores.rouge([text], [[reference]]) == pytest.approx(expected)
    assert text_scores.rouge([text, "x"], [["y", reference], ["y"]])["rouge1"] == pytest.approx(5 / 13)
    # All but a to z and 0 to 9 is dropped by the package's own tokenizer.
    assert text_scores.rouge(["Die Tür läuft"], [["die Wör läuft!"]])["rouge1"] == pytest.approx(2 / 3)
    assert text_scores.rouge(["кот бежит"], [["Кот спит"]])["rouge1"] == pytest.approx(1 / 2)


def test_baselines():
    training = [(("guten", "tag"), ("hello",)), (("guten", "abend"), ("evening",)), (("hallo",), ("hello",))]
    test = [(("schönen", "abend"), ("evening",)), (("hallo", "du"), ("hi",)), (("x",), ("hello",)), (("x",), ("hi",))]
    corpus = Corpus(PairSplits(training, [], test), None, None, "x", [], True, 3, 3, 1, {})
    made = nearest_sentence.translations(training, [item.source for item in corpus.tested][:2], by_words=True)
    assert made["copy"] == [("schönen", "abend"), ("hallo", "du")]
    assert made["lead"] == [("schönen",), ("hallo",)]  # as many words as the mean of the training targets has
    assert made["most frequent"] == [("hello",), ("hello",)]
    assert made["nearest"] == [("evening",), ("hello",)]
    assert corpus.tested[2].references == (("hello",), ("hi",))
    assert corpus.unseen == [1]  # one reference of x is known


def test_groups_by_length_hold_every_item():
    items = [Referenced(("a",) * n, (("b",) * n,)) for n in [1, 1, 1, 2, 3, 5, 8, 9, 9, 10]]
    groups = text_scores.by_length(items, [item.references[0] for item in items], None)
    assert sum(group["items"] for group in groups) == 10
    assert [group["exact"] for group in groups] == [1.0] * len(groups)
    assert all(a["longest"] < b["shortest"] for a, b in itertools.pairwise(groups))
    assert text_scores.score([], [], sentence) == dict.fromkeys(("bleu", "rouge1", "rouge2", "rougeL", "exact"))
    (whole,) = text_scores.by_length(items[:3], [item.references[0] for item in items[:3]], None)
    assert (whole["shortest"], whole["longest"], whole["items"]) == (1, 1, 3)


def news(count, words=24):
    """Texts and headlines: the headline is the subject, verb and object of a text that begins with them."""
    subjects, verbs, objects = ["Mayor", "Board", "Union", "Court"], ["backs", "blocks", "delays"], ["budget", "bridge"]
    for n in range(count):
        who, does, what = subjects[n % 4], verbs[n % 3], objects[n % 2]
        yield f"{who} {does} the {what} {n}, " + "as was expected " * (words // 3), f"{who} {does} {what} {n}"


@pytest.fixture(scope="module")
def headlines(tmp_path_factory):
    """A file for each split; the validation set has a text of the test set, the training set a long one."""
    folder = tmp_path_factory.mktemp("news")
    lines = [f"{text}\t{headline}" for text, headline in news(60)]
    long = "\t".join(next(news(1, words=90)))
    splits = {"train": [*lines[:40], lines[41].replace(",", "!"), long], "validation": [*lines[40:48], lines[50]]}
    for name, split in {**splits, "test": [*lines[48:], long]}.items():
        (folder / name).write_text("\n".join(split), encoding="utf-8")
    return {name: str(folder / name) for name in ("train", "validation", "test")}


def headline_corpus(**fields):
    return pair_texts.load(tiny(columns=("1", "2"), max_words=40, pairs=None, min_count=1, **fields), None, "dates")


@needs_scores
def test_a_headline_is_scored_by_rouge_and_compared_with_the_lead(headlines):
    corpus = headline_corpus(data=headlines["train"])
    assert (corpus.name, corpus.read, corpus.kept) == (headlines["train"], 42, 41)
    lead = next(row.test for row in measurement.baselines(corpus) if row.title == "lead")
    assert {len(each) for each in lead.translations[0]} == {4}
    # "Mayor backs the budget" for "Mayor backs budget 7": 3 of 4 words, 1 of 3 pairs, all 3 in order.
    assert {name: lead.mean(f"test/{name}") for name in text_scores.ROUGE} == pytest.approx(
        {"rouge1": 3 / 4, "rouge2": 1 / 3, "rougeL": 3 / 4}
    )
    assert 0 < lead.mean("test/bleu") < 75
    assert corpus.lines == [
        f"{headlines['train']}: UTF-8, tab-separated, source in column 1, target in column 2",
        "Split at random; all pairs of a source are in one split, none twice",
        "42 pairs read, 41 used: 19 training, 10 validation, 12 test",
    ]


def test_a_given_split_is_kept_and_its_repeated_sources_are_reported(headlines):
    corpus = headline_corpus(**headlines)
    texts = {
        name: [line.split("\t") for line in Path(path).read_text(encoding="utf-8").split("\n")]
        for name, path in headlines.items()
    }
    expected = [[(words(a), words(b)) for a, b in each] for each in texts.values()]
    assert [corpus.splits.training, corpus.splits.validation] == [expected[0][:-1], expected[1]]
    assert corpus.splits.test == expected[2]  # with the text of more than --max_words, which training leaves out
    assert corpus.repeated == {"training": 1, "validation": 1}  # the first one but for punctuation
    assert (corpus.read, corpus.kept) == (64, 63)
    form = "UTF-8, tab-separated, source in column 1, target in column 2"
    assert corpus.lines == [
        f"--train={headlines['train']}: {form}",
        f"--validation={headlines['validation']}: {form}",
        f"--test={headlines['test']}: {form}",
        "By source without punctuation. Pairs in a later split, too, and kept as the files have them: 1 of the "
        "training set, 1 of the validation set.",
        "64 pairs read, 63 used: 41 training, 9 validation, 13 test",
    ]
    fewer = pair_texts.load(tiny(**headlines, columns=("1", "2"), max_words=40, pairs=20), None, "dates")
    assert [len(split) for split in fewer.splits] == [20, 9, 13]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"test": None}, "--train, --validation and --test must be three files, got no --test"),
        ({"data": "x"}, "--train, --validation and --test replace --data"),
        ({"test": "nowhere"}, "--test: nowhere: cannot be read: No such file or directory"),
        ({"columns": ("1", "3")}, "--train: {train}, line 1: must have 3 tab-separated columns, got 2"),
        ({"max_words": 3}, "--train: {train}: no pair has at most 3 words a side"),
        ({"min_count": 10_000}, "--train: "),
    ],
)
def test_a_bad_split_is_refused_before_anything_is_written(fields, message, headlines, tmp_path):
    with pytest.raises(UserError, match=re.escape(message.format(**headlines))):
        translation.run(tiny(**{**headlines, "columns": ("1", "2"), **fields}), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.extended
@needs_scores
def test_headlines_are_written_for_a_given_split(headlines, tmp_path, capsys):
    config = tiny(**headlines, columns=("1", "2"), max_words=40, attention=("general",), min_count=1, beam=1)
    translation.run(config, str(tmp_path))
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["results"]
    assert [each["run"] for each in results] == ["copy", "lead", "most frequent", "nearest", "general"]
    for record in results:
        assert 0 <= record["test/rougeL"] <= record["test/rouge1"] <= 1
        assert record["test/rougeL"] >= record["test/rouge2"]
        assert (record["training/repeated"], record["validation/repeated"]) == (1, 1)
    printed = " ".join(capsys.readouterr().out.split())
    assert f"--test={headlines['test']}: UTF-8, tab-separated" in printed
    assert "ROUGE-L on the test set: attention: general" in printed
    strongest = max(results[:-1], key=lambda record: record["test/rougeL"])
    assert f"strongest baseline: {strongest['run']} {100 * strongest['test/rougeL']:.1f}." in printed
    assert re.search(r"BLEU: attention: general [+-][\d.]+ points \(95 % interval .* to .*\) beside \w+: ", printed)


def test_sources_of_the_longest_quarter_are_aligned():
    items = [Referenced(("a",) * (1 + n % 10), ((),)) for n in range(100)]
    places = summary.aligned(items)
    assert len(places) == 3
    assert all(len(items[place].source) >= 8 for place in places)
    assert summary.aligned(items[:1]) == [0]


BAD = [
    ({"attention": ("generall",)}, "--attention: unknown 'generall': known are general, dot, additive, none"),
    ({"attention": ("none", "none")}, "--attention must name at least one and none twice, got 'none,none'"),
    ({"hidden_size": 5}, "--hidden_size must be even, for two directions of one size, got 5"),
    ({"cell": "grru"}, "unknown cell 'grru': known are"),
    ({"epochs": 0}, "--epochs must be positive, got 0"),
    ({"learning_rate": float("inf")}, "--learning_rate must be a positive number, got inf"),
    ({"dropout": 1.0}, "--dropout must be from 0 to below 1, got 1.0"),
    ({"own_words": 1.5}, "--own_words must be from 0 to 1, got 1.5"),
    ({"length_penalty": -1.0}, "--length_penalty must be a number of at least 0, got -1.0"),
    ({"pairs": 20}, "--data: split_by_source: 20 different sources leave none for training after 10"),
    ({"pairs": 100_000}, "--data: there are 73,049 dates"),
    ({"data": "nowhere.txt"}, "--data: nowhere.txt: cannot be read: No such file or directory"),
]


@pytest.mark.parametrize(("fields", "message"), BAD, ids=[str(fields) for fields, _ in BAD])
def test_bad_settings_are_refused_before_anything_is_written(fields, message, tmp_path):
    with pytest.raises(UserError, match=re.escape(message)):
        translation.run(tiny(**fields), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"columns": ("1",)}, "--columns must be two numbers, as 2,1, got '1'"),
        ({"columns": ("a", "b")}, "--columns must be two numbers, as 2,1, got 'a,b'"),
        ({"columns": ("4", "1")}, "line 1: must have 4 tab-separated columns, got 3"),
        ({"max_words": 1}, "no pair has at most 1 words a side"),
    ],
)
def test_bad_settings_of_a_file_are_refused(fields, message, file):
    with pytest.raises(UserError, match=message):
        configs.plan(tiny(data=file, **fields))


def test_a_missing_sacrebleu_is_reported_with_the_command_to_install_it(file, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=re.escape('BLEU needs sacrebleu: pip install "sacrebleu>=2.4"')):
        configs.plan(tiny(data=file))


@needs_scores
def test_a_missing_rouge_score_is_reported_with_the_command_to_install_it(monkeypatch):
    present = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "rouge_score" else present(name))
    with pytest.raises(UserError, match=re.escape('ROUGE needs rouge-score: pip install "rouge-score>=0.1.2"')):
        text_scores.check_installed()


@pytest.mark.extended
def test_a_malformed_file_ends_the_program_without_a_traceback(tmp_path):
    path = tmp_path / "bad.txt"
    path.write_text("Hi.\tHallo!\nno tab\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "experiments.translation", f"--data={path}", f"--workdir={tmp_path / 'run'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert done.stderr.strip().startswith(f"error: --data: {path}, line 2: must have 2 tab-separated columns, got 1")
    assert "Traceback" not in done.stderr
