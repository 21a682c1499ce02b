"""Which recurrences does Newton's method solve in parallel over time, and what decides?

The claim tested (Gonzalez et al. 2025, arXiv:2508.16817): a network with a negative largest Lyapunov exponent needs a
few iterations, whatever T; one with a positive exponent as many as there are steps. Counted for fresh networks at
several recurrent gains and for trained ones, one sequence of the adding problem each; then errors by iteration, time,
memory, launches on devices that are not here, and trainings by Newton beside those by `Scan`.

    python -m experiments.newton                             # 7 minutes on two cores
    python -m experiments.newton --quick                     # a minute
    python -m experiments.newton --cells=gru,my_module:MyCell --gains=1 --lengths=1000
    pip install ".[compile-tpu,compile-cuda]"                # launches for --compile_for=h200,v5e are counted, too

Expected: networks whose exponent is below -0.1 converge in 1 to 10 iterations at any T (a fresh GRU: 4), those above 0
in no number that pays; in between, transient growth decides (kappa), and a nearly linear step helps (coRNN: 2). A
trained GRU needs 40. On two cores Newton is slower than the loop everywhere; an H200 would launch 247 kernels for a
gradient over T = 10,000 in place of 70,023.
"""

import functools
import operator

from experiments.common.records import training_arrays
from experiments.common.run_folder import RunFolder
from experiments.common.runner import Job, run_jobs
from experiments.common.settings import Settings, with_precision
from experiments.newton import cost
from experiments.newton.config import QUICK, Config, plan
from experiments.newton.measurement import measure
from experiments.newton.summary import summarize

__all__ = ["QUICK", "Config", "run"]


@with_precision
def run(config: Config, workdir: str, settings: Settings = Settings()) -> None:
    """Runs the experiment and writes config.json, results.json, arrays.npz, figures and summary.html.

    A resumed run measures costs anew.
    """
    ready = plan(config)
    folder = RunFolder(config, workdir, settings)
    with folder.console.status("timing"):  # while nothing else runs
        costs = cost.time_engines(config, ready)
    with folder.console.status("compiling"):
        costs += cost.count_launches(config, ready, folder.print)
    steps = {"Scan": config.steps, "Newton": config.compared}
    jobs = [
        Job("/".join(name), steps[name[1]], functools.partial(measure, *name, config, ready), operator.itemgetter(0))
        for name in ready.trainers
    ]
    outcomes = dict(zip(ready.trainers, run_jobs(folder, jobs, costs), strict=True))
    curves = [training_arrays("/".join(name), history) for name, (_, history) in outcomes.items()]
    folder.arrays(functools.reduce(operator.or_, curves))
    folder.show(summarize(ready, costs, outcomes))
