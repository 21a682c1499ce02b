"""The experiment on Newton's method: its files, what its records hold, rejected configs."""

import json
import re

import jax
import numpy as np
import pytest

from experiments import newton
from experiments.common import evidence
from experiments.common.flags import UserError
from experiments.newton import cost
from experiments.newton.config import plan
from rnn_jax import targets

TINY = newton.Config(
    cells=("gru",),
    gains=("1", "8"),
    lengths=("20", "50"),
    hidden_size=4,
    length=10,
    steps=4,
    compared=2,
    seeds=2,
    batch_size=3,
    compile_for=("v5e",),
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(targets, "find", _not_installed)
        newton.run(TINY, str(folder))
    return folder, json.loads((folder / "results.json").read_text(encoding="utf-8"))["results"]


def _not_installed(target):
    raise ImportError(f"compiling for {target} needs libtpu")


@pytest.mark.extended
def test_writes_its_files(finished):
    folder, _ = finished
    figures = {"exponent.png", "cost.png", "accuracy.png"}
    assert {path.name for path in folder.iterdir() if path.is_file()} == figures | {
        "config.json",
        "results.json",
        "arrays.npz",
        "summary.html",
    }
    for figure in figures:
        assert (folder / figure).read_bytes().startswith(b"\x89PNG")


@pytest.mark.extended
def test_counts_of_every_network_and_length(finished):
    counts = [record for record in finished[1] if "looped" in record]
    assert {(r["network"], r["length"], r["seed"]) for r in counts} == {
        (network, length, seed)
        for network in ("gain 1", "gain 8", "trained")
        for length in (20, 50)
        for seed in range(2)
    }
    assert all(r["measured"] <= 10 and not r["looped"] for r in counts if r["network"] != "gain 8")
    assert max(r["exponent"] for r in counts if r["network"] == "gain 1") < -0.2
    assert min(r["exponent"] for r in counts if r["network"] == "gain 8") > -0.2


@pytest.mark.extended
def test_trainings_by_newton_have_the_losses_of_those_by_scan(finished):
    folder, _ = finished
    arrays = np.load(folder / "arrays.npz")
    scan, by_newton = (arrays[f"gru/{engine}/training/loss"] for engine in ("Scan", "Newton"))
    assert (scan.shape, by_newton.shape) == ((2, 4), (2, 2))
    np.testing.assert_allclose(by_newton, scan[:, :2], rtol=1e-5)
    assert evidence.read(str(folder))["gru/Newton"][1].loss.shape == (2,)


@pytest.mark.extended
def test_launches_of_newton_are_those_of_its_iterations(monkeypatch):
    monkeypatch.setattr(targets, "find", targets.TARGETS.get)
    monkeypatch.setattr(targets, "compile_for", lambda f, *args, target: _compiled(f, args))
    monkeypatch.setattr(cost, "WAYS", {name: cost.WAYS[name] for name in ("Hoisted", "Newton")})
    config = newton.Config(lengths=("300",), hidden_size=4, compile_for=("h200",))
    hoisted, by_newton = cost.count_launches(config, plan(config), pytest.fail)
    assert hoisted["launches"] > 2 * 300
    assert by_newton["launches"] < 300 * 10


def _compiled(function, arguments):
    return jax.jit(function).lower(*arguments).compile()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"gains": ("1", "two")}, "--gains must be positive numbers, at least one, none twice, got '1,two'"),
        ({"gains": ()}, "--gains must be positive numbers, at least one"),
        ({"lengths": ("2",)}, "--lengths must be integers of at least 3, at least one, none twice, got '2'"),
        ({"lengths": ("10.5",)}, "--lengths must be integers of at least 3, at least one, none twice, got '10.5'"),
        ({"lengths": ("20", "20")}, "none twice, got '20,20'"),
        ({"compile_for": ("v5",)}, "--compile_for: unknown 'v5': known are v5e, v6e, v4, h200"),
        ({"cells": ("grru",)}, "unknown cell 'grru'"),
    ],
)
def test_bad_configs_are_rejected_before_anything_is_written(fields, message, tmp_path):
    with pytest.raises(UserError, match=re.escape(message)):
        newton.run(newton.Config(**fields), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()
