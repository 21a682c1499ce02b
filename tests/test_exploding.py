"""The experiment on exploding gradients: its files, closed forms, steps of divergence, rejected configs."""

import json
import math
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments import exploding
from experiments.common import evidence
from experiments.common.flags import UserError
from experiments.common.records import divergence_fields
from experiments.exploding.summary import critical_gain
from rnn_jax import training

ROOT = Path(__file__).parents[1]
# A ReLU network of gain 20 overflows within 20 steps of a sequence.
TINY = exploding.Config(
    gains=("20", "0.5"),
    activations=("relu",),
    clippings=("none", "adaptive"),
    length=20,
    hidden_size=4,
    batch_size=3,
    steps=2,
    seeds=2,
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("run")
    exploding.run(TINY, str(folder))
    return folder, json.loads((folder / "results.json").read_text(encoding="utf-8"))["results"]


@pytest.mark.extended
def test_writes_its_files(finished: tuple[Path, list]) -> None:
    folder, records = finished
    figures = {"boundary.png", "training.png"}
    assert {p.name for p in folder.iterdir() if p.is_file()} == figures | {
        "config.json",
        "results.json",
        "arrays.npz",
        "summary.html",
    }
    for figure in figures:
        assert (folder / figure).read_bytes().startswith(b"\x89PNG")
    assert len(records) == 2 * 2 * (2 * 3 + 1 * 2)  # gains, seeds; matrices x activations, and trainings
    assert [r["gain"] for r in records if r["run"].startswith("relu/none")] == [0.5, 0.5, 20, 20]


@pytest.mark.extended
def test_a_linear_orthogonal_network_has_the_slope_ln_g_and_meets_its_bound(finished: tuple[Path, list]) -> None:
    selected = [r for r in finished[1] if r["run"].startswith("initial/orthogonal/linear")]
    assert len(selected) == 4
    for record in selected:
        for field in ("before/slope", "theory/bound", "theory/at_rest"):
            assert record[field] == pytest.approx(math.log(record["gain"]), abs=1e-4)
        assert record["before/largest_singular_value"] == pytest.approx(record["gain"], rel=1e-5)


@pytest.mark.extended
def test_no_slope_exceeds_the_bound_and_a_gaussian_matrix_has_another(finished: tuple[Path, list]) -> None:
    selected = [r for r in finished[1] if r["run"].startswith("initial/") and r["gain"] == 0.5]
    slopes, bounds = (np.array([float(r[f]) for r in selected]) for f in ("before/slope", "theory/bound"))
    known = np.isfinite(slopes)  # a ReLU network of four units may be dead
    assert known.sum() > 8
    assert (slopes[known] < bounds[known] + 1e-3).all()
    gaussian = [r for r in selected if r["matrix"] == "gaussian"]
    assert all(r["before/largest_singular_value"] != pytest.approx(0.5, rel=1e-3) for r in gaussian)


@pytest.mark.extended
def test_the_step_of_divergence_is_that_of_the_arrays(finished: tuple[Path, list]) -> None:
    folder, records = finished
    arrays = np.load(folder / "arrays.npz")
    trained = [r for r in records if "clipping" in r]
    diverged = [r for r in trained if r["diverged_at"] is not None]
    assert diverged
    assert all(r["gain"] == 20 for r in diverged)
    for record in trained:
        curves = [arrays[f"{record['run']}/training/{name}"][record["seed"]] for name in ("loss", "grad_norm")]
        finite = np.isfinite(curves).all(axis=0)
        assert record["diverged_at"] == (None if finite.all() else int(np.argmin(finite)) + 1)
        assert (record["end_loss"] is None) == (record["diverged_at"] is not None)
        for name in record["not_finite"] or ():
            norms = arrays[f"{record['run']}/training/grad_norms/{name}"][record["seed"]]
            assert not np.isfinite(norms[record["diverged_at"] - 1])


@pytest.mark.extended
def test_clipped_percent_is_that_of_the_clipping(finished: tuple[Path, list]) -> None:
    by_clipping = {
        clipping: [r["clipped_percent"] for r in finished[1] if r.get("clipping") == clipping]
        for clipping in TINY.clippings
    }
    assert max(by_clipping["none"]) == 0
    assert max(by_clipping["adaptive"]) == 100


@pytest.mark.extended
def test_the_doctor_reads_every_run(finished: tuple[Path, list]) -> None:
    folder, records = finished
    runs = evidence.read(str(folder))
    assert set(runs) == {r["run"] for r in records}
    assert runs["relu/adaptive/gain 0.5"][1].loss.shape == (2,)
    assert runs["initial/gaussian/tanh/gain 0.5"][0].now.reach.shape == (20,)


def test_divergence_counts_steps_from_one_and_none_means_finite() -> None:
    loss = np.array([[1.0, 2.0, 3.0], [1.0, np.inf, np.nan], [1.0, 2.0, 3.0], [np.nan] * 3])
    norm = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, np.nan], [1.0, 2.0, np.inf], [1.0] * 3])
    history = training.StepMetrics(loss, norm, {}, loss > 0)
    fields = [divergence_fields(history, seed) for seed in range(4)]
    assert [each["diverged_at"] for each in fields] == [None, 2, 3, 1]
    assert [each["diverged"] for each in fields] == [False, True, True, True]


def test_slope_is_zero_at_the_critical_gain() -> None:
    def gain(slope: Callable[[float], float]) -> float:
        return critical_gain({g: {"tanh": [{"before/slope": slope(g)}]} for g in (0.5, 0.8, 1.6, 3.0)}, "tanh")

    assert gain(lambda g: math.log(g / 1.3)) == pytest.approx(1.3)
    assert math.isnan(gain(lambda _: -0.1))


BAD_CONFIGS = [
    ({"gains": ("1", "two")}, "--gains must be positive numbers, at least one, none twice, got '1,two'"),
    ({"gains": ("1", "-2")}, "--gains must be positive numbers"),
    ({"gains": ("1", "1.0")}, "none twice, got '1,1.0'"),
    ({"gains": ()}, "--gains must be positive numbers, at least one"),
    ({"activations": ("linear",)}, "--activations: unknown 'linear': known are tanh, relu"),
    (
        {"clippings": ("none", "nrom")},
        "--clippings: unknown 'nrom': known are none, norm, value, adaptive",
    ),
    ({"clippings": ("norm",)}, "--clippings must include none, for comparison, got 'norm'"),
    ({"hidden_size": 0}, "--hidden_size must be positive, got 0"),
    ({"seeds": 0}, "--seeds must be positive, got 0"),
    ({"steps": -1}, "--steps must be positive, got -1"),
    ({"length": 2}, "--length must be at least 3, got 2"),
    ({"clip_norm": float("nan")}, "--clip_norm must be a positive number, got nan"),
    ({"learning_rate": float("inf")}, "--learning_rate must be a positive number, got inf"),
]


@pytest.mark.parametrize(("fields", "message"), BAD_CONFIGS, ids=[str(fields) for fields, _ in BAD_CONFIGS])
def test_bad_configs_are_rejected_before_anything_is_written(fields: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        exploding.run(exploding.Config(**fields), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.extended
def test_the_command_line_reports_a_bad_flag_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "experiments.exploding", "--gains=1,x", f"--workdir={tmp_path / 'run'}"]
    completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert completed.returncode == 2
    assert completed.stderr.strip() == ("error: --gains must be positive numbers, at least one, none twice, got '1,x'")
