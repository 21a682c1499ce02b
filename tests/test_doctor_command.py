"""The doctor's command: it reads a run from disk, prints the causes, and rejects corrupt files."""

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments import doctor, gradient_norms
from experiments.common import evidence
from experiments.common.flags import UserError
from rnn_jax import diagnostics

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    config = gradient_norms.Config(
        tasks=("adding",), cells=("rnn",), length=30, hidden_size=4, batch_size=3, steps=60, seeds=2, learning_rate=1e25
    )
    gradient_norms.run(dataclasses.replace(config, inits="default"), str(folder))
    return folder


@pytest.mark.extended
def test_a_run_on_disk_is_read_as_it_was_written(finished):
    (seeds,) = evidence.read(str(finished)).values()
    assert list(seeds) == [0, 1]
    e = seeds[1]
    assert (e.baseline, e.dependency, e.solved, e.steps) == (pytest.approx(1 / 6), 29, False, 60)
    assert e.optimizer == "Adam(learning_rate=1e+25)"
    assert e.clip == "ClipByNorm(limit=1.0)"
    assert {"cell.w_h", "readout.params.kernel"} < set(e.grad_norms)
    assert e.grad_norms["cell.w_h"].shape == e.grad_norm.shape == e.clipped.shape == (60,)
    assert e.before.reach.shape == (30,)
    assert set(e.before.not_finite) == {*e.grad_norms, "inputs"}
    (tanh_shares,) = e.before.saturation.values()
    assert 0 <= tanh_shares.low < 1
    assert 0.5 < e.before.loss < 10


def test_a_run_without_training_is_diagnosed_by_its_first_measurements(tmp_path):
    record = {"run": "fresh", "seed": 0, "dependency": 29}
    (tmp_path / "results.json").write_text(json.dumps({"results": [record]}), encoding="utf-8")
    np.savez(tmp_path / "arrays.npz", **{"fresh/before/last_step/total": 0.1 ** np.arange(30.0)[None]})
    fresh = evidence.read(str(tmp_path))["fresh"][0]
    assert [finding.cause for finding in diagnostics.doctor(fresh)] == ["vanishing gradient"]


def test_the_command_prints_the_cause_and_writes_it_to_the_folder(finished):
    done = command(f"--workdir={finished}")
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 100
    output = " ".join(done.stdout.split())
    assert "adding/rnn/orthogonal, 2 seeds" in output
    assert "learning rate too high: 2 of 2 seeds" in output
    assert "remedy: a tenth of the learning rate of Adam(learning_rate=1e+25)" in output
    assert "learning rate too high → diverged: 2 of 2 seeds" in output
    assert "0 of 1 runs are healthy" in output
    records = json.loads((finished / "doctor.json").read_text(encoding="utf-8"))["results"]
    first = records[0]
    assert (first["run"], first["seed"], first["severity"]) == ("adding/rnn/orthogonal", 0, "broken")
    assert {r["cause"]: r["follows"] for r in records if r["seed"] == 1} == {
        "learning rate too high": None,
        "diverged": "learning rate too high",
    }


def test_healthy_runs_and_baselines_are_one_line_each(tmp_path, capsys):
    # The arrays hold no measurement of the n-gram model.
    records = [{"run": "lstm", "seed": seed, "baseline": 1.0} for seed in range(2)]
    records.append({"run": "n-gram", "seed": 0, "baseline": 1.0, "solved": True, "after/loss": 0.5})
    (tmp_path / "results.json").write_text(json.dumps({"results": records}), encoding="utf-8")
    np.savez(tmp_path / "arrays.npz", **{"lstm/training/loss": np.tile(np.linspace(1, 0.1, 60), (2, 1))})
    doctor.run(doctor.Config(), str(tmp_path))
    assert capsys.readouterr().out.splitlines() == [
        "lstm, 2 seeds: healthy",
        "n-gram, 1 seed: no training evidence",
        "1 of 2 runs are healthy, 1 without training evidence.",
    ]
    content = json.loads((tmp_path / "doctor.json").read_text(encoding="utf-8"))
    assert (content["results"], content["no_training_evidence"]) == ([], ["n-gram"])


def test_the_doctor_knows_a_user_defined_cell_by_its_definition(tmp_path):
    cell = {"type": "my_module:IndRNN", "input_size": 2, "hidden_size": 4}
    ours = {"type": "rnn_jax.cells.lstm:LSTM", "hidden_size": 4, "forget_bias": {"type": "my_module:Bias"}}
    definitions = [cell, {"type": "rnn_jax.layers.stack:Stack", "layers": [ours, cell]}, ours, None]
    records = [{"run": str(i), "seed": 0, "definition": definition} for i, definition in enumerate(definitions)]
    (tmp_path / "results.json").write_text(json.dumps({"results": records}), encoding="utf-8")
    np.savez(tmp_path / "arrays.npz", **{"0/before/last_step/total": 0.1 ** np.arange(30.0)[None]})
    runs = evidence.read(str(tmp_path))
    assert [runs[str(i)][0].user_cell for i in range(4)] == ["IndRNN", "IndRNN", None, None]
    (finding,) = diagnostics.doctor(runs["0"][0])
    assert finding.remedy.startswith("in IndRNN: ")


def command(*flags):
    return subprocess.run(
        [sys.executable, "-m", "experiments.doctor", *flags], cwd=ROOT, capture_output=True, text=True, timeout=120
    )


def corrupt(folder, name, content):
    (folder / name).unlink() if content is None else (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("results.json", None, "results.json: no such file; is .* the --workdir of a run?"),
        ("results.json", b'{"results": [', "results.json cannot be read: Expecting value"),
        ("results.json", b"\xff\xfe", "results.json cannot be read: 'utf-8' codec"),
        ("results.json", b"[]", "results.json must hold records with the fields run and seed"),
        ("results.json", b'{"results": []}', "results.json must hold records with the fields run and seed"),
        ("results.json", b'{"results": [{"task": "adding"}]}', "must hold records with the fields run and seed"),
        (
            "results.json",
            b'{"results": [{"run": "adding/rnn/orthogonal", "seed": 7}]}',
            "do not fit together at run 'adding/rnn/orthogonal', seed 7: IndexError",
        ),
        ("arrays.npz", None, "arrays.npz: no such file; the run has not finished"),
        ("arrays.npz", b"", "arrays.npz cannot be read"),
        ("arrays.npz", b"PK\x03\x04 and no more", "arrays.npz cannot be read"),
    ],
)
def test_a_folder_without_a_readable_run_is_rejected(finished, tmp_path, name, content, message):
    for file in ("results.json", "arrays.npz"):
        shutil.copy(finished / file, tmp_path)
    corrupt(tmp_path, name, content)
    with pytest.raises(UserError, match=message):
        doctor.run(doctor.Config(), str(tmp_path))
    assert not (tmp_path / "doctor.json").exists()


def test_a_truncated_arrays_file_is_rejected(finished, tmp_path):
    shutil.copy(finished / "results.json", tmp_path)
    content = (finished / "arrays.npz").read_bytes()
    for keep in (len(content) // 2, len(content) - 30):
        (tmp_path / "arrays.npz").write_bytes(content[:keep])
        with pytest.raises(UserError, match=r"arrays\.npz cannot be read"):
            doctor.run(doctor.Config(), str(tmp_path))


@pytest.mark.extended
def test_the_command_line_reports_a_mistake_in_one_line():
    done = command("--workdir=/nowhere")
    assert (done.returncode, done.stderr) == (2, "error: --workdir '/nowhere': no such folder\n")
    assert "Unknown command line flag 'quick'" in command("--quick").stderr
