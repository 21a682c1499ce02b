"""The folder of a run: one process at a time, one config, and an interrupted command goes on where it was."""

import dataclasses
import gzip
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from experiments.common import evidence
from experiments.common.flags import UserError
from experiments.common.run_folder import FigureError, Report, RunFolder
from experiments.common.settings import Settings
from rnn_jax import mesh

ROOT = Path(__file__).parents[1]


@dataclasses.dataclass(frozen=True)
class _Config:
    size: int = 3
    names: tuple[str, ...] = ("a",)


def test_a_run_of_another_config_is_refused_with_the_difference(tmp_path: Path) -> None:
    RunFolder(_Config(), str(tmp_path))
    before = (tmp_path / "config.json").read_bytes()
    RunFolder(_Config(), str(tmp_path))
    with pytest.raises(UserError, match=r"holds a run of another config \(size: 3 there, 4 here\): .* with --noresume"):
        RunFolder(_Config(4), str(tmp_path))
    assert (tmp_path / "config.json").read_bytes() == before


@pytest.mark.parametrize("line", ["load [kwh]: done", "rate [/s]", "[bold]x[/bold]", ":warning: 5"])
def test_a_line_is_printed_as_it_is(line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    RunFolder(_Config(), str(tmp_path)).print(line)
    assert capsys.readouterr().out == f"{line}\n"


def test_a_cell_of_ones_own_whose_code_has_changed_is_another_config(tmp_path: Path, monkeypatch) -> None:
    code = tmp_path / "changing_cells.py"
    code.write_text("class Cell: pass\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("changing_cells")
    config, workdir = _Config(names=("lstm", "changing_cells:Cell")), str(tmp_path / "run")
    RunFolder(config, workdir)
    RunFolder(config, workdir)
    RunFolder(_Config(), str(tmp_path / "another"))
    code.write_text("class Cell: size = 3\n", encoding="utf-8")
    RunFolder(_Config(), str(tmp_path / "another"))
    with pytest.raises(UserError, match=r'another config \(code of changing_cells: "\w{12}" there, "\w{12}" here\)'):
        RunFolder(config, workdir)
    RunFolder(config, workdir, Settings(resume=False))


def test_begun_anew_there_is_nothing_left_of_the_trainings(tmp_path: Path) -> None:
    session = RunFolder(_Config(), str(tmp_path)).session("gru/gain 1.5")
    assert session.folder == tmp_path / "training" / "gru-gain-1.5"
    session.folder.mkdir(parents=True)
    RunFolder(_Config(4), str(tmp_path), Settings(resume=False))
    assert not session.folder.exists()
    assert json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))["size"] == 4


def test_a_config_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"config\.json cannot be read .*; start from scratch with --noresume"):
        RunFolder(_Config(), str(tmp_path))


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    folder = RunFolder(_Config(), "~/run")
    folder.results([{"run": "a", "seed": 0}])
    folder.arrays({"a/training/loss": np.ones((1, 2))})
    assert folder.path == tmp_path / "run"
    assert list(evidence.read("~/run")) == ["a"]


@pytest.mark.extended
def test_a_folder_in_use_by_another_process_is_refused(tmp_path: Path) -> None:
    folder = RunFolder(_Config(), str(tmp_path))  # a folder of its own is open to a process more than once
    script = (
        "import sys\nfrom tests.test_run_folder import RunFolder, UserError, _Config\n"
        f"try: folder = RunFolder(_Config(), {str(tmp_path)!r})\nexcept UserError as error: sys.exit(str(error))\n"
        "print('locked', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script]
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert refused.stderr.strip() == f"--workdir {str(tmp_path)!r} is in use by process {os.getpid()}"
    RunFolder(_Config(), str(tmp_path))
    del folder  # the last reference
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as other:
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(UserError, match=rf"is in use by process {other.pid}$"):
            RunFolder(_Config(), str(tmp_path))
        other.kill()
        other.wait()
        RunFolder(_Config(), str(tmp_path))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"checkpoint_seconds": 0.0}, "--checkpoint_seconds must be a positive number, got 0.0"),
        ({"keep": 0}, "--keep must be positive, got 0"),
        ({"profile": -1.0}, "--profile must be a positive number, got -1.0"),
    ],
)
def test_settings_that_cannot_be_are_refused(fields: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        RunFolder(_Config(), str(tmp_path), Settings(**fields))


STEPS = 10_000  # some seconds: enough for a signal to come in time; 3,000 were over before it, on a busy machine


def _command(folder: Path, *more: str) -> list[str]:
    sizes = ["--cells=rnn,lstm", "--tasks=adding", "--inits=default", "--length=10", "--hidden_size=8", "--seeds=2"]
    flags = [*sizes, f"--steps={STEPS}", f"--workdir={folder}", f"--compilation_cache={folder.parent / 'cache'}", *more]
    return [sys.executable, "-m", "experiments.gradient_norms", *flags]


@pytest.mark.slow
def test_a_profile_is_one_that_perfetto_reads(tmp_path: Path) -> None:
    command = _command(tmp_path / "run", "--profile=0.5")
    subprocess.run(command, cwd=ROOT, capture_output=True, timeout=300, check=True)
    (trace,) = (tmp_path / "run" / "profile").rglob("perfetto_trace.json.gz")
    assert json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]


