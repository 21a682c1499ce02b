"""How far back does the gradient reach in an RNN, an LSTM and a GRU, and who learns a dependency of that length?

The textbook sentence is that gates keep the gradient. Measured here: ||dL/ds_t|| for every step t, at initialisation
and after training, under several initialisations of each cell, on tasks whose answer lies up to 100 steps back.

    python -m experiments.gradient_norms                                        # 4 minutes on two cores
    python -m experiments.gradient_norms --quick                                # under 30 seconds
    python -m experiments.gradient_norms --cells=rnn,lstm,my_module:MyCell      # your own cell beside them
    python -m experiments.gradient_norms --tasks=mnist --mnist=FOLDER --steps=2000

To expect, before training, at lag 99 of the adding problem: a gradient of 0.64 of that at the last step in an IRNN, 0.2
and 0.09 in a GRU and an LSTM with chrono biases, 5e-6 in an LSTM with forget bias 1, 2e-8 in an orthogonal tanh network
and 2e-12 in a GRU. After it every gated network has learnt to keep half of it and more.
"""

import functools
from typing import Any

from experiments.common import parallel
from experiments.common.run_folder import RunFolder
from experiments.common.settings import Settings
from experiments.gradient_norms import summary
from experiments.gradient_norms.config import QUICK, Config, Run, plan
from experiments.gradient_norms.measurement import Outcome, measure
from rnn_jax import report

__all__ = ["QUICK", "Config", "plan", "run"]


def run(config: Config, workdir: str, settings: Settings = Settings()) -> None:
    """Runs the experiment and writes config.json, results.json, arrays.npz, a figure a task and summary.html.

    `results.json` is written anew after every run, so that what is interrupted keeps what it has.

    Raises:
      UserError: where the config cannot be run, `workdir` cannot be written, or holds a run of another config.
    """
    runs = plan(config)
    at_a_time = parallel.programs_at_a_time()
    environment = {**report.environment(), "programs_at_a_time": at_a_time}
    folder = RunFolder(config, workdir, settings, {"environment": environment})
    outcomes: dict[int, Outcome] = {}
    records: dict[int, list[dict[str, Any]]] = {}
    # The defaults first: when another initialisation's turn comes, the programs they share are compiled.
    order = sorted(range(len(runs)), key=lambda i: not runs[i].is_default)

    def finished(place: int, outcome: Outcome) -> None:
        index = order[place]
        outcomes[index], records[index] = outcome, summary.records(runs[index], outcome)
        found = [record for i in sorted(records) for record in records[i]]
        folder.results(found)

    jobs = [functools.partial(measure, runs[i], config) for i in order]
    sessions = [folder.session(runs[i].name) for i in order]
    parallel.run(jobs, sessions, [runs[i].steps for i in order], at_a_time, folder.console, finished)
    pairs: list[tuple[Run, Outcome]] = [(r, outcomes[i]) for i, r in enumerate(runs)]
    folder.arrays(summary.arrays(pairs))
    figures = summary.figures(pairs)
    for task_name, png in figures.items():
        folder.file(f"{task_name}.png", png)
    folder.file("summary.html", summary.page(pairs, figures, folder.header))
    summary.show(folder.console, pairs, at_a_time)
    folder.tell_written()
