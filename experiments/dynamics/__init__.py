"""What does training do to the dynamics of a network: to its Lyapunov spectrum, its memory and its gradient's reach?

The claim tested: a network that learns a long dependency moves to the edge, its largest exponents up to zero, where
neither what it remembers nor its gradient dies out or explodes; one that cannot learn it stays where its directions die
out. Measured at checkpoints over the training, on trajectories driven by the task's own inputs: the exponents, the
singular values of ds_T/ds_{T-k}, how far the gradient reaches and how many units are saturated.

    python -m experiments.dynamics                                         # 2 minutes on two cores
    python -m experiments.dynamics --quick                                 # under 30 seconds
    python -m experiments.dynamics --task=copying --length=20 --cells=rnn,lstm_chrono
    python -m experiments.doctor --workdir=runs/dynamics

To expect, in the median over seeds: every gated network ends with its largest exponent within 0.02 of zero, wherever it
began (a GRU at -0.27, an LSTM with chrono biases at -0.013), and its loss falls as it gets there; in the LSTMs one to
four directions move up, in the GRU a third of them. The IRNN begins at zero and loses that from its first steps,
where its loss is largest; the orthogonal tanh network begins at -0.18 and moves further down. Neither learns.
"""

import functools

from experiments.common import parallel
from experiments.common.run_folder import RunFolder
from experiments.common.settings import Settings
from experiments.dynamics import figures, summary
from experiments.dynamics.config import QUICK, Config, plan
from experiments.dynamics.measurement import Outcome, measure

__all__ = ["QUICK", "Config", "run"]


def run(config: Config, workdir: str, settings: Settings = Settings()) -> None:
    """Runs the experiment and writes config.json, results.json, arrays.npz, spectrum.png and training.png.

    `results.json` is written anew after every cell, so that what is interrupted keeps what it has.

    Raises:
      UserError: where the config cannot be run, `workdir` cannot be written, or holds a run of another config.
    """
    runs = plan(config)
    folder = RunFolder(config, workdir, settings)
    outcomes: dict[int, Outcome] = {}

    def finished(index: int, outcome: Outcome) -> None:
        outcomes[index] = outcome
        records = [record for i in sorted(outcomes) for record in summary.records(runs[i], outcomes[i])]
        folder.results(records)

    jobs = [functools.partial(measure, r, config) for r in runs]
    # One at a time: Lyapunov exponents and singular values are had by QR decompositions.
    sessions = [folder.session(r.name) for r in runs]
    parallel.run(jobs, sessions, [config.steps] * len(jobs), 1, folder.console, finished)
    pairs = [(r, outcomes[i]) for i, r in enumerate(runs)]
    folder.arrays(summary.arrays(pairs))
    folder.file("spectrum.png", figures.spectrum_figure(pairs))
    folder.file("training.png", figures.training_figure(pairs))
    summary.show(folder.console, pairs)
    folder.print_written()
