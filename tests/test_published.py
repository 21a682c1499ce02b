"""The table of published results: each has its evidence, its number is that of the record, and the counts are right."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from experiments.long_dependency.result import Result

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "experiments" / "results"
PAGE = RESULTS / "published" / "README.md"
VERDICTS = ("reproduced", "corrected", "not reached")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith(("| result |", "| --- |"))
]
RECORDS = {}  # row by the file that it names
for row in ROWS:
    RECORDS |= {(PAGE.parent / path).resolve(): row for path in re.findall(r"\((\.\./[^)]*\.json)\)", row[-1])}


def test_counts_are_those_of_the_rows():
    counts = [sum(row[-2] == verdict for row in ROWS) for verdict in VERDICTS]
    assert sum(counts) == len(ROWS) >= 30
    text = ", ".join(f"{count} {verdict}" for count, verdict in zip(counts, VERDICTS, strict=True))
    for page in (PAGE, ROOT / "experiments" / "README.md"):
        assert f"{len(ROWS)} results: {text}" in " ".join(page.read_text(encoding="utf-8").split())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_evidence_exists(row):
    tests = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row[-1])
    files = re.findall(r"\((\.\./[^)]*)\)", row[-1])
    assert tests or files
    for path, name in tests:
        assert f"\ndef {name}(" in (ROOT / path).read_text(encoding="utf-8")
    for path in files:
        assert (PAGE.parent / path).is_file()


def shown(quantity, value):
    """A number as the table shows it."""
    formats = {"sequences": "{:,.0f}", "mse": "{:.1e}" if value < 1e-3 else "{:.3f}", "loss": "{:.4f}"}
    if quantity == "accuracy":
        return f"{100 * value:.1f}"
    return formats[quantity].format(value).replace("e-0", "e-")


PUBLISHED = [
    path
    for path in sorted((RESULTS / "long_dependency").glob("*.json"))
    if json.loads(path.read_text(encoding="utf-8"))["result"]["published"]
]


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_numbers_and_verdicts_are_those_of_the_records(path):
    assert path in RECORDS, f"add a row for this record to {PAGE.relative_to(ROOT)}, and count it"
    fields, row = json.loads(path.read_text(encoding="utf-8"))["result"], RECORDS[path]
    paper, result, (_, published, ours, verdict, _) = fields["published"], Result.read(fields, None), row
    assert paper["source"].removesuffix(", theorem 1") in row[0].replace("H&S", "Hochreiter & Schmidhuber 1997")
    if "left" in paper:
        assert (verdict == "reproduced") == (result.beyond_baseline == paper["left"])
        loss, accuracy = (np.median(result.last(metric)) for metric in ("loss", "accuracy"))
        assert f"{loss / result.baseline:.2f}" in ours or shown("accuracy", accuracy) in ours
        return
    quantity, value = paper["quantity"], paper["value"]
    measured = result.sequences_until_solved if quantity == "sequences" else np.median(result.last(quantity))
    met = measured >= value if quantity == "accuracy" else measured <= value
    assert (verdict != "not reached") == met
    assert shown(quantity, value) in published
    assert shown(quantity, measured) in ours


def scores(folder, metric, scale):
    """Mean over seeds by run."""
    records = json.loads((RESULTS / folder / "results.json").read_text(encoding="utf-8"))["results"]
    runs = dict.fromkeys(record["run"] for record in records)
    return {run: scale * np.mean([r[metric] for r in records if r["run"] == run and metric in r]) for run in runs}


REAL = [
    ("LSTM, JSB", "music", "test/nats_per_step", 1, ["lstm"], "{:.2f}"),
    ("GRU, JSB chorales (Bai", "music", "test/nats_per_step", 1, ["gru"], "{:.2f}"),
    ("GRU, JSB chorales (Chung", "music", "test/nats_per_step", 1, ["gru"], "{:.2f}"),
    ("tanh, JSB", "music", "test/nats_per_step", 1, ["rnn"], "{:.2f}"),
    ("Gated units", "music", "test/nats_per_step", 1, ["lstm", "gru", "rnn"], "{:.2f}"),
    ("Bidirectional", "tagging", "test/accuracy", 100, ["characters", "forward"], "{:.2f}"),
    ("Characters", "tagging", "test/unseen_accuracy", 100, ["characters", "words"], "{:.2f}"),
    ("A vector", "translation", "test/bleu", 1, ["general", "none"], "{:.1f}"),
]


@pytest.mark.parametrize(("start", "folder", "metric", "scale", "runs", "form"), REAL, ids=[each[0] for each in REAL])
def test_numbers_of_real_data_are_those_of_the_records(start, folder, metric, scale, runs, form):
    (row,) = (row for row in ROWS if row[0].startswith(start))
    assert (RESULTS / folder / "results.json").resolve() in RECORDS
    means = scores(folder, metric, scale)
    for run in runs:
        assert form.format(means[run]) in row[2]
