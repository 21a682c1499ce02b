"""How close are truncated and online estimators to the exact gradient, what do they cost, and what do they learn?

Online estimators give a gradient after every step, in memory that does not grow with T, and pay in bias, noise or time.

    python -m experiments.gradient_estimators                               # 4 minutes on two cores
    python -m experiments.gradient_estimators --quick                       # under a minute
    python -m experiments.gradient_estimators --cells=rnn,lstm,gru          # 6 minutes
    python -m experiments.gradient_estimators --text=FILE --tasks=characters --steps=2000

Expected: RTRL equals BPTT within 1e-5, in 10 to 40 times its time. SnAp-1 and e-prop have a cosine of 0.8 to 0.96 to
the gradient on adding, and learn it nearly as fast. UORO has no bias, deviates by 1 to 20 times the gradient's norm,
and hardly learns. On copying, truncated BPTT is nearly exact on initial parameters (0.9 and more) and far off on
trained ones (0.2): their gradient reaches further back.
"""

import functools
import operator

from experiments.common.run_folder import RunFolder
from experiments.common.runner import Job, run_jobs
from experiments.common.settings import Settings, with_precision
from experiments.gradient_estimators.config import QUICK, Config, plan
from experiments.gradient_estimators.measurement import measure, measure_cost
from experiments.gradient_estimators.summary import summarize

__all__ = ["QUICK", "Config", "plan", "run"]


@with_precision
def run(config: Config, workdir: str, settings: Settings = Settings()) -> None:
    """Runs the experiment and writes config.json, results.json, arrays.npz, a figure for each cell and summary.html.

    A resumed run measures costs, and trains on characters, anew.
    """
    problems, lengths = plan(config)
    folder = RunFolder(config, workdir, settings)
    with folder.console.status("timing"):  # on the first task, while nothing else runs
        costs = [r for p in problems[: len(config.cells)] for steps in lengths for r in measure_cost(config, p, steps)]
    runs = {f"{p.task_name}/{p.cell_name}/{name}": (p, name) for p in problems for name in p.trainers}
    jobs = [
        Job(run, config.steps, functools.partial(measure, config, problem, name), operator.itemgetter(0))
        for run, (problem, name) in runs.items()
    ]
    outcomes = run_jobs(folder, jobs, costs)
    curves = dict(zip(runs, (losses for _, losses in outcomes), strict=True))
    folder.arrays(curves)
    folder.show(summarize(config, problems, [*costs, *(record for each, _ in outcomes for record in each)], curves))
