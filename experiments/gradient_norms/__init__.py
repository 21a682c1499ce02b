"""How far back does the gradient reach in an RNN, an LSTM and a GRU, and which of them learns such a dependency?

Measures ||dL/ds_t|| for every step t, at initialisation and after training, under several initialisations of each cell,
on tasks whose answer depends on inputs up to 100 steps back.

    python -m experiments.gradient_norms                                        # 4 minutes on two cores
    python -m experiments.gradient_norms --quick                                # under 30 seconds
    python -m experiments.gradient_norms --cells=rnn,lstm,my_module:MyCell      # with a user-defined cell
    python -m experiments.gradient_norms --tasks=mnist --mnist=FOLDER --steps=2000

Expected before training, at lag 99 of the adding problem: 0.64 of the last step's gradient in an IRNN, 0.2 and 0.09 in
a GRU and an LSTM with chrono biases, 5e-6 in an LSTM with forget bias 1, 2e-8 in an orthogonal tanh network, 2e-12 in a
GRU. After training every gated network keeps half of it and more.
"""

import functools

from experiments.common.run_folder import Report, RunFolder, Table
from experiments.common.runner import Job, parallel_programs, run_jobs
from experiments.common.settings import Settings, with_precision
from experiments.gradient_norms import summary
from experiments.gradient_norms.config import QUICK, Config, plan
from experiments.gradient_norms.measurement import measure

__all__ = ["QUICK", "Config", "plan", "run"]


@with_precision
def run(config: Config, workdir: str, settings: Settings = Settings()) -> None:
    """Runs the experiment and writes config.json, results.json, arrays.npz, one figure per task and summary.html."""
    runs = plan(config)
    folder = RunFolder(config, workdir, settings)
    # Default initialisations start first: the programs that they share with the others are then compiled.
    jobs = [
        Job(
            run.name,
            run.steps,
            functools.partial(measure, run, config),
            functools.partial(summary.records, run),
            rank=0 if run.is_default else 1,
        )
        for run in runs
    ]
    pairs = list(zip(runs, run_jobs(folder, jobs), strict=True))
    folder.arrays(summary.arrays(pairs))
    table = Table(summary.COLUMNS, summary.sections(pairs), summary.caption(config.seeds, parallel_programs()))
    folder.show(
        Report("How far back does the gradient reach?", summary.findings(pairs), [table], summary.figures(pairs))
    )
