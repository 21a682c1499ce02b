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

from rich.console import Console

from experiments import side_by_side
from experiments.command_line import writable
from experiments.dynamics import figures, summary
from experiments.dynamics.config import QUICK, Config, plan
from experiments.dynamics.measurement import Outcome, measure
from rnn_jax import files, report

__all__ = ["QUICK", "Config", "run"]


def run(config: Config, workdir: str) -> None:
    """Runs the experiment and writes config.json, results.json, arrays.npz, spectrum.png and training.png.

    `results.json` is written anew after every cell, so that what is interrupted keeps what it has.

    Raises:
      UserError: where the config cannot be run or `workdir` cannot be written.
    """
    runs = plan(config)
    folder = writable(workdir)
    console = Console()
    header = {"config": config, "environment": report.environment()}
    report.write_json(folder / "config.json", config)
    outcomes: dict[int, Outcome] = {}

    def finished(index: int, outcome: Outcome) -> None:
        outcomes[index] = outcome
        records = [record for i in sorted(outcomes) for record in summary.records(runs[i], outcomes[i])]
        report.write_json(folder / "results.json", {**header, "results": records})

    jobs = [functools.partial(measure, r, config) for r in runs]
    # One at a time: Lyapunov exponents and singular values are had by QR decompositions.
    side_by_side.run(jobs, [config.steps] * len(jobs), 1, console, finished)
    pairs = [(r, outcomes[i]) for i, r in enumerate(runs)]
    report.write_arrays(folder / "arrays.npz", summary.arrays(pairs))
    files.write(folder / "spectrum.png", figures.spectrum_figure(pairs))
    files.write(folder / "training.png", figures.training_figure(pairs))
    summary.show(console, pairs)
    console.print(f"{folder}: config.json, results.json, arrays.npz, spectrum.png, training.png")
