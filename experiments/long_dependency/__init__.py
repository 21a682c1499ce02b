"""Which recurrent network learns a dependency of length T, and after how many sequences?

The comparison that everybody quotes, to be run by one command: pinned tasks, several T, several seeds in one compiled
program each, and the published number beside ours.

    python -m experiments.long_dependency --preset=all_cpu                       # 90 minutes on two cores
    python -m experiments.long_dependency --preset=adding                        # one of its parts
    python -m experiments.long_dependency --tasks=adding,copying --cells=lstm,my_module:MyCell --lengths=50,100
    python -m experiments.long_dependency --quick                                # under a minute

What is interrupted goes on by the same command: a finished item is not run again. A solved task is one whose criterion
was met on the whole test set at some look; an item ends when all its seeds have solved it.
"""

import functools
import threading
from typing import Any

from rich.console import Console

from experiments import run_files, side_by_side
from experiments.command_line import writable
from experiments.long_dependency import board, figures, findings
from experiments.long_dependency.config import QUICK, Config, Item, plan
from experiments.long_dependency.measurement import Outcome, measure
from experiments.long_dependency.result import Result
from experiments.long_dependency.store import Store
from rnn_jax import files, report

__all__ = ["QUICK", "Config", "plan", "run"]


def run(config: Config, workdir: str) -> None:
    """Runs the benchmark and writes items/, config.json, results.json, arrays.npz, figures and summary.html.

    An item's files are written as soon as it has ended; those of an item that is there are read instead of running it.

    Raises:
      UserError: where the config cannot be run, `workdir` cannot be written, or holds an item that was made otherwise.
    """
    items = plan(config)
    folder = writable(workdir)
    store, console = Store(folder, config), Console()
    results = [store.read(item) or Result.waiting(item, config.seeds) for item in items]
    missing = [index for index, result in enumerate(results) if not result.finished]
    if len(missing) < len(items):
        console.print(f"{folder}: {len(items) - len(missing)} of {len(items)} items are there, and are not run again")
    report.write_json(folder / "config.json", config)
    at_a_time = side_by_side.programs_at_a_time()
    lock = threading.Lock()

    def standing(index: int, result: Result) -> None:
        with lock:
            results[index] = result

    def below() -> Any:
        with lock:
            return board.live(results)

    def finished(place: int, outcome: Outcome) -> None:
        store.write(items[missing[place]], outcome)
        console.print(findings.of_item(outcome.result), highlight=False, markup=False)

    jobs = [
        functools.partial(measure, items[i], config.seeds, config.seed, functools.partial(standing, i)) for i in missing
    ]
    side_by_side.run(jobs, [items[i].work for i in missing], at_a_time, console, finished, below)

    header = {"config": config, "environment": {**report.environment(), "programs_at_a_time": at_a_time}}
    records = [record for pair in zip(items, results, strict=True) for record in _records(*pair)]
    report.write_json(folder / "results.json", {**header, "results": records})
    report.write_arrays(folder / "arrays.npz", store.arrays(items))
    pngs = figures.figures(results)
    for name, png in pngs.items():
        files.write(folder / f"{name}.png", png)
    caption, sections, words = board.caption(results, at_a_time), board.sections(results), findings.sentences(results)
    table = report.html_table(board.COLUMNS, sections, caption)
    files.write(folder / "summary.html", report.page("The long-dependency benchmark", words, table, pngs, header))
    console.print(report.text_tables(board.COLUMNS, sections, caption), highlight=False)
    for sentence in words:
        console.print(f"- {sentence}", markup=False, highlight=False)
    console.print(f"{folder}: items/, results.json, arrays.npz, {', '.join(pngs)} (.png), summary.html")


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
