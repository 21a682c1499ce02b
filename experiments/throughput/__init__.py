"""Is a recurrence in rnn_jax as fast as the hardware lets it be, and how does it compare with every peer?

The claim tested: the same cell and the same call take no more time than in PyTorch and less than in the other JAX
libraries, and memory, compile time and time per seed grow as slowly as each engine says. Measured in one run on one
machine, all that is compared in turn, medians; every library has the same weights and inputs, and what it computes is
checked first.

    python -m experiments.throughput                                      # 20 minutes on two cores
    python -m experiments.throughput --quick                              # under a minute
    python -m experiments.throughput --parts=layers --cells=lstm --shapes=32x100x128x128
    pip install ".[peers]"                                                # PyTorch, Keras, Haiku to compare with

Parts: `layers` (forward, forward and backward, of each cell and shape, in each library), `lengths` (the same over T),
`training` (a whole optimization step, 1 and 8 seeds), `recipes` (the long-dependency benchmark's trainings beside the
same in a plain PyTorch loop), `memory` (of each engine over T, and of truncated backpropagation), `compilation` (over
T, over layers), `seeds` (time per seed in one program), `loop` (what logging and checkpoints add to the steps),
`floor` (the matrix products alone).

To expect, at T 16 times longer: 16 times the memory with `Scan`, 3.9 times with `Checkpointed`, the same with truncated
backpropagation; and the same time to compile for 100 steps as for 10,000, within 5 %.
"""

import os
from typing import Any

import jax
from rich import progress
from rich.console import Console

from experiments.common.command_line import writable
from experiments.throughput import (
    compilation,
    figures,
    floor,
    layers,
    lengths,
    loop,
    memory,
    peers,
    recipes,
    seeds,
    summary,
    training,
)
from experiments.throughput.config import PARTS, QUICK, Config, check
from experiments.throughput.job import Record
from experiments.throughput.problem import PRECISION
from rnn_jax import files, report

__all__ = ["QUICK", "Config", "run"]

MODULES: dict[str, Any] = {
    "layers": layers,
    "lengths": lengths,
    "training": training,
    "recipes": recipes,
    "memory": memory,
    "compilation": compilation,
    "seeds": seeds,
    "loop": loop,
    "floor": floor,
}


def run(config: Config, workdir: str) -> None:
    """Runs the benchmark and writes config.json, results.json, a figure a part and summary.html.

    `results.json` is written anew after every comparison, so that what is interrupted keeps what it has.

    Raises:
      UserError: where the config cannot be run or `workdir` cannot be written.
      RuntimeError: where a library computes something else than it should.
    """
    check(config)
    folder = writable(workdir)
    # PyTorch works on the same GPU: JAX must not take most of its memory at the start.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    # A cache on disk would leave nothing to measure.
    jax.config.update("jax_enable_compilation_cache", False)
    console = Console()
    contestants, missing = peers.find()
    for name, why in missing.items():
        console.print(f"{name} does not take part: {why}", style="yellow", markup=False)
    environment = report.environment()
    versions = {name: environment[name] for name in ("jax", "jaxlib")} | peers.versions([c.name for c in contestants])
    header = {"config": config, "environment": environment, "versions": versions, "missing": missing}
    report.write_json(folder / "config.json", config)

    jobs = [(part, job) for part in PARTS if part in config.parts for job in MODULES[part].jobs(config, contestants)]
    records: list[Record] = []
    with _progress(console) as bars, jax.default_matmul_precision(PRECISION):
        bar = bars.add_task("", total=len(jobs))
        for part, job in jobs:
            bars.update(bar, description=f"{part}: {job.title}", refresh=True)
            records += job.run()
            report.write_json(folder / "results.json", {**header, "results": records})
            bars.update(bar, advance=1, refresh=True)
    pngs = figures.figures(records)
    for name, png in pngs.items():
        files.write(folder / f"{name}.png", png)
    files.write(folder / "summary.html", summary.page(records, pngs, header))
    summary.show(console, records, header)
    told = ", ".join(["config.json", "results.json", *(f"{name}.png" for name in pngs), "summary.html"])
    console.print(f"{folder}: {told}")


def _progress(console: Console) -> progress.Progress:
    return progress.Progress(
        progress.MofNCompleteColumn(),
        progress.BarColumn(bar_width=20),
        progress.TimeElapsedColumn(),
        progress.TextColumn("{task.description}"),
        console=console,
        auto_refresh=False,  # by a thread, which would take its time from what is measured
    )
