"""The experiment on gradient norms: its files, its output, rejected configs, and a user-defined cell."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments import gradient_norms
from experiments.common.flags import UserError

ROOT = Path(__file__).parents[1]
TINY = gradient_norms.Config(
    tasks=("temporal_order_6a", "copying"),
    cells=("rnn", "lstm"),
    inits="default",
    length=10,
    hidden_size=4,
    batch_size=3,
    steps=2,
    seeds=2,
)


def command_line(*flags: str, cwd: Path = ROOT, extra_path: Path | None = None) -> subprocess.CompletedProcess[str]:
    path = [str(ROOT), *([str(extra_path)] if extra_path else [])]
    return subprocess.run(
        [sys.executable, "-m", "experiments.gradient_norms", *flags],
        cwd=cwd,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
        timeout=300,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    gradient_norms.run(TINY, str(folder))
    return folder


def test_writes_its_files_and_nothing_else(finished: Path) -> None:
    figures = {f"{task}.png" for task in TINY.tasks}
    assert {p.name for p in finished.iterdir() if p.is_file()} == figures | {
        "config.json",
        "results.json",
        "arrays.npz",
        "summary.html",
    }
    for figure in figures:
        assert (finished / figure).read_bytes().startswith(b"\x89PNG")


def checked_records(folder: Path) -> list[dict]:
    """Returns the records of a run, which are flat and complete."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    content = json.loads((folder / "results.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert set(content) == {"config", "environment", "results"}
    assert content["config"]["cells"] == ["rnn", "lstm"]
    records = content["results"]
    expected = {
        "run",
        "dependency",
        "optimizer",
        "clip",
        "parameters",
        "baseline",
        "clipped_percent",
        "ms_per_step",
        "solved",
        "after/loss",
        "before/loss",
    }
    for record in records:
        components = {"h", "total"} | ({"c"} if record["cell"] == "lstm" else set())
        for loss in ("last_step", "task"):
            for phase in ("before", "after"):
                keys = {k.split("/")[2] for k in record if k.startswith(f"{loss}/{phase}/")}
                assert keys == components
                expected |= {f"{loss}/{phase}/h/{q}" for q in ("slope", "half_life", "kept_share")}
                expected |= {f"{phase}/spectral_radius"}
        assert expected <= set(record)
    return records


@pytest.mark.extended
def test_adding_and_digits_are_measured_like_other_tasks(tmp_path: Path) -> None:
    gradient_norms.run(dataclasses.replace(TINY, tasks=("adding", "digits")), str(tmp_path))
    assert len(checked_records(tmp_path)) == 2 * 2 * 2
    for task in ("adding", "digits"):
        assert (tmp_path / f"{task}.png").read_bytes().startswith(b"\x89PNG")
    assert "data:image/png;base64," in (tmp_path / "summary.html").read_text(encoding="utf-8")


def test_results_hold_a_flat_record_for_every_seed(finished: Path) -> None:
    records = checked_records(finished)
    assert len(records) == len(TINY.tasks) * 2 * 2
    # An orthogonal matrix has eigenvalues on the unit circle; two steps of Adam do not move them far.
    radii = [r["before/spectral_radius"] for r in records if r["cell"] == "rnn"]
    np.testing.assert_allclose(radii, 1, atol=1e-5)


def test_arrays_hold_every_curve(finished: Path) -> None:
    arrays = np.load(finished / "arrays.npz")
    loss = arrays["temporal_order_6a/rnn/orthogonal/training/loss"]
    assert loss.shape == (2, 2)
    assert np.isfinite(loss).all()
    for name in ("cell.w_i", "cell.w_h", "cell.b", "readout.params.kernel", "readout.params.bias"):
        assert (arrays[f"temporal_order_6a/rnn/orthogonal/training/grad_norms/{name}"] > 0).all()
        assert (arrays[f"temporal_order_6a/rnn/orthogonal/after/not_finite/{name}"] == 0).all()
    shares = [arrays[f"copying/lstm/bias 1/before/saturation/logistic 3/{share}"] for share in ("low", "high", "dead")]
    assert all(share.shape == (2,) and (share < 1).all() for share in shares)
    norms = arrays["copying/lstm/bias 1/before/task/c"]
    assert norms.shape == (2, 30)
    # Read at every step, the loss of copying reaches c at every step but the last, whose c is not read.
    assert (norms[:, 1:] > 0).all()
    assert (norms[:, 0] == 0).all()
    # Sequences of temporal order end after 10 or 11 steps: only the lags that all of them have are kept.
    assert arrays["temporal_order_6a/rnn/orthogonal/after/last_step/h"].shape == (2, 10)


