"""The long-dependency benchmark: what it writes, how it resumes, what it counts, what it refuses."""

import dataclasses
import io
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from experiments import long_dependency
from experiments.common import evidence
from experiments.common.flags import UserError
from experiments.long_dependency import board, measurement
from experiments.long_dependency.config import plan
from experiments.long_dependency.recipe import Plateau, Published
from experiments.long_dependency.result import Result, ranked
from rnn_jax import diagnostics, report, tasks, training

ROOT = Path(__file__).parents[1]
TINY = long_dependency.Config(
    tasks=("adding",),
    cells=("rnn", "lstm_chrono"),
    lengths=("10", "20"),
    hidden_size=4,
    batch_size=3,
    steps=5,
    evaluate_every=2,
    seeds=2,
)


def records_of(folder: Path) -> list[dict[str, Any]]:
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))["results"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    long_dependency.run(TINY, str(folder))
    return folder


def test_writes_its_files(finished: Path) -> None:
    figures = {"adding.png", "adding_reach.png"}
    others = {"config.json", "results.json", "arrays.npz", "summary.html"}
    assert {p.name for p in finished.iterdir() if p.is_file()} == figures | others
    names = [f"adding-{length}-{cell}" for length in (10, 20) for cell in ("rnn", "lstm_chrono")]
    assert {p.name for p in (finished / "items").iterdir()} == {f"{n}.{e}" for n in names for e in ("json", "npz")}
    for figure in figures:
        assert (finished / figure).read_bytes().startswith(b"\x89PNG")
    page = (finished / "summary.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 2
    assert not re.search(r'(src|href)="(?!data:)', page)


def test_results_hold_a_flat_record_for_every_seed(finished: Path) -> None:
    records = records_of(finished)
    assert [(r["run"], r["seed"]) for r in records] == [
        (f"adding/{length}/{cell}", seed) for length in (10, 20) for cell in ("rnn", "lstm_chrono") for seed in (0, 1)
    ]
    for record in records:
        assert record["steps"] == 5
        assert record["solved"] is False
        assert record["sequences_until_solved"] is None
        assert 0 < record["after/loss"] < 10
        assert record["sequences_per_second"] > 0
    assert len({r["after/loss"] for r in records}) == len(records)


def test_the_test_set_is_looked_at_as_often_as_asked_and_at_the_end(finished: Path) -> None:
    content = json.loads((finished / "items" / "adding-10-rnn.json").read_text(encoding="utf-8"))
    assert content["result"]["steps"] == [2, 4, 5]
    assert {len(curve) for seeds in content["result"]["curves"].values() for curve in seeds} == {3}
    assert content["environment"]["jax"]


def test_the_doctor_reads_it(finished: Path) -> None:
    seed = evidence.read(str(finished))["adding/20/lstm_chrono"][1]
    assert seed.loss.shape == (5,)
    assert seed.dependency == 19
    assert isinstance(diagnostics.doctor(seed), list)


def test_a_finished_item_is_not_run_again_and_a_missing_one_is_the_same_again(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for kept in ("adding-10-rnn", "adding-10-lstm_chrono", "adding-20-rnn"):
        for ending in ("json", "npz"):
            (tmp_path / "items").mkdir(exist_ok=True)
            (tmp_path / "items" / f"{kept}.{ending}").write_bytes(
                (finished / "items" / f"{kept}.{ending}").read_bytes()
            )
    ran = []

    def measure(item: Any, *rest: Any) -> Any:
        ran.append(item.name)
        return measurement.measure(item, *rest)

    monkeypatch.setattr(long_dependency, "measure", measure)
    long_dependency.run(TINY, str(tmp_path))
    assert ran == ["adding/20/lstm_chrono"]
    assert "3 of 4 items are finished and not run again" in " ".join(capsys.readouterr().out.split())
    again, before = (np.load(folder / "arrays.npz") for folder in (tmp_path, finished))
    assert set(again.files) == set(before.files)
    for name in again.files:
        np.testing.assert_array_equal(again[name], before[name], err_msg=name)
    timed = ("seconds", "sequences_per_second")
    for one, other in zip(records_of(tmp_path), records_of(finished), strict=True):
        assert {k: v for k, v in one.items() if k not in timed} == {k: v for k, v in other.items() if k not in timed}


def test_an_item_does_not_depend_on_what_else_is_run(finished: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(TINY, cells=("lstm_chrono",), lengths=("20",))
    long_dependency.run(config, str(tmp_path))
    again, before = (np.load(folder / "items" / "adding-20-lstm_chrono.npz") for folder in (tmp_path, finished))
    np.testing.assert_array_equal(again["adding/20/lstm_chrono/training/loss"], before[again.files[0]])


@pytest.mark.parametrize(
    ("fields", "differing"),
    [
        ({"steps": 6}, "steps: 5 there, 6 here"),
        ({"seed": 1}, "seed: 0 there, 1 here"),
        ({"hidden_size": 5}, "network.hidden_size: 4 there, 5 here"),
    ],
)
def test_items_of_another_config_are_refused(fields: dict, differing: str, finished: Path) -> None:
    before = {p: p.read_bytes() for p in finished.rglob("*") if p.is_file()}
    with pytest.raises(UserError, match=f"adding-10-rnn.json is of another config.*{differing}.*another --workdir"):
        long_dependency.run(dataclasses.replace(TINY, **fields), str(finished))
    assert {p: p.read_bytes() for p in finished.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"made_by": {}, "result": {}}', b"\xff"])
def test_a_corrupt_item_is_refused_by_name(content: bytes, finished: Path, tmp_path: Path) -> None:
    (tmp_path / "items").mkdir()
    (tmp_path / "items" / "adding-10-rnn.json").write_bytes(content)
    with pytest.raises(UserError, match=r"adding-10-rnn\.json cannot be read.*delete it to run the item again"):
        long_dependency.run(TINY, str(tmp_path))


def an_item(**fields: Any) -> Any:
    (item,) = plan(dataclasses.replace(TINY, cells=("rnn",), lengths=("10",), **fields))
    return item


def measured(item: Any, seeds: int = 2) -> tuple[measurement.Outcome, list[Result], list[int]]:
    updates: list[Result] = []
    work: list[int] = []
    outcome = measurement.measure(item, seeds, 0, updates.append, training.Session(advance=work.append))
    assert outcome is not None
    return outcome, updates, work


def test_training_ends_when_all_seeds_have_solved_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    # For two seeds, at each evaluation first a batch, then the answer that counts: at step 4 a batch says that seed
    # 0 has solved the task, the whole test set that it has not.
    answers = iter([False] * 4 + [True, False, False, False] + [True] * 4)
    monkeypatch.setattr(tasks.Adding, "solved", lambda self, metrics: next(answers))
    outcome, updates, _ = measured(an_item(steps=50))
    assert outcome.result.steps == [2, 4, 6]
    assert outcome.result.solved == [[False, False, True]] * 2
    assert outcome.result.sequences_until_solved == 6 * 3
    assert [r.finished for r in updates] == [False, False, True]


def test_a_solved_seed_stays_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([True, False, True, False, False, True, False, True])
    monkeypatch.setattr(tasks.Adding, "solved", lambda self, metrics: next(answers))
    result = measured(an_item(steps=50))[0].result
    assert result.steps == [2, 4]
    assert result.solved_at == [2, 4]
    assert result.sequences_until_solved == 4 * 3


def test_the_whole_test_set_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    batches_read: list[int | None] = []
    evaluate = measurement.training.evaluate

    def counted(*args: Any, batches: int | None = None) -> Any:
        batches_read.append(batches)
        return evaluate(*args, batches=batches)

    monkeypatch.setattr(measurement.training, "evaluate", counted)
    measured(an_item(steps=4))
    assert batches_read == [1, 1, None]  # the last evaluation reads all of it


def test_diverged_seeds_are_reported_and_an_item_ends_when_all_have_diverged() -> None:
    outcome, _, _ = measured(an_item(steps=50, learning_rate=1e25))
    result = outcome.result
    assert all("diverged at step" in str(message) for message in result.diverged)
    assert result.steps[-1] < 50
    assert result.solving == 0
    assert "diverged at step" in board.item_line(result)


def a_result(**fields: Any) -> Result:
    per_seed = {"curves": {"loss": [[0.2, 0.1]] * 3, "mse": [[0.2, 0.1]] * 3}, "steps": [10, 20]}
    done = {"finished": True, "seconds": 61.0, "sequences_per_second": 1234.5, "parameters": 100}
    return dataclasses.replace(Result.waiting(an_item(), 3), **per_seed | done | fields)


def test_the_median_seed_decides_when_it_is_solved() -> None:
    solved = [[False, True], [True, True], [False, False]]
    assert a_result(solved=solved).sequences_until_solved == 20 * 3
    assert a_result(solved=[*solved[:2], [True, True]]).sequences_until_solved == 10 * 3
    assert a_result(solved=[[False, True], [False, False], [False, False]]).sequences_until_solved == math.inf


def test_the_board_ranks_by_seeds_solved_then_sequences_then_loss() -> None:
    none, one, every = [[False, False]] * 3, [[False, True], *[[False, False]] * 2], [[False, True]] * 3
    results = [
        a_result(cell="lost", solved=none, curves={"loss": [[math.nan]] * 3}),
        a_result(cell="worse", solved=none, curves={"loss": [[0.3]] * 3}),
        a_result(cell="better", solved=none, curves={"loss": [[0.2]] * 3}),
        a_result(cell="one", solved=one),
        a_result(cell="late", solved=every),
        a_result(cell="early", solved=[[True, True]] * 3),
    ]
    assert [r.cell for r in ranked(results)] == ["early", "late", "one", "better", "worse", "lost"]


def test_the_board_fits_a_terminal_and_shows_published_numbers() -> None:
    paper = Published("Le et al. 2015", "mse", 1 / 6)
    shown = [
        a_result(cell="lstm_chrono", curves={"loss": [[0.1], [0.2], [0.35]], "mse": [[0.1], [0.2], [0.3]]}),
        a_result(cell="my_module:LongName", published=paper, solved=[[True, True]] * 3),
        a_result(cell="lstm_bias_10", published=Published("H&S", "sequences", 1_273_000), diverged=["so", None, None]),
    ]
    console = Console(file=io.StringIO(), width=80)
    console.print(report.TextTables(board.COLUMNS, board.sections(shown), board.caption(2)))
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    rows = {line.split()[0]: line.split() for line in lines if line.startswith(" l") or line.startswith(" Long")}
    assert rows["lstm_chrono"][1:] == ["0/3", ">60", "0.2", "0.125", "1.2", "0.2", "1:01"]
    assert rows["LongName"][1:5] == ["3/3", "30", "0.167", "mse"]
    assert rows["lstm_bias_10"][1:6] == ["0/3", "1", "NaN", ">60", "1,273,000"]
    assert "…" in board._state(a_result(finished=False))


@pytest.mark.parametrize(
    ("quantity", "value", "word"),
    [("mse", 0.2, "met"), ("mse", 0.05, "missed"), ("sequences", 30, "met"), ("sequences", 29, "missed")],
)
def test_the_papers_number_is_met_or_missed(quantity: str, value: float, word: str) -> None:
    result = a_result(published=Published("a paper", quantity, value), solved=[[True, True]] * 3)
    assert board.findings([result])[-1].endswith(f"): {word}.")


def test_divergence_is_named_and_large_numbers_fit_the_board() -> None:
    lost = a_result(curves={"loss": [[4e17]] * 3, "mse": [[4e17]] * 3}, diverged=["so", "so", None])
    assert board.findings([lost])[0].endswith("diverged: rnn.")
    assert board.findings([dataclasses.replace(lost, diverged=[None, None, "so"])])[0].endswith("at the baseline: rnn.")
    assert board.number(4e17) == "4.0e+17"
    assert board.number(2.54e-5) == "2.5e-05"
    assert board.number(1_273_000) == "1,273,000"


@pytest.mark.parametrize(
    ("left", "share", "sentence"),
    [
        (False, 1.02, "at the baseline (1.02 of it), as in Le."),
        (True, 0.5, "past the baseline (0.5 of it), as in Le."),
        (True, 0.95, "at the baseline (0.95 of it), but past it in Le."),
        (False, 0.5, "past the baseline (0.5 of it), but at it in Le."),
    ],
)
def test_a_papers_plateau_is_shared_or_not(left: bool, share: float, sentence: str) -> None:
    loss = share * a_result().baseline
    result = a_result(published=Plateau("Le", left), curves={"loss": [[9.0, loss]] * 3, "mse": [[9.0, loss]] * 3})
    assert board.findings([result])[-1].endswith(sentence)
    assert board._published(result) == ("past baseline" if left else "baseline")


def test_results_read_back_from_json_as_they_were() -> None:
    paper = Published("a paper", "mse", 0.5)
    result = a_result(published=paper, sequences_per_second=math.inf, curves={"loss": [[math.inf]] * 3})
    assert Result.read(json.loads(json.dumps(report.plain(result))), paper) == result


def command_line(*flags: str, cwd: Path, extra_path: Path | None = None) -> subprocess.CompletedProcess[str]:
    path = [str(ROOT), *([str(extra_path)] if extra_path else [])]
    return subprocess.run(
        [sys.executable, "-m", "experiments.long_dependency", *flags],
        cwd=cwd,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path), "COLUMNS": "80"},
        timeout=300,
    )


@pytest.mark.extended
def test_a_user_defined_cell_is_on_the_board(tmp_path: Path) -> None:
    (tmp_path / "my_module.py").write_text(
        "import rnn_jax\n\ndef MyCell(input_size, hidden_size):\n    return rnn_jax.LSTM(input_size, hidden_size)\n",
        encoding="utf-8",
    )
    flags = ["--cells=rnn,my_module:MyCell", "--lengths=10", "--hidden_size=4", "--steps=2", "--seeds=2"]
    done = command_line(*flags, f"--workdir={tmp_path / 'run'}", cwd=tmp_path, extra_path=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {r["cell"] for r in records_of(tmp_path / "run")} == {"rnn", "my_module:MyCell"}
    assert (tmp_path / "run" / "items" / "adding-10-my_module-MyCell.json").exists()
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "MyCell" in done.stdout
    with (tmp_path / "my_module.py").open("a", encoding="utf-8") as code:
        code.write("\nSIZE = 3\n")
    again = command_line(*flags, f"--workdir={tmp_path / 'run'}", cwd=tmp_path, extra_path=tmp_path)
    assert again.returncode == 2
    assert "adding-10-my_module-MyCell.json is of another config (code of my_module: " in again.stderr


BAD_CONFIGS = [
    ({"preset": "adding_all"}, "unknown preset 'adding_all': known are adding"),
    (
        {"preset": "adding", "hidden_size": 3, "steps": 9},
        "--preset=adding has its own values for --hidden_size, --steps",
    ),
    ({"preset": "adding", "cells": ("lru",)}, "--cells: 'lru' is not in preset adding, which has rnn, irnn"),
    ({"preset": "adding", "recipe": "lstm"}, "--recipe is for user-defined cells in a preset"),
    ({"cells": ("my:Cell",), "recipe": "lstm"}, "--recipe is for user-defined cells in a preset"),
    ({"preset": "adding", "cells": ("my:Cell",), "recipe": "lru"}, "--recipe: 'lru' is not in preset adding, which"),
    ({"preset": "adding", "cells": ("my:Cell",), "recipe": "my:Cell"}, "--recipe: 'my:Cell' is not in preset adding"),
    ({"preset": "adding", "cells": ("my.absent:Cell",)}, "cell 'my.absent:Cell': cannot import module 'my.absent'"),
    ({"tasks": ("my.absent:Task",)}, "task 'my.absent:Task': cannot import module 'my.absent'"),
    ({"preset": "mnist"}, "--mnist=FOLDER"),
    ({"preset": "adding", "optimizer": "rnn_jax.training:SGD"}, "has its own values for --optimizer"),
    ({"optimizer": "rnn_jax.training:AdamX"}, "--optimizer: optimizer 'rnn_jax.training:AdamX': module"),
    ({"optimizer": "rnn_jax.training:AdamW(rate=1)"}, "AdamW(rate=1) cannot be made"),
    ({"optimizer": "optax:adamw(learning_rate=0.1)"}, "must make an optimizer of rnn_jax.training, got"),
    ({"cells": ("rnm",)}, "unknown cell 'rnm': known are rnn, irnn, lstm"),
    ({"cells": ("rnm",)}, "min_gru_blocks, and user-defined cells as module:Class"),
    ({"tasks": ("addition",)}, "unknown task 'addition'"),
    ({"lengths": ("ten",)}, "--lengths must be positive integers, got 'ten'"),
    ({"lengths": ("10", "10")}, "--lengths must name at least one and none twice"),
    ({"lengths": ("1",)}, "adding: length must be an integer of at least 2 steps"),
    ({"cells": ("lstm_chrono",), "lengths": ("2",)}, "Chrono: max_lag must be an integer of at least 3"),
    ({"preset": "adding", "share": 0.0}, "--share must be above 0 and at most 1, got 0.0"),
    ({"share": 0.5}, "--share applies to a preset's steps"),
    ({"steps": 0}, "--steps must be positive, got 0"),
    ({"seeds": -1}, "--seeds must be positive, got -1"),
    ({"learning_rate": math.inf}, "--learning_rate must be a positive number, got inf"),
]


@pytest.mark.parametrize(("fields", "message"), BAD_CONFIGS, ids=[str(fields) for fields, _ in BAD_CONFIGS])
def test_bad_settings_are_refused_before_anything_is_written(
    fields: dict, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_dependency, "run_jobs", lambda *_, **__: pytest.fail("it ran"))  # some would for hours
    with pytest.raises(UserError, match=re.escape(message)):
        long_dependency.run(long_dependency.Config(**fields), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()