@pytest.mark.extended
def test_a_terminated_command_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    subprocess.run(_command(straight), cwd=ROOT, capture_output=True, timeout=300, check=True)
    process = subprocess.Popen(_command(stopped), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    limit = time.monotonic() + 120
    while not any(file.stat().st_size for file in stopped.rglob("metrics.jsonl")):
        assert time.monotonic() < limit
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 143, told
    # Not always the last: asyncio may have a word at the very end.
    assert "terminated; saved: repeat the command to resume" in told.splitlines()
    saved = [int(path.name) for path in stopped.glob("training/*/checkpoints/*")]
    assert saved
    assert min(saved) < STEPS
    again = subprocess.run(_command(stopped), cwd=ROOT, capture_output=True, text=True, timeout=300, check=True)
    assert f"resumesatstep{min(saved):,}" in "".join(again.stdout.split())  # a long path folds anywhere
    one, other = (dict(np.load(folder / "arrays.npz")) for folder in (stopped, straight))
    assert set(one) == set(other)
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name], err_msg=name)
    logs = sorted(file.relative_to(straight) for file in straight.rglob("metrics.jsonl"))
    assert len(logs) == 2
    for log in logs:
        assert (stopped / log).read_bytes() == (straight / log).read_bytes()
    assert os.listdir(tmp_path / "cache")  # compiled programs


def test_a_figure_that_fails_is_reported_when_everything_else_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> bytes:
        (tmp_path / "seen").write_text(" ".join(sorted(path.name for path in tmp_path.glob("*.*"))), encoding="utf-8")
        raise ValueError("cannot parse\n$_$")

    folder = RunFolder(_Config(), str(tmp_path))
    folder.results([{"run": "a"}])
    figures = {"one.png": ("First", fail), "my:Task.png": ("Second", lambda: b"PNG"), "two.png": ("Third", fail)}
    message = (
        r"^cannot be drawn: one\.png \(ValueError: cannot parse \$_\$\); two\.png \(.*\); everything else is written$"
    )
    with pytest.raises(FigureError, match=message):
        folder.show(Report("A run", ["It is done."], [], figures))
    assert (tmp_path / "seen").read_text(encoding="utf-8").startswith("config.json my-Task.png results.json")
    assert (tmp_path / "my-Task.png").read_bytes() == b"PNG"
    page = (tmp_path / "summary.html").read_text(encoding="utf-8")
    assert "Second" in page
    assert "First" not in page
    printed = " ".join(capsys.readouterr().out.split())
    assert "It is done." in printed
    assert "my-Task.png, summary.html" in printed


def test_a_run_resumed_on_other_devices_says_so_and_records_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def resume() -> tuple[str, str]:
        RunFolder(_Config(), str(tmp_path)).results([])
        written = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
        return written["environment"]["mesh"], capsys.readouterr().out

    assert resume() == resume() == ("data:1", "")
    with jax.set_mesh(mesh.MeshShape(data=2).build()):
        recorded, said = resume()
        assert recorded == "data:1 then data:2"
        assert " ".join(said.split()) == (
            "resumed on other devices, --mesh=data:2: from here on numbers are equal up to rounding only; "
            "--mesh=data:1 continues bit for bit"
        )
        assert resume() == ("data:1 then data:2", "")
