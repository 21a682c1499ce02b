"""The character language model: the n-gram baseline, what a run writes, what it refuses."""

import collections
import itertools
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments import char_lm
from experiments.baselines.ngram import NGram
from experiments.char_lm import config as configs
from experiments.char_lm import measurement, summary
from experiments.common import evidence
from experiments.common.flags import UserError
from experiments.common.settings import ModelSettings
from rnn_jax import Dropout, RecurrentDropout, models, training

ROOT = Path(__file__).parents[1]


def test_a_bigram_by_hand():
    # ab twice, ba and bc once: D_2 = 2 / (2 + 2). Each letter follows one other: D_1 = 3 / 3, p_1 = p_0 = 1/3.
    model = NGram.fit(np.array([0, 1, 0, 1, 2]), 3, 2)
    a, b, c = 0, 1, 2
    for (history, token), expected in {
        (a, b): (2 - 0.5) / 2 + 0.5 * 1 / 2 / 3,
        (b, a): (1 - 0.5) / 2 + 0.5 * 2 / 2 / 3,
        (b, c): (1 - 0.5) / 2 + 0.5 * 2 / 2 / 3,
        (b, b): 0.5 * 2 / 2 / 3,
        (c, a): 1 / 3,  # nothing was seen after c
    }.items():
        assert model.probabilities(np.array([history, token]))[0] == pytest.approx(expected)
    assert model.loss(np.array([a, b, c])) == pytest.approx(-(math.log(0.75 + 1 / 12) + math.log(0.25 + 1 / 6)) / 2)


def kneser_ney(ids, size, n):
    """The same with dictionaries, one probability at a time; Chen & Goodman 1999, equation 18 and its recursion."""
    counts = {n: collections.Counter(zip(*(ids[i:] for i in range(n)), strict=False))}
    for order in range(n - 1, 0, -1):
        counts[order] = collections.Counter(gram[1:] for gram in counts[order + 1])
    discounts = {}
    for order, grams in counts.items():
        histogram = collections.Counter(grams.values())
        discounts[order] = histogram[1] / (histogram[1] + 2 * histogram[2]) if histogram[1] else 0.5

    def p(token, history, order):
        if order == 0:
            return 1 / size
        history = history[len(history) - order + 1 :]
        after = {gram: count for gram, count in counts[order].items() if gram[:-1] == history}
        lower = p(token, history, order - 1)
        if not after:
            return lower
        kept = max(after.get((*history, token), 0) - discounts[order], 0)
        return (kept + discounts[order] * len(after) * lower) / sum(after.values())

    return lambda token, history: p(token, tuple(history), min(n, len(history) + 1))


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_probabilities_are_kneser_neys_and_sum_to_one(n):
    rng = np.random.default_rng(n)
    size, ids, new = 4, rng.integers(0, 3, 60), rng.integers(0, 4, 12)  # id 3 does not occur in what is counted
    model, expected = NGram.fit(ids, size, n), kneser_ney(ids.tolist(), size, n)
    got = model.probabilities(new)
    for i in range(1, len(new)):
        history = new[max(0, i - n + 1) : i].tolist()
        assert got[i - 1] == pytest.approx(expected(new[i], history), rel=1e-9)
    for history in itertools.product(range(size), repeat=max(1, n - 1)):
        each = [model.probabilities(np.array([*history, token]))[-1] for token in range(size)]
        assert sum(each) == pytest.approx(1)
        assert min(each) > 0


def test_an_n_gram_model_refuses_what_it_cannot_count():
    with pytest.raises(ValueError, match="5-grams need at least 5 ids, got 4"):
        NGram.fit(np.zeros(4, int), 2, 5)
    with pytest.raises(ValueError, match="a vocabulary of 10000 has too many 5-grams"):
        NGram.fit(np.zeros(9, int), 10_000, 5)


