"""Anomalous rows of a table with categories: ids, detectors by hand, a run on generated traffic, refusals."""

import contextlib
import dataclasses
import io
import json

import jax
import numpy as np
import pytest

from experiments import table_anomaly
from experiments.baselines import table_rows
from experiments.common.flags import UserError
from experiments.common.settings import ModelSettings
from experiments.table_anomaly.config import load
from experiments.table_anomaly.connections import COLUMNS, SERVICES, generate_connections
from rnn_jax import models
from rnn_jax.data import RowTokens, read_rows

pytestmark = pytest.mark.usefixtures("one_thread")


def written(path, count=600, seed=0):
    """Writes generated connections as a CSV file."""
    rows = [COLUMNS, *generate_connections(count, seed)]
    path.write_text("\n".join(map(",".join, rows)), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return written(tmp_path_factory.mktemp("data") / "traffic.csv")


TINY = table_anomaly.Config(
    label="label",
    categories=("protocol", "service"),
    numbers=("bytes",),
    cells=("gru",),
    hidden_size=16,
    window=8,
    epochs=15,
    learning_rate=0.01,
    seeds=1,
)


def test_training_rows_are_normal_and_the_first_line_says_what_was_read(data):
    read = load(dataclasses.replace(TINY, data=data))
    assert read.note.startswith(
        f"{data} (UTF-8): categories protocol, service, numbers bytes, normal is label=normal; "
    )
    assert "1 cells of unseen categories" in read.note
    assert len(read.test) == len(read.anomalous) == 180
    pairs = {tuple(row[:2]) for row in read.training}
    assert all(service in SERVICES[protocol] for protocol, service in pairs)
    assert read.tokens == RowTokens.of(("protocol", "service"), ("bytes",), read.training)
    # The last row's protocol has an id of its own, that no training row has.
    ids = read.tokens.encode(read.test)
    assert ids[-1, 0] == 0
    assert read.tokens.encode(read.training)[:, 0].min() == 1


def test_numbers_have_ids_for_below_above_and_missing():
    tokens = RowTokens.of((), ("x",), [[str(i)] for i in range(100)], bins=4)
    ids = tokens.encode([["-1"], ["0"], ["30"], ["99"], ["100"], [""]])[:, 0]
    assert ids.tolist() == [0, 1, 2, 4, 5, 6]
    assert tokens.sizes == (7,)


def test_baselines_by_their_formulas():
    training, ids = np.array([[0, 2], [0, 2], [1, 3]]), np.array([[0, 2], [0, 3]])
    sizes = (2, 2)
    got = table_rows.frequencies(training, ids, sizes)
    np.testing.assert_allclose(got, -np.log([3 / 5 * 3 / 5, 3 / 5 * 2 / 5]))
    got = table_rows.neighbours(training, ids, sizes)
    np.testing.assert_allclose(got, -np.log([3 / 5 * 3 / 4, 3 / 5 * 1 / 4]))


def test_a_score_is_the_probability_of_the_cells_given_those_before(data):
    """Of every scored row, from any window; a change of a row changes no score before it."""
    read, detectors = table_anomaly.plan(dataclasses.replace(TINY, data=data))
    made = detectors["gru"]
    params = made.model.init(jax.random.key(0))
    ids = read.tokens.encode(read.test[:20])
    scores = made.predict(params, read.test[:20]).columns
    assert np.isnan(scores[:4]).all()
    assert not np.isnan(scores[4:]).any()
    flat = np.concatenate([[sum(read.tokens.sizes)], ids[4:12].ravel()])  # the window that scores rows 8 to 11
    _, logits = made.model.apply(params, flat[:-1, None], key=None)
    expected = -np.asarray(jax.nn.log_softmax(logits))[np.arange(24), 0, flat[1:]].reshape(8, 3)
    np.testing.assert_allclose(scores[8:12], expected[4:], rtol=1e-4)
    changed = [list(row) for row in read.test[:20]]
    changed[10][1] = "gopher"
    other = made.predict(params, changed).columns
    np.testing.assert_array_equal(other[4:10], scores[4:10])
    assert not np.isclose(other[10, 1], scores[10, 1])


@pytest.mark.extended
def test_unusual_combinations_are_found_and_the_saved_model_scores_a_file(data, tmp_path):
    config = dataclasses.replace(TINY, data=data)
    with contextlib.redirect_stdout(io.StringIO()):
        table_anomaly.run(config, str(tmp_path / "run"), ModelSettings(save_model=True))
    records = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))["results"]
    aucs = {record["run"]: record["test/auc"] for record in records}
    assert list(aucs) == ["isolation forest", "frequencies", "neighbours", "gru"]
    assert records[-1]["reference"] == "neighbours"
    assert records[-1]["test/auc_margin"] == pytest.approx(aucs["gru"] - aucs["neighbours"])
    assert records[-1]["test/auc_margin_low"] < records[-1]["test/auc_margin"]
    assert aucs["gru"] > 0.9 > aucs["isolation forest"] > 0.7 > aucs["frequencies"]
    loaded = models.load(tmp_path / "run" / "models" / "gru")
    read = loaded.definition.read(data)
    lines = loaded.definition.lines(read, loaded.predict(read))
    assert lines[-1].startswith("601\t")
    assert lines[-1].endswith("alarm\tprotocol=icmp")
    (tmp_path / "other.csv").write_text("protocol,bytes\ntcp,1\n", encoding="utf-8")
    with pytest.raises(ValueError, match="'service' comes 0 times"):
        loaded.definition.read(tmp_path / "other.csv")


BAD = [
    ({"data": None}, "--label names what a file holds: give --data=FILE, too"),
    ({"label": None}, "--data needs --label=COLUMN"),
    ({"categories": (), "numbers": ()}, "columns by --categories or --numbers"),
    ({"window": 1}, "--window must be at least 2, got 1"),
    ({"numbers": ("protocol",), "categories": ()}, "line 2: 'protocol' must be a finite number, got '"),
    ({"categories": ("port",)}, "'port' comes 0 times"),
    ({"categories": ("service", "service")}, "columns must be different"),
    ({"normal": "benign"}, "label=benign; --normal"),
    ({"false_alarms": 1000.0}, "--false_alarms must be below 1000, got 1000.0"),
    ({"cells": ("lstmm",)}, "unknown cell 'lstmm'"),
]


@pytest.mark.parametrize(("fields", "message"), BAD)
def test_bad_settings_are_refused_before_anything_is_written(fields, message, data, tmp_path):
    with pytest.raises(UserError, match=message):
        table_anomaly.run(dataclasses.replace(TINY, **{"data": data, **fields}), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_without_a_file_the_rows_are_generated():
    read = load(table_anomaly.Config())
    assert read.note.startswith("Generated connections: categories protocol, service, numbers duration, bytes, normal")
    assert (len(read.training), len(read.test), read.anomalous.sum()) == (2667, 1800, 199)


def test_rows_are_read_with_their_lines(tmp_path):
    path = tmp_path / "log.tsv"
    path.write_text("Level\tms\tok\nINFO\t1\ty\n\nWARN\t\tn\n", encoding="utf-8")
    assert read_rows(path, ("level",), ("ms",), "ok") == ([2, 4], [["INFO", "1"], ["WARN", ""]], ["y", "n"])
