"""The experiment on dynamics over training: its files, what its records and arrays hold, rejected configs."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments import dynamics
from experiments.common import evidence
from experiments.common.flags import UserError
from experiments.dynamics.measurement import measured_lags
from rnn_jax import tasks
from rnn_jax.diagnostics import fit_decay

TINY = dynamics.Config(
    cells=("irnn",),
    length=8,
    hidden_size=4,
    batch_size=3,
    steps=2,
    checkpoints=2,
    sequences=2,
    seeds=2,
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("run")
    dynamics.run(TINY, str(folder))
    return folder, json.loads((folder / "results.json").read_text(encoding="utf-8"))["results"]


@pytest.mark.extended
def test_writes_its_files(finished: tuple[Path, list]) -> None:
    folder, records = finished
    figures = {"spectrum.png", "training.png"}
    assert {p.name for p in folder.iterdir() if p.is_file()} == figures | {
        "config.json",
        "results.json",
        "arrays.npz",
        "summary.html",
    }
    for figure in figures:
        assert (folder / figure).read_bytes().startswith(b"\x89PNG")
    places = [(r["run"], r["seed"], r["step"]) for r in records]
    assert places == [(c, seed, step) for c in TINY.cells for seed in range(2) for step in range(3)]


@pytest.mark.extended
def test_records_agree_with_the_arrays(finished: tuple[Path, list]) -> None:
    folder, records = finished
    arrays = np.load(folder / "arrays.npz")
    assert arrays["irnn/training/loss"].shape == (2, 2)
    np.testing.assert_array_equal(arrays["irnn/dynamics/lag"], [1, 2, 5, 7])
    assert arrays["irnn/dynamics/lyapunov"].shape == (2, 3, 4)
    for record in records:
        exponents = arrays[f"{record['run']}/dynamics/lyapunov"][record["seed"], record["step"]]
        logs = arrays[f"{record['run']}/dynamics/log_singular_values"][record["seed"], record["step"]]
        assert float(record["lyapunov/largest"]) == pytest.approx(np.max(exponents))
        assert record["lyapunov/memories"] == np.sum(exponents > -1 / 7)
        assert [float(record[f"log_singular_value/lag {k}"]) for k in (1, 2, 5, 7)] == pytest.approx(logs[:, 0])
        assert 0 <= float(record["reach/horizon"]) <= 7
        if moment := {0: "before", 2: "after"}.get(record["step"]):
            norms = arrays[f"{record['run']}/{moment}/last_step/total"][record["seed"]]
            share = fit_decay(norms).kept_share  # NaN if the gradient is too small to measure
            assert float(record["reach/kept_share"]) == pytest.approx(share, nan_ok=True)


@pytest.mark.extended
def test_training_changes_what_is_measured(finished: tuple[Path, list]) -> None:
    exponents = np.load(finished[0] / "arrays.npz")["irnn/dynamics/lyapunov"]
    assert (exponents[:, 0] != exponents[:, 1]).any()
    assert (exponents[:, 1] != exponents[:, 2]).any()


@pytest.mark.extended
def test_an_irnn_at_initialisation_keeps_what_its_relus_let_through(finished: tuple[Path, list]) -> None:
    # W_h is the identity: every exponent is 0, or -inf if a unit is off; the largest singular value is 1.
    start = [r for r in finished[1] if r["run"] == "irnn" and r["step"] == 0]
    exponents = np.load(finished[0] / "arrays.npz")["irnn/dynamics/lyapunov"][:, 0]
    assert set(np.unique(np.where(np.isfinite(exponents), np.round(exponents, 5) + 0.0, -np.inf))) <= {0, -np.inf}
    on = [r for r in start if float(r["lyapunov/largest"]) == pytest.approx(0, abs=1e-5)]
    assert on
    for record in on:
        assert record["log_singular_value/lag 7"] == pytest.approx(0, abs=1e-5)


@pytest.mark.extended
def test_the_doctor_reads_every_run(finished: tuple[Path, list]) -> None:
    runs = evidence.read(str(finished[0]))
    assert {name: set(seeds) for name, seeds in runs.items()} == {name: {0, 1} for name in TINY.cells}
    one = runs["irnn"][1]
    assert one.before.reach.shape == one.now.reach.shape == (8,)
    assert set(one.now.saturation) == {"max"}


def test_measured_lags_end_with_the_dependency() -> None:
    assert measured_lags(tasks.Adding(100)) == [1, 2, 5, 10, 20, 50, 99]
    assert measured_lags(tasks.Adding(11)) == [1, 2, 5, 10]


BAD_CONFIGS = [
    ({"cells": ("rnn", "lstmm")}, "unknown cell 'lstmm': known are "),
    ({"cells": ("rnn", "rnn")}, "--cells must name at least one and none twice, got 'rnn,rnn'"),
    ({"cells": ()}, "--cells must name at least one"),
    ({"task": "digits"}, "--task must be one of adding, adding_1997, "),
    ({"task": "adding_1997", "length": 19}, "--length 19: adding_1997: length must be an integer of at least 20"),
    ({"length": 2}, "--length 2: the dependency must be at least 3 steps long, got 1"),
    ({"steps": 10, "checkpoints": 4}, "--steps must be a multiple of --checkpoints 4, got 10"),
    ({"checkpoints": 0}, "--checkpoints must be positive, got 0"),
    ({"sequences": 0}, "--sequences must be positive, got 0"),
    ({"sequences": 65}, "--sequences must be at most 64, got 65"),
    ({"learning_rate": float("nan")}, "--learning_rate must be a positive number, got nan"),
]


@pytest.mark.parametrize(("fields", "message"), BAD_CONFIGS, ids=[str(fields) for fields, _ in BAD_CONFIGS])
def test_bad_configs_are_rejected_before_anything_is_written(fields: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        dynamics.run(dynamics.Config(**fields), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()
