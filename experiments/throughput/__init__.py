"""Is a recurrence in rnn_jax as fast as the hardware allows, and how does it compare with other libraries?

The claim tested: the same cell and the same call take no more time than in PyTorch and less than in the other JAX
libraries, and memory, compile time and time per seed grow as slowly as each engine's documentation says. Everything
that is compared runs interleaved, on the same weights and inputs; outputs and gradients are compared first.

    python -m experiments.throughput                                      # 40 minutes on two cores, estimated
    python -m experiments.throughput --quick                              # under a minute
    python -m experiments.throughput --parts=layers --cells=lstm --shapes=32x100x128x128
    pip install ".[peers]"                                                # PyTorch, Keras, Haiku to compare with
    python -m experiments.throughput --compile_for=v5e,h200               # compiles for them; 15 minutes a device
    pip install ".[compile-tpu,compile-cuda]"                             # their compilers

Parts: `layers` (forward, forward and backward, of each cell and shape, in each library), `lengths` (the same over T),
`training` (a whole optimization step, 1 and 8 seeds), `recipes` (the long-dependency benchmark's trainings beside the
same in a plain PyTorch loop), `memory` (of each engine over T, and of truncated backpropagation), `compilation` (time
until the first gradient, in each library), `growth` (time, memory and compile time over T, B, H, layers and seeds),
`loop` (what logging and checkpoints add to the steps), `floor` (the matrix products alone).

Expected when T grows 16 times: 16 times the memory with `Scan`, 3.9 times with `Checkpointed`, the same with truncated
backpropagation; and the same time to compile.
"""

import functools
import os

import jax
from rich.progress import Progress

from experiments import peers
from experiments.common.run_folder import Report, RunFolder
from experiments.common.settings import Settings, with_precision
from experiments.common.tables import Record, select
from experiments.throughput import compiled, contestants
from experiments.throughput.config import PARTS, QUICK, Config
from rnn_jax import machine, mesh, plotting

__all__ = ["QUICK", "Config", "run"]


@with_precision
def run(config: Config, workdir: str) -> None:
    """Runs the benchmark and writes config.json, results.json, one figure for most parts and summary.html.

    `results.json` is rewritten after every comparison: an interrupted run keeps what it has, but does not resume.

    Raises:
      UserError: if the config cannot be run or `workdir` cannot be written.
      RuntimeError: if a library computes something else than `Scan`.
    """
    jax.config.update("jax_enable_compilation_cache", False)  # before JAX compiles anything: it looks only once
    mesh.make_cpu_devices(machine.cores())
    config.check()
    # PyTorch uses the same GPU, so JAX must not allocate most of its memory at the start.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    folder = RunFolder(config, workdir, Settings(resume=False))
    libraries, missing = contestants.find(compiled.PEERS if config.compile_for else None)
    for name, reason in missing.items():
        folder.print(f"{name} does not take part: {reason}")
    environment = folder.header["environment"]
    versions = {name: environment[name] for name in ("jax", "jaxlib")} | peers.versions(libraries)
    folder.header |= {"versions": versions, "missing": missing}

    timed = {name: part for name, part in PARTS.items() if name in config.parts}
    chosen = {"compiled": compiled.COMPILED} if config.compile_for else timed
    comparisons = [(name, title, case) for name in chosen for title, case in chosen[name].cases(config).items()]
    records: list[Record] = []
    # Without auto_refresh, because its thread would take time from the measurements.
    with Progress(console=folder.console, auto_refresh=False) as bars:
        bar = bars.add_task("")
        for name, title, case in bars.track(comparisons, task_id=bar):
            bars.update(bar, description=f"{name}: {title}", refresh=True)
            records += [{"part": name, **record} for record in chosen[name].measure(config, libraries, case)]
            folder.results(records)

    folder.print(", ".join(f"{name} {value}" for name, value in (environment | versions).items()))
    groups = [(part, select(records, part=name)) for name, part in chosen.items()]
    figures = {f"{name}.png": part.figure(select(records, part=name)) for name, part in chosen.items() if part.figure}
    folder.show(
        Report(
            "How fast is a recurrence, beside other libraries?",
            [sentence for part, group in groups for sentence in part.findings(group)],
            [part.table(group) for part, group in groups],
            {
                name: (figure.get_suptitle(), functools.partial(plotting.png, figure))
                for name, figure in figures.items()
            },
        )
    )
