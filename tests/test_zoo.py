"""The board of cells on equal terms: one size, one search of the learning rate, ranks, and what it shows."""

import dataclasses
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from scipy import stats

from experiments import long_dependency
from experiments.common import moments, networks, rate_search, step_times
from experiments.common.flags import UserError
from experiments.long_dependency import presets, ranking
from experiments.long_dependency.config import plan
from experiments.long_dependency.recipe import EqualTerms
from experiments.long_dependency.result import Result
from rnn_jax import cells, tasks, training
from rnn_jax.models import ReadoutModel

ROOT = Path(__file__).parents[1]
TASK = tasks.Adding(length=10)
TERMS = EqualTerms(300, (1e-2, 3e-3))


def trainer(name: str = "rnn", rate: float = 1e-2) -> training.Trainer:
    return training.Trainer(networks.make_model(name, TASK, 4), 3, training.Adam(rate), training.ClipByNorm(1.0))


@pytest.mark.parametrize(
    "name", ["lstm", "ind_rnn", "gla_4_heads", "fast_grnn", pytest.param("exp_rnn", marks=pytest.mark.extended)]
)
def test_the_hidden_size_is_the_nearest_to_the_number_of_parameters(name: str) -> None:
    def parameters(size: int) -> int:
        return training.Trainer(networks.make_model(name, TASK, size, 2), 1, training.SGD(1.0), None).parameters

    size = networks.hidden_size_for(1000, name, TASK, 2)
    near = range(max(1, size - 2), size + 3)
    assert parameters(size) == min(map(parameters, near), key=lambda count: abs(count - 1000))


def test_a_size_that_no_cell_has_is_refused() -> None:
    with pytest.raises(UserError, match="'lstm' must have a size of about 5 parameters, has 18 with 1 units"):
        networks.hidden_size_for(5, "lstm", TASK)


def test_the_zoo_is_every_cell_on_six_tasks_on_the_same_terms() -> None:
    recipes = presets.zoo()
    assert [(r.task, r.cell) for r in recipes] == [
        (t, presets.HEADS.get(cell, cell)) for t, _ in presets.ZOO_TASKS for cell in cells.CELLS
    ]
    assert len({dataclasses.replace(r, task="", length=0, cell="") for r in recipes}) == 1


def test_a_rate_as_an_argument_is_adams() -> None:
    start = training.init(trainer(rate=3e-3), jax.random.split(jax.random.key(0), 2))
    copy = jax.tree.map(lambda leaf: leaf.copy(), start)
    expected, _ = training.run(trainer(rate=3e-3), TASK, training.start(trainer(), TASK, start), 4)
    scaled = rate_search.with_rates(copy, trainer(), np.array([3e-3, 1e-2]))
    trained, _ = training.run(trainer(rate=1e-2), TASK, training.start(trainer(), TASK, scaled), 4)
    same, other = (np.asarray(trained.training.params.cell.w_h)[seed] for seed in (0, 1))
    np.testing.assert_allclose(same, expected.training.params.cell.w_h[0], rtol=1e-5)
    assert np.max(np.abs(other - expected.training.params.cell.w_h[1])) > 1e-3


def choose(*rates: float, folder: Path | None = None, **session: Any) -> rate_search.Choice | None:
    return rate_search.choose(trainer(), trainer(), TASK, rates, 0, 60, 10, training.Session(folder, **session))


def test_the_rate_that_learns_most_is_chosen() -> None:
    assert choose(1e-7, 1e-2).rate == 1e-2
    assert choose(1e-2, 1e-7).rate == 1e-2


def test_a_rate_that_diverges_is_not_chosen() -> None:
    assert choose(1e25, 1e-7).rate == 1e-7
    assert choose(1e25, 1e24).rate == 1e24  # none is left: the least