def test_summary_is_one_self_contained_page(finished: Path) -> None:
    page = (finished / "summary.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == len(TINY.tasks)
    assert not re.search(r'(src|href)="(?!data:)', page)
    for words in ("half-life", "of the last step&#x27;s gradient reaches back", "kept share", "baseline"):
        assert words in page


@pytest.mark.extended
def test_prints_a_table_that_fits_a_terminal(tmp_path: Path) -> None:
    flags = ["--tasks=adding", "--cells=rnn", "--inits=default"]
    flags += ["--length=10", "--hidden_size=4", "--steps=2", "--seeds=2"]
    done = command_line(*flags, f"--workdir={tmp_path / 'run'}")
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    for header in ("cell", "init", "half-life", "kept share", "loss", "metric", "solved", "clip %", "params", "ms"):
        assert header in done.stdout.split("* the cell's")[0]  # the caption names them, too
    assert "orthogonal*" in done.stdout
    assert "…" not in done.stdout


def test_same_seed_same_results(tmp_path: Path, finished: Path) -> None:
    gradient_norms.run(dataclasses.replace(TINY, tasks=("temporal_order_6a",)), str(tmp_path))
    again, before = (np.load(folder / "arrays.npz") for folder in (tmp_path, finished))
    for name in again.files:
        np.testing.assert_array_equal(again[name], before[name], err_msg=name)


@pytest.mark.extended
def test_the_readmes_user_defined_cell_runs(tmp_path: Path) -> None:
    block = re.search(
        r"```python\n# my_module\.py\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    assert block, "README.md shows no my_module.py"
    assert len(block[1].strip().splitlines()) <= 19  # twelve lines, three imports, blank lines
    (tmp_path / "my_module.py").write_text(block[1], encoding="utf-8")
    flags = [
        "--tasks=adding",
        "--length=10",
        "--hidden_size=4",
        "--steps=2",
        "--seeds=2",
        "--cells=rnn,my_module:MyCell",
    ]
    done = command_line(*flags, f"--workdir={tmp_path / 'run'}", extra_path=tmp_path)
    assert done.returncode == 0, done.stderr
    records = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))["results"]
    own = [r for r in records if r["cell"] == "my_module:MyCell"]
    assert len(own) == 2
    assert all(isinstance(r["last_step/before/total/slope"], float) for r in own)


def test_a_diverged_seed_is_reported_and_the_run_completes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = dataclasses.replace(TINY, tasks=("adding",), cells=("rnn",), steps=6, learning_rate=1e25)
    gradient_norms.run(config, str(tmp_path))
    printed = " ".join(capsys.readouterr().out.split())
    assert re.search(r"adding/rnn/orthogonal: seed 0 diverged at step \d: loss (inf|nan), gradient norm", printed)
    assert re.search(r"the step before [\d.]+; gradient not finite in cell\.b, cell\.w_h, cell\.w_i;", printed)
    # Both seeds diverge at the same step here: none remains.
    assert printed.count("seeds that continue: 0") == 2
    records = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["results"]
    assert all(record["diverged"] is True and 1 <= record["diverged_at"] <= 6 for record in records)


