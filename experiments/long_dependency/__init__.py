"""Which network learns a dependency of length T, and after how many sequences?

The standard long-dependency comparison in one command: pinned tasks, several T, several seeds in one compiled program
each, and the published number beside ours.

    python -m experiments.long_dependency --preset=all_cpu                       # an hour on two cores
    python -m experiments.long_dependency --preset=adding                        # one part of it
    python -m experiments.long_dependency --preset=zoo                           # every cell on equal terms, hours
    python -m experiments.long_dependency --preset=parity                        # a published claim, see claims.py
    python -m experiments.long_dependency --tasks=adding,copying --cells=lstm,my_module:MyCell --lengths=50,100
    python -m experiments.long_dependency --preset=adding --cells=lstm,my_module:MyCell --recipe=lstm
    python -m experiments.long_dependency --quick                                # under a minute

To resume an interrupted run, repeat the command: finished items are not run again. A task is solved if an evaluation
meets its criterion on the whole test set; an item ends when all its seeds have solved it.
"""

import functools
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.common.records import task_fields
from experiments.common.run_folder import Report, RunFolder, Table
from experiments.common.runner import Job, parallel_programs, run_jobs
from experiments.common.settings import Settings, with_precision
from experiments.long_dependency import board, figures, ranking
from experiments.long_dependency.config import QUICK, Config, Item, plan
from experiments.long_dependency.measurement import Outcome, measure
from experiments.long_dependency.result import Result
from experiments.long_dependency.store import Store

# Fields of a result that its records repeat.
RECORDED = ("task", "variant", "length", "sequence_length", "cell", "parameters", "batch_size", "sequences_per_second")
# Items after which compiled programs are dropped: those of 30 cells, some 60,000 memory maps, reach the
# system's limit for a process, and XLA aborts.
CLEARED_EVERY = 8

__all__ = ["QUICK", "Config", "plan", "run"]


@with_precision
def run(config: Config, workdir: str, settings: Settings = Settings()) -> None:
    """Runs the benchmark and writes items/, config.json, results.json, arrays.npz, figures and summary.html.

    An item's files are written as soon as it has ended; an item whose files exist is read instead of run.

    Raises:
      UserError: if the config cannot be run, `workdir` cannot be written, or it holds an item of another recipe.
    """
    items = plan(config)
    store = Store(Path(workdir).expanduser(), config, settings.checked().stale)
    saved = store.read(items) if settings.resume else [None] * len(items)  # refused before anything is written
    results = [result or Result.waiting(item, config.seeds) for item, result in zip(items, saved, strict=True)]
    folder = RunFolder(config, workdir, settings, grows=True)
    if not settings.resume:
        store.clear()
    missing = [index for index, result in enumerate(results) if not result.finished]
    if len(missing) < len(items):
        folder.print(f"{folder.path}: {len(items) - len(missing)} of {len(items)} items are finished and not run again")

    def job(index: int) -> Job[Outcome]:
        item = items[index]
        return Job(
            item.name,
            item.work,
            functools.partial(measure, item, config.seeds, config.seed, functools.partial(results.__setitem__, index)),
            lambda outcome: _records(item, outcome.result),
            config=store.config(item),
            summary=lambda outcome: board.item_line(outcome.result),
        )

    def finish(n: int, outcome: Outcome) -> None:
        store.write(items[missing[n]], outcome)
        if n % CLEARED_EVERY == CLEARED_EVERY - 1:
            jax.clear_caches()

    finished = [record for item, r in zip(items, results, strict=True) if r.finished for record in _records(item, r)]
    jobs = [job(index) for index in missing]
    run_jobs(
        folder,
        jobs,
        finished,
        finished=finish,
        below=lambda: board.live(list(results)),
    )
    folder.results([record for pair in zip(items, results, strict=True) for record in _records(*pair)])
    folder.arrays(store.arrays(items))
    details, caption = board.COLUMNS, board.caption(parallel_programs())
    findings, tables, drawings = board.findings(results), [], figures.draw(results)
    if any(item.recipe.terms is not None for item in items):
        findings, drawings = ranking.findings(results), ranking.draw(results)
        tables, details = [Table(*ranking.table(results), ranking.CAPTION)], [*board.WITHOUT_PAPERS, *ranking.DETAILS]
    tables = [*tables, Table(details, board.sections(results), caption)]
    folder.show(Report("The long-dependency benchmark", findings, tables, drawings))


def _records(item: Item, result: Result) -> list[dict[str, Any]]:
    """Returns one flat record for each seed."""
    records = []
    curves = {metric: result.last(metric) for metric in result.curves}
    memory = [{name: np.array(seeds) for name, seeds in each.items()} for each in (result.before, result.after)]
    metrics = {"before": memory[0], "after": curves | memory[1]}
    searched = {"learning_rate": result.learning_rate, "step_time": result.step_time} if result.before else {}
    for seed, step in enumerate(result.solved_at):
        records.append(
            {
                **task_fields(item.name, seed, item.task, item.trainer, metrics, step is not None),
                **{name: getattr(result, name) for name in RECORDED},
                **searched,
                "definition": item.trainer.model.cell,
                "steps": result.steps[-1],
                "solved_at_step": step,
                "sequences_until_solved": None if step is None else step * result.batch_size,
                "seconds": result.seconds / result.seeds,
                "diverged": result.diverged[seed] is not None,
                "divergence": result.diverged[seed],
            }
        )
    return records