def test_a_search_resumes_in_a_folder_of_its_own(tmp_path: Path) -> None:
    first = choose(1e-7, 1e-2, folder=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["search"]
    work: list[int] = []
    assert choose(1e-7, 1e-2, folder=tmp_path, advance=work.append).rate == first.rate
    assert work == [rate_search.search_steps(60)]  # nothing was trained again


def test_memory_is_measured_at_the_longest_lag() -> None:
    cell = cells.LinearRNN(2, 1)
    model = ReadoutModel(cell, 1)
    params = model.init(jax.random.key(0))
    params = params._replace(cell=params.cell._replace(w_h=np.array([[0.9]], np.float32)))
    measured = moments.measure_memory(model, TASK, jax.tree.map(lambda leaf: leaf[None], params), jax.random.key(1))
    np.testing.assert_allclose(measured["kept"], 0.9 ** (TASK.sequence_length - 1), rtol=1e-4)
    np.testing.assert_allclose(measured["exponent"], math.log(0.9), rtol=1e-4)


def test_memory_is_measured_on_sequences_that_are_long_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    reach = moments.diagnostics.gradient_reach

    def watched(model: Any, task: Any, params: Any, batch: tasks.Batch) -> Any:
        seen.append(moments.diagnostics.common_lags(batch))
        return reach(model, task, params, batch)

    monkeypatch.setattr(moments.diagnostics, "gradient_reach", watched)
    parity = tasks.Parity(length=40)  # of 1 to 40 bits
    model = networks.make_model("rnn", parity, 2)
    params = jax.tree.map(lambda leaf: leaf[None], model.init(jax.random.key(0)))
    moments.measure_memory(model, parity, params, jax.random.key(1))
    assert 36 <= seen[0] <= 40


def test_a_step_is_timed_beside_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    times = {"network": [2.0, 6.0, 2.0], "reference": [1.0, 2.0, 4.0]}
    monkeypatch.setattr(step_times.timing, "interleave", lambda calls, rounds, seconds: times)
    assert step_times.ratio(trainer("lstm"), trainer(), TASK, 1, 1) == 2.0
    assert step_times.ratio(trainer(), trainer(), TASK, 1, 1) == 1.0


def a_result(task: str, cell: str, loss: float, solved_at: int | None, kept: float = 0.5) -> Result:
    (item,) = plan(long_dependency.Config(tasks=("adding",), cells=("rnn",), lengths=("10",), hidden_size=2))
    solved = [[solved_at == 1, solved_at is not None]] * 3
    memory = {"kept": [kept] * 3, "exponent": [-0.1] * 3}
    return dataclasses.replace(
        Result.waiting(item, 3),
        **{"task": task, "cell": cell, "solved": solved, "steps": [1, 2], "baseline": 1.0, "finished": True},
        curves={"loss": [[1.0, loss]] * 3, "mse": [[1.0, loss]] * 3},
        before=memory,
        after=memory,
        learning_rate=0.01,
        step_time=2.0,
    )


RESULTS = [
    a_result("adding", "early", 0.1, 1, 0.9),
    a_result("adding", "late", 0.01, 2, 0.8),
    a_result("adding", "past", 0.5, None, 0.7),
    a_result("adding", "at_one", 0.95, None, 0.2),
    a_result("adding", "at_two", 1.5, None, 0.1),
    a_result("copying", "late", 0.2, 1),
    a_result("copying", "early", 0.4, None),
]


def test_cells_are_ranked_on_each_task_and_those_at_the_baseline_share_a_rank() -> None:
    rows = {row.cell: row for row in ranking.rows(RESULTS)}
    assert list(rows) == ["early", "late", "past", "at_one", "at_two"]
    assert [row.ranks[0] for row in rows.values()] == [1, 2, 3, 4.5, 4.5]
    assert [row.mean_rank for row in rows.values()] == [1.5, 1.5, 3, 4.5, 4.5]
    assert [row.solved for row in rows.values()] == [1, 2, 0, 0, 0]
    assert np.isnan(rows["past"].ranks[1])


def test_the_board_shows_ranks_and_says_who_solves_and_whether_reach_predicts_it() -> None:
    columns, sections = ranking.table(RESULTS)
    ((title, rows),) = sections.items()
    assert title == "Rank by task: 1 adding, 2 copying"
    texts = [[column.text(row) for column in columns] for row in rows]
    assert texts[0][:3] == ["early", "1.5", ""]
    assert texts[1] == ["late", "1.5", "+0.0 (0.0 to 0.0)", "2*", "1*", "2/2", "2", "0.65 0.65", "-0.1 -0.1"]
    assert texts[2] == ["past", "3.0", "+2.0 (2.0 to 2.0)", "3", "-", "0/1", "2", "0.7 0.7", "-0.1 -0.1"]
    best, ties, solvers, correlation = ranking.findings(RESULTS)
    assert best == "Best mean ranks of 5 cells: early 1.5, late 1.5, past 3.0."
    assert ties == "Over seeds, the first is better than 3 of them; ties with it: late."
    assert "adding by early, late; copying by late" in solvers
    assert "adding 0.90 (0.90), copying nan (nan)" in correlation


def with_losses(cell: str, *losses: float) -> Result:
    result = a_result("adding", cell, 0.1, None)
    return dataclasses.replace(result, curves={"loss": [[1.0, loss] for loss in losses]})


def test_three_seeds_that_disagree_are_a_tie_and_one_allows_no_statement() -> None:
    results = [with_losses("first", 0.1, 0.1, 0.3), with_losses("second", 0.2, 0.2, 0.2)]
    (margin,) = ranking.beside_best(results).values()
    expected = stats.ttest_1samp([1, 1, -1], 0).confidence_interval(0.95)
    np.testing.assert_allclose(margin, [1 / 3, *expected])
    assert margin.verdict(lower_is_better=True) == "a tie"
    assert ranking.findings(results)[1] == "Over seeds, the first is better than 0 of them; ties with it: second."
    (alone,) = ranking.beside_best([result.of_seed(0) for result in results]).values()
    assert (alone.value, alone.verdict()) == (1, "unknown")


def test_figures_are_drawn_of_boards_with_gaps() -> None:
    drawings = ranking.draw(RESULTS)
    assert list(drawings) == ["board.png", "reach.png"]
    assert all(draw().startswith(b"\x89PNG") for _, draw in drawings.values())


@pytest.fixture
def a_tiny_zoo(monkeypatch: pytest.MonkeyPatch) -> long_dependency.Config:
    monkeypatch.setattr(presets, "_TERMS", TERMS)
    monkeypatch.setattr(presets, "ZOO_TASKS", (("adding", 10), ("parity_longer", 5)))
    monkeypatch.setitem(presets.PRESETS, "zoo", presets.zoo())
    return long_dependency.Config(preset="zoo", cells=("lstm", "rnn"), share=0.001, seeds=2)


@pytest.mark.extended
def test_a_run_shows_the_board_and_resumes(a_tiny_zoo: long_dependency.Config, tmp_path: Path, capsys: Any) -> None:
    long_dependency.run(a_tiny_zoo, str(tmp_path))
    printed = capsys.readouterr().out
    assert "Rank by task: 1 adding, 2 parity_longer" in printed
    assert {"board.png", "reach.png"} < {path.name for path in tmp_path.iterdir()}
    records = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["results"]
    assert [(r["task"], r["cell"], r["seed"]) for r in records] == [
        (task, cell, seed) for task in ("adding", "parity_longer") for cell in ("rnn", "lstm") for seed in (0, 1)
    ]
    for record in records:
        assert record["learning_rate"] in TERMS.rates
        assert 200 <= record["parameters"] <= 400
        assert record["step_time"] == 1.0 if record["cell"] == "lstm" else record["step_time"] > 0
        assert {"before/kept", "after/kept", "before/exponent", "after/exponent"} <= set(record)
    long_dependency.run(a_tiny_zoo, str(tmp_path))
    again = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["results"]
    assert again == records
    assert "4 of 4 items are finished and not run again" in " ".join(capsys.readouterr().out.split())


CELL = '''"""A cell in a file of its own."""
import dataclasses
from rnn_jax.cells.vanilla import VanillaRNN

@dataclasses.dataclass(frozen=True)
class Newcomer(VanillaRNN):
    """A cell of a user, in one file."""
'''
# One file, and the line of the registry.
PLUGIN = "import newcomer\nfrom rnn_jax import cells\ncells.CELLS['newcomer'] = newcomer.Newcomer\n"
BOARD = """
import plugin
from experiments import long_dependency
from experiments.long_dependency import presets
config = long_dependency.Config(preset="zoo", tasks=("adding",), cells=("newcomer",), share=0.0005, seeds=1)
long_dependency.run(config, "run")
"""


@pytest.mark.slow
def test_a_new_cell_is_one_file_and_one_line_in_contract_table_and_board(tmp_path: Path) -> None:
    (tmp_path / "newcomer.py").write_text(CELL, encoding="utf-8")
    (tmp_path / "plugin.py").write_text(PLUGIN, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}

    def python(*arguments: str, folder: Path) -> str:
        run = subprocess.run(
            [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=600
        )
        return run.stdout + run.stderr

    def tests(*arguments: str) -> str:
        return python("-m", "pytest", "-q", "-n0", "-m", "", "-p", "plugin", *arguments, folder=ROOT)

    contract = tests("tests/test_cell_contract.py", "-k", "newcomer and Scan")
    assert "passed" in contract
    assert "failed" not in contract
    table = tests("tests/test_cells_readme.py", "-k", "every_cell_in_order")
    assert "contains one more item: 'newcomer'" in table
    board = python("-c", BOARD, folder=tmp_path)
    assert "Best mean ranks of 1 cells: newcomer 1.0." in " ".join(board.split())
