"""Which recurrent network learns a dependency of length T, and after how many sequences?

The comparison that everybody quotes, to be run by one command: pinned tasks, several T, several seeds in one compiled
program each, and the published number beside ours.

    python -m experiments.long_dependency --preset=all_cpu                       # an hour on two cores
    python -m experiments.long_dependency --preset=adding                        # one of its parts
    python -m experiments.long_dependency --tasks=adding,copying --cells=lstm,my_module:MyCell --lengths=50,100
    python -m experiments.long_dependency --quick                                # under a minute

What is interrupted goes on by the same command: a finished item is not run again. A solved task is one whose criterion
was met on the whole test set at some look; an item ends when all its seeds have solved it.
"""

import functools
import threading
from pathlib import Path
from typing import Any

from experiments.common import parallel, run_files
from experiments.common.run_folder import RunFolder
from experiments.common.settings import Settings
from experiments.long_dependency import board, figures, findings
from experiments.long_dependency.config import QUICK, Config, Item, plan
from experiments.long_dependency.measurement import Outcome, measure
from experiments.long_dependency.result import Result
from experiments.long_dependency.store import Store
from rnn_jax import report

__all__ = ["QUICK", "Config", "plan", "run"]


def run(config: Config, workdir: str, settings: Settings = Settings()) -> None:
    """Runs the benchmark and writes items/, config.json, results.json, arrays.npz, figures and summary.html.

    An item's files are written as soon as it has ended; those of an item that is there are read instead of running it.

    Raises:
      UserError: where the config cannot be run, `workdir` cannot be written, or holds an item that was made otherwise.
    """
    items = plan(config)
    at_a_time = parallel.programs_at_a_time()
    environment = {**report.environment(), "programs_at_a_time": at_a_time}
    store = Store(Path(workdir), config)
    there = [store.read(item) if settings.resume else None for item in items]  # refused before anything is written
    results = [result or Result.waiting(item, config.seeds) for item, result in zip(items, there, strict=True)]
    folder = RunFolder(config, workdir, settings, {"environment": environment}, grows=True)
    if not settings.resume:
        store.clear()
    missing = [index for index, result in enumerate(results) if not result.finished]
    if len(missing) < len(items):
        folder.console.print(
            f"{folder.path}: {len(items) - len(missing)} of {len(items)} items are there, and are not run again"
        )
    lock = threading.Lock()

    def standing(index: int, result: Result) -> None:
        with lock:
            results[index] = result

    def below() -> Any:
        with lock:
            return board.live(results)

    def finished(place: int, outcome: Outcome) -> None:
        store.write(items[missing[place]], outcome)
        folder.console.print(findings.of_item(outcome.result), highlight=False, markup=False)

    jobs = [
        functools.partial(measure, items[i], config.seeds, config.seed, functools.partial(standing, i)) for i in missing
    ]
    sessions = [folder.session(items[i].name, store.made_by(items[i])) for i in missing]
    parallel.run(jobs, sessions, [items[i].work for i in missing], at_a_time, folder.console, finished, below)

    records = [record for pair in zip(items, results, strict=True) for record in _records(*pair)]
    folder.results(records)
    folder.arrays(store.arrays(items))
    caption, sections, words = board.caption(results, at_a_time), board.sections(results), findings.sentences(results)
    folder.show_parts(
        "The long-dependency benchmark",
        words,
        [(board.COLUMNS, sections, caption)],
        {f"{name}.png": (name, png) for name, png in figures.figures(results).items()},
    )


def _records(item: Item, result: Result) -> list[dict[str, Any]]:
    """One flat record a seed."""
    found = []
    for seed, step in enumerate(result.solved_at):
        metrics = {"after": {metric: curves[seed][-1] for metric, curves in result.curves.items()}}
        found.append(
            {
                **run_files.record(item.name, seed, item.task, item.trainer, metrics, step is not None),
                "task": result.task,
                "variant": result.variant,
                "length": result.length,
                "sequence_length": result.sequence_length,
                "cell": result.cell,
                "definition": item.trainer.model.cell,
                "parameters": result.parameters,
                "batch_size": result.batch_size,
                "steps": result.steps[-1],
                "solved_at_step": step,
                "sequences_until_solved": None if step is None else step * result.batch_size,
                "sequences_per_second": result.sequences_per_second,
                "seconds": result.seconds,
                "diverged": result.diverged[seed],
            }
        )
    return found