TEXT = "".join(np.random.default_rng(0).choice(list("abc \n"), 2000)) + "abcé"
TINY = char_lm.Config(
    split=("70", "15", "15"), hidden_size=4, segment=8, batch_size=4, steps=4, checkpoints=2, layers=2, cell="gru"
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return str(path)


def with_(data, **fields):
    return char_lm.Config(**{**vars(TINY), "data": data, **fields})


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    char_lm.run(with_(data, prompt="ab", seed=1), str(folder), ModelSettings(save_model=True))
    (record,) = json.loads((folder / "results.json").read_text(encoding="utf-8"))["results"]
    return folder, record


def test_writes_its_files(finished):
    folder, _ = finished
    names = {"config.json", "results.json", "arrays.npz", "parameters.npz", "loss.png", "summary.html"}
    assert {p.name for p in folder.iterdir() if p.is_file()} == names
    assert (folder / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert "5-gram" in (folder / "summary.html").read_text(encoding="utf-8")


def test_the_record_describes_the_run(finished):
    folder, record = finished
    assert record["finished"]
    assert (record["run"], record["seed"], record["steps"]) == ("gru", 0, 4)
    assert record["vocabulary"] == 5 + 4
    assert [record[f"{part}/unknown_characters"] for part in ("training", "validation", "test")] == [0, 0, 1]
    assert [record[f"{part}/characters"] for part in ("training", "validation", "test")] == [1403, 300, 301]
    for model in ("", "5-gram/", "unigram/"):
        for part in ("validation", "test"):
            nats, bits = (record[f"{model}{part}/{unit}_per_character"] for unit in ("nats", "bits"))
            assert bits == pytest.approx(nats / math.log(2))
            assert 1.5 < nats < 3  # five characters at random: log 5
    assert record["sample"].startswith("ab")
    arrays = np.load(folder / "arrays.npz")
    assert arrays["gru/training/loss"].shape == (1, 4)
    assert arrays["gru/validation/step"].tolist() == [2, 4]
    assert record["validation/nats_per_character"] == pytest.approx(arrays["gru/validation/loss"].min())
    assert record["best_step"] == 2 * (1 + np.argmin(arrays["gru/validation/loss"]))
    parameters = np.load(folder / "parameters.npz")
    assert sum(leaf.size for leaf in parameters.values()) == record["parameters"]


def test_the_saved_model_is_the_trained_one(finished, data):
    folder, record = finished
    loaded = models.load(folder / "models" / "gru")
    _, key = jax.random.split(jax.random.key(1))
    assert loaded.definition.write(loaded.params, ["ab"], key) == [record["sample"]]
    streams = configs.plan(with_(data)).streams["test"]
    params = jax.tree.map(lambda leaf: leaf[None], loaded.params)
    loss = training.evaluate(loaded.model.network, streams, params)["loss"][0]
    assert float(loss) == record["test/nats_per_character"]
    assert loaded.notes["config"]["cell"] == "gru"
    assert loaded.notes["validation"] == record["validation/nats_per_character"]


def test_the_doctor_reads_the_run(finished):
    gru = evidence.read(str(finished[0]))["gru"][0]
    assert gru.loss.shape == (4,)
    assert gru.baseline == pytest.approx(finished[1]["unigram/test/nats_per_character"])


def measure(plan, config):
    return measurement.measure(plan, config, lambda evaluations: None, training.Session())


@pytest.mark.extended
def test_the_kept_parameters_are_the_best_on_validation_and_tested_once(data, monkeypatch):
    config = with_(data, checkpoints=4)
    seen, losses = [], [3.0, 1.0, 2.0, 1.5, 7.0]

    def scripted(model, streams, params):
        seen.append(jax.tree.map(np.array, params))
        return {"loss": np.array([losses[len(seen) - 1]])}

    monkeypatch.setattr(training, "evaluate", scripted)
    outcome = measure(configs.plan(config), config)
    assert (outcome.evaluations.validation, outcome.evaluations.best_index, outcome.test) == (losses[:4], 1, 7.0)
    for params in (outcome.evaluations.best, seen[4]):
        jax.tree.map(np.testing.assert_array_equal, params, seen[1])
    assert len(seen) == 5
    assert any(np.any(a != b) for a, b in zip(*map(jax.tree.leaves, (seen[1], seen[3])), strict=True))


def test_a_training_that_diverges_at_once_is_reported_like_any_other(data, monkeypatch):
    fresh = training.init

    def spoilt(trainer, keys):
        state = fresh(trainer, keys)
        return state._replace(params=jax.tree.map(lambda leaf: leaf * np.nan, state.params))

    monkeypatch.setattr(training, "init", spoilt)
    outcome = measure(configs.plan(with_(data)), with_(data))
    assert outcome.diverged.startswith("seed 0 diverged at step 1: loss nan")
    assert math.isnan(outcome.evaluations.validation[0])
    plan, config = configs.plan(with_(data)), with_(data)
    record = summary.record(plan, config, measurement.baselines(plan), outcome.evaluations, outcome)
    assert (record["diverged"], record["diverged_at"]) == (True, 1)


def test_dropout_is_in_the_recurrence_and_between_layers(data):
    low, high = configs.plan(with_(data, dropout=0.3)).model.cell.layers
    assert isinstance(low, RecurrentDropout)
    assert isinstance(high, Dropout)
    assert isinstance(high.cell, RecurrentDropout)
    assert (low.rate, high.rate, high.cell.rate) == (0.3, 0.3, 0.3)
    plain = configs.plan(with_(data, dropout=0.0, layers=1)).model.cell
    assert type(plain).__name__ == "GRU"


def test_epochs_and_steps(data):
    plan = configs.plan(with_(data, steps=None, epochs=1.5))
    segments = plan.streams["training"].segments
    assert segments == math.ceil(math.ceil(1402 / 4) / 8)
    assert plan.steps == 2 * math.ceil(1.5 * segments / 2)
    assert configs.plan(with_(data)).steps == 4


def test_the_default_corpus_needs_nothing():
    plan = configs.plan(char_lm.QUICK)
    assert plan.source == "Python's standard library"
    assert len(plan.corpus.training) == 900_000
    assert len(plan.prompt) == configs.PROMPT


BAD = [
    ({"data": "nowhere.txt"}, "--data: nowhere.txt: cannot be read: No such file or directory"),
    (
        {"batch_size": 200},
        "training set with --segment=8: Streams: 200 streams of at least one segment of 8 steps need 1,601 ids,",
    ),
    (
        {"split": ("94", "3", "3")},
        "validation set with --segment=8: Streams: 16 streams of at least one segment of 8 steps need 129 ids, got",
    ),
    ({"split": ("90", "10")}, "split: shares must be 3 numbers, of training, validation, test, got 2"),
    ({"split": ("90", "5", "x")}, "--split must be three numbers, got '90,5,x'"),
    ({"cell": "lstmm"}, "unknown cell 'lstmm': known are rnn, irnn"),
    (
        {"cell": "lru", "dropout": 0.1},
        "--cell=lru with --dropout=0.1 cannot be used: TypeError: RecurrentDropout: cell must be a Split",
    ),
    ({"dropout": 1.0}, "--dropout must be from 0 to below 1, got 1.0"),
    ({"prompt": "abz"}, "--prompt must be of characters that occur in the training set, got 'abz'"),
    ({"prompt": ""}, "--prompt must be of characters that occur in the training set, got ''"),
    ({"steps": 5}, "--steps must be a multiple of --checkpoints 2, got 5"),
    ({"segment": 0}, "--segment must be positive, got 0"),
    ({"epochs": float("nan")}, "--epochs must be a positive number, got nan"),
]


@pytest.mark.parametrize(("fields", "message"), BAD, ids=[str(fields) for fields, _ in BAD])
def test_bad_settings_are_refused_before_anything_is_written(fields, message, data, tmp_path):
    with pytest.raises(UserError, match=re.escape(message)):
        char_lm.run(with_(**{"data": data, **fields}), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.extended
def test_a_binary_file_ends_the_program_without_a_traceback(tmp_path):
    path = tmp_path / "latin.txt"
    path.write_bytes("zwölf".encode("latin-1"))
    done = subprocess.run(
        [sys.executable, "-m", "experiments.char_lm", f"--data={path}", f"--workdir={tmp_path / 'run'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.strip().startswith(f"error: --data: {path}, line 1: must be a UTF-8 text, got byte 0xf6 at 2")
    assert "Traceback" not in done.stderr


def test_the_first_line_states_what_was_read(data):
    first, second = round(0.7 * len(TEXT)), round(0.85 * len(TEXT))
    sizes = f"in this order {first:,} training, {second - first:,} validation, {len(TEXT) - second:,} test"
    assert (
        configs.plan(with_(data)).note
        == f"{data}: UTF-8, {len(set(TEXT[:first]))} characters in the vocabulary; {sizes}"
    )