BAD_CONFIGS = [
    ({"cells": ("rnm",)}, "unknown cell 'rnm': known are rnn, irnn, lstm"),
    ({"cells": ("no_such_module:Cell",)}, "cannot import module 'no_such_module'"),
    ({"cells": ("json:Cell",)}, "module 'json' has no 'Cell'"),
    ({"cells": ("json:dumps",)}, "cell 'json:dumps' cannot be made as (input_size, hidden_size)"),
    ({"cells": ("rnn", "rnn")}, "--cells must name at least one and none twice, got 'rnn,rnn'"),
    ({"cells": ()}, "--cells must name at least one"),
    ({"tasks": ("addition",)}, "unknown task 'addition': known are adding"),
    ({"tasks": ("mnist",)}, "--mnist=FOLDER"),
    ({"tasks": ("mnist",), "mnist": "/nowhere"}, "train-images-idx3-ubyte: no such file"),
    ({"inits": "some"}, "--inits must be one of all, default, got 'some'"),
    ({"hidden_size": 0}, "--hidden_size must be positive, got 0"),
    ({"length": -5}, "--length must be positive, got -5"),
    ({"batch_size": 0}, "--batch_size must be positive, got 0"),
    ({"seeds": 0}, "--seeds must be positive, got 0"),
    ({"steps": 0}, "--steps must be positive, got 0"),
    ({"learning_rate": float("nan")}, "--learning_rate must be a positive number, got nan"),
    ({"learning_rate": float("inf")}, "--learning_rate must be a positive number, got inf"),
    ({"tasks": ("adding_1997",), "length": 19}, "length must be an integer of at least 20 steps"),
    ({"tasks": ("temporal_order_6a",), "length": 9}, "length must be an integer of at least 10 steps, got 9"),
]


@pytest.mark.parametrize(("fields", "message"), BAD_CONFIGS, ids=[str(fields) for fields, _ in BAD_CONFIGS])
def test_bad_configs_are_rejected_before_anything_is_written(fields: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        gradient_norms.run(gradient_norms.Config(**fields), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_workdir_that_cannot_be_created_is_rejected() -> None:
    with pytest.raises(UserError, match="--workdir '/dev/null/run' cannot be written: Not a directory"):
        gradient_norms.run(TINY, "/dev/null/run")


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--cells=rnm", "error: unknown cell 'rnm'"),
        pytest.param("--workdir=/dev/null/run", "cannot be written", marks=pytest.mark.extended),
        pytest.param("--hiden_size=3", "Unknown command line flag 'hiden_size'", marks=pytest.mark.extended),
        pytest.param("--seeds=five", "five", marks=pytest.mark.extended),
        pytest.param("adding", "unexpected argument 'adding'", marks=pytest.mark.extended),
    ],
)
def test_the_command_line_reports_a_typo_in_words(flag: str, message: str, tmp_path: Path) -> None:
    done = command_line(flag, cwd=tmp_path)
    assert done.returncode not in (0, None)
    output = done.stdout + done.stderr
    assert message in output
    assert "Traceback" not in output
    assert list(tmp_path.iterdir()) == []


def test_errors_of_a_user_defined_cell_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wrong_cells.py").write_text(
        "import jax.numpy as jnp\n"
        "from rnn_jax import Cell\n"
        "class Grows(Cell):\n"
        "    def init(self, key): return ()\n"
        "    def initial_state(self, params, batch_shape=()): return jnp.zeros((*batch_shape, self.hidden_size))\n"
        "    def step(self, params, h, x): return jnp.concatenate([h, x], -1)\n"
        "class Unfinished(Cell):\n"
        "    pass\n"
        "class Unhashable(Cell):\n"
        "    __hash__ = None\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    for name, message in {
        "Grows": r"state after a step of Grows.*must be float32\[1, 4\], got float32\[1, 6\]",
        "Unfinished": r"Unfinished must define init",
        "Unhashable": r"must be hashable.*unhashable type: 'Unhashable'",
    }.items():
        with pytest.raises(UserError, match=message):
            gradient_norms.run(
                dataclasses.replace(TINY, tasks=("adding",), cells=(f"wrong_cells:{name}",)), str(tmp_path / "run")
            )
    assert not (tmp_path / "run").exists()
