"""Which gradient? Exact, truncated and online estimators side by side: how near, how dear, and what is learnt by them.

Online estimators give a gradient after every step, in memory that does not grow with T. The question is what that
costs: in bias, in noise, in time, and in what is learnt by it at equal steps.

    python -m experiments.gradient_estimators                               # 4 minutes on two cores
    python -m experiments.gradient_estimators --quick                       # under a minute
    python -m experiments.gradient_estimators --cells=rnn,lstm,gru          # 6 minutes
    python -m experiments.gradient_estimators --text=FILE --tasks=characters --steps=2000

To expect: RTRL equal to BPTT within 1e-5, in 10 to 40 times its time; SnAp-1 and e-prop at a cosine of 0.8 to 0.96 to
the gradient on adding, and learning it nearly as fast; UORO without bias, with a deviation of 1 to 20 times the
gradient's norm, and hardly learning. On copying, truncated BPTT looks nearly exact on fresh parameters (0.9 and more)
and is far off on trained ones (0.2), where the gradient reaches further back.
"""

import functools
from typing import Any

from experiments.common import parallel
from experiments.common.run_folder import RunFolder
from experiments.common.settings import Settings
from experiments.gradient_estimators import cost, figures, learning, quality, summary
from experiments.gradient_estimators.config import QUICK, Config, Problem, lengths, plan
from experiments.gradient_estimators.results import Results, short
from rnn_jax import training

__all__ = ["QUICK", "Config", "plan", "run"]


def run(config: Config, workdir: str) -> None:
    """Runs the experiment and writes config.json, results.json, arrays.npz and a figure a cell.

    `results.json` is written anew after every piece, so that what is interrupted keeps what it has.

    Raises:
      UserError: where the config cannot be run, `workdir` cannot be written, or another process has it.
    """
    problems, steps_timed = plan(config), lengths(config)
    folder = RunFolder(config, workdir, Settings(resume=False))
    results = Results(config, problems)

    def keep() -> None:
        folder.results(summary.records(results))

    # Timed first, while nothing else runs.
    first_task = problems[0].task_name
    with folder.console.status("timing"):
        for problem in (p for p in problems if p.task_name == first_task):
            for steps in steps_timed:
                results.costs.extend(cost.measure(problem, config, steps))
                keep()

    jobs: list[parallel.Job[Any]] = []
    places: list[tuple[Problem, str]] = []
    for problem in problems:
        jobs.append(functools.partial(quality.measure, problem, config))
        places.append((problem, "BPTT"))
    for problem in problems:
        for name, estimator in problem.estimators(config).items():
            if name != "BPTT":
                jobs.append(functools.partial(learning.measure, problem, estimator, config))
                places.append((problem, name))

    def finished(index: int, outcome: Any) -> None:
        problem, name = places[index]
        results.add(problem, name, outcome)
        keep()

    at_a_time = parallel.programs_at_a_time()
    parallel.run(
        jobs, [training.Session()] * len(jobs), [config.steps] * len(jobs), at_a_time, folder.console, finished
    )
    folder.arrays(summary.arrays(results))
    drawn = {name: figures.figure(results, name) for name in config.cells}
    for name, png in drawn.items():
        folder.file(f"{short(name)}.png", png)
    summary.show(folder.console, results)
    folder.print_written()
