"""What does training do to Lyapunov exponents, memory and gradient reach?

The claim tested: a network that learns a long dependency moves to the edge of stability, its largest exponents up to
zero, at which neither its memory nor its gradient dies out or explodes; one that cannot learn it stays stable. Measured
at checkpoints of the training, on trajectories driven by the task's own inputs.

    python -m experiments.dynamics                                         # 2 minutes on two cores
    python -m experiments.dynamics --quick                                 # under 30 seconds
    python -m experiments.dynamics --task=copying --length=20 --cells=rnn,lstm_chrono
    python -m experiments.doctor --workdir=runs/dynamics

Expected, in the median over seeds: every gated network ends with its largest exponent within 0.02 of zero, wherever it
started (a GRU at -0.27, an LSTM with chrono biases at -0.013), and its loss falls as it gets there; in the LSTMs one to
four directions move up, in the GRU a third of them. The IRNN starts at zero and leaves it in its first steps, at its
largest loss; the orthogonal tanh network starts at -0.18 and moves further down. Neither learns.
"""

import functools

from experiments.common.run_folder import Report, RunFolder
from experiments.common.runner import Job, run_jobs
from experiments.common.settings import Settings, with_precision
from experiments.dynamics import summary
from experiments.dynamics.config import QUICK, Config, plan
from experiments.dynamics.measurement import measure

__all__ = ["QUICK", "Config", "run"]


@with_precision
def run(config: Config, workdir: str, settings: Settings = Settings()) -> None:
    """Runs the experiment and writes config.json, results.json, arrays.npz, figures and summary.html."""
    runs = plan(config)
    folder = RunFolder(config, workdir, settings)
    jobs = [
        Job(r.name, config.steps, functools.partial(measure, r, config), functools.partial(summary.records, r))
        for r in runs
    ]
    # One at a time: Lyapunov exponents and singular values need QR decompositions (see `runner`).
    pairs = list(zip(runs, run_jobs(folder, jobs, at_a_time=1), strict=True))
    folder.arrays(summary.arrays(pairs))
    folder.show(
        Report("Dynamics over training", summary.findings(pairs), [summary.table(pairs)], summary.figures(pairs))
    )
