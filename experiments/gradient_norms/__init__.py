"""How far back does the gradient reach in an RNN, an LSTM and a GRU, and who learns a dependency of that length?

The textbook sentence is that gates keep the gradient. Measured here: ||dL/ds_t|| for every step t, at initialisation
and after training, under several initialisations of each cell, on tasks whose answer lies up to 100 steps back.

    python -m experiments.gradient_norms                                        # 3.5 minutes on two cores
    python -m experiments.gradient_norms --quick                                # under 30 seconds
    python -m experiments.gradient_norms --cells=rnn,lstm,my_module:MyCell      # your own cell beside them
    python -m experiments.gradient_norms --tasks=mnist --mnist=FOLDER --steps=2000

To expect, before training, at lag 99 of the adding problem: a gradient of 0.64 of that at the last step in an IRNN, 0.2
and 0.09 in a GRU and an LSTM with chrono biases, 5e-6 in an LSTM with forget bias 1, 2e-8 in an orthogonal tanh network
and 2e-12 in a GRU. After it every gated network has learnt to keep half of it and more.
"""

import concurrent.futures
import threading
from typing import Any

import jax
from rich import progress
from rich.console import Console
from rich.text import Text

from experiments.command_line import writable
from experiments.gradient_norms import summary
from experiments.gradient_norms.config import QUICK, Config, Run, plan
from experiments.gradient_norms.measurement import Outcome, measure
from rnn_jax import files, report

__all__ = ["QUICK", "Config", "plan", "run"]


def run(config: Config, workdir: str) -> None:
    """Runs the experiment and writes config.json, results.json, arrays.npz, a figure a task and summary.html.

    `results.json` is written anew after every run, so that what is interrupted keeps what it has.

    Raises:
      UserError: where the config cannot be run or `workdir` cannot be written.
    """
    runs = plan(config)
    folder = writable(workdir)
    console = Console()
    environment = report.environment()
    # A small program keeps about one core busy: on a CPU as many run side by side as there are cores.
    at_a_time = environment["cpus"] if jax.default_backend() == "cpu" else 1
    header = {"config": config, "environment": {**environment, "programs_at_a_time": at_a_time}}
    report.write_json(folder / "config.json", config)

    outcomes: dict[int, Outcome] = {}
    records: dict[int, list[dict[str, Any]]] = {}
    stop = threading.Event()
    with _progress(console) as bars, concurrent.futures.ThreadPoolExecutor(at_a_time) as pool:
        bar = bars.add_task("", total=sum(r.steps for r in runs), done=f"0/{len(runs)} runs")

        def advance(steps: int) -> None:
            bars.advance(bar, steps)

        def tell(text: str) -> None:
            bars.console.print(text, style="red", markup=False)

        # The defaults first: when another initialisation's turn comes, the programs they share are compiled.
        order = sorted(range(len(runs)), key=lambda i: not runs[i].is_default)
        running = {pool.submit(measure, runs[i], config, advance, tell, stop): i for i in order}
        try:
            for future in concurrent.futures.as_completed(running):
                outcome = future.result()
                assert outcome is not None  # only a stopped run has none
                index = running[future]
                outcomes[index], records[index] = outcome, summary.records(runs[index], outcome)
                bars.update(bar, done=f"{len(outcomes)}/{len(runs)} runs")
                finished = [record for i in sorted(records) for record in records[i]]
                report.write_json(folder / "results.json", {**header, "results": finished})
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    pairs: list[tuple[Run, Outcome]] = [(r, outcomes[i]) for i, r in enumerate(runs)]
    report.write_arrays(folder / "arrays.npz", summary.arrays(pairs))
    figures = summary.figures(pairs)
    for task_name, png in figures.items():
        files.write(folder / f"{task_name}.png", png)
    files.write(folder / "summary.html", summary.page(pairs, figures, header))
    summary.show(console, pairs, at_a_time)
    console.print(f"{folder}: config.json, results.json, arrays.npz, {', '.join(figures)} (.png), summary.html")


class _Rate(progress.ProgressColumn):
    """Optimization steps a second."""

    def render(self, task: progress.Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.0f} steps/s" if speed else "compiling")


def _progress(console: Console) -> progress.Progress:
    return progress.Progress(
        progress.TextColumn("{task.fields[done]}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn("steps"),
        _Rate(),
        progress.TimeRemainingColumn(),
        progress.TextColumn("left"),
        console=console,
        speed_estimate_period=60,
    )
