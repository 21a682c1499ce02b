"""At which recurrent gain does the gradient explode, which trainings does that undo, and what does clipping mend?

The textbook's sentence is that the gradient vanishes where the largest singular value of W_h, times the steepest slope
of the activation, is below 1, and can explode above. Measured here on the adding problem, T = 100, for W_h = g Q with Q
orthogonal, or Gaussian of variance 1/H: the slope of ln ||dL/ds_{T-k}|| over the lag k beside that bound and beside the
network at rest. Then all of them are trained, with plain SGD as in Pascanu, Mikolov & Bengio 2013 (arXiv:1211.5063),
without clipping and with three kinds of it: Adam would divide a gradient of 10^9 by 10^9 and hide what happens.

    python -m experiments.exploding              # 2 minutes on two cores
    python -m experiments.exploding --quick      # under 30 seconds
    python -m experiments.exploding --activations=relu --clippings=none,norm --gains=1,1.2,1.4,1.6
    python -m experiments.doctor --workdir=runs/exploding

To expect: no slope above the bound, which suffices and is far from needed: where the bound allows growth from g = 1 on,
an orthogonal network's gradient grows from 1.0 (linear), 1.5 (tanh) and 1.5 (ReLU; sqrt(2) by theory). Above it, an
unclipped ReLU network overflows within three steps of SGD; a tanh network stays finite and at the baseline while 99 %
of its activations stand on a rail and no gradient passes: a finite loss does not show that nothing exploded.
Clipping by norm keeps every ReLU network up to g = 1.5 finite; at 2, four of five overflow in their first step.
"""

import functools

import jax

from experiments.common import parallel
from experiments.common.run_folder import RunFolder
from experiments.common.settings import Settings
from experiments.exploding import boundary, figures, summary, survival
from experiments.exploding.config import QUICK, Config, plan
from experiments.exploding.quantities import Findings
from experiments.exploding.survival import Outcome
from rnn_jax import training

__all__ = ["QUICK", "Config", "run"]


def run(config: Config, workdir: str, settings: Settings = Settings()) -> None:
    """Runs the experiment and writes config.json, results.json, arrays.npz, boundary.png and training.png.

    `results.json` is written anew after every training, so that what is interrupted keeps what it has.

    Raises:
      UserError: where the config cannot be run, `workdir` cannot be written, or holds a run of another config.
    """
    task, gains, trainings = plan(config)
    folder = RunFolder(config, workdir, settings)

    key_boundary, key_init, key_training = jax.random.split(jax.random.key(config.seed), 3)
    boundaries = boundary.measure(config, task, gains, key_boundary)
    outcomes: dict[int, Outcome] = {}
    records = {-1: [record for b in boundaries for record in summary.of_boundary(b, gains, task)]}

    def keep() -> None:
        finished = [record for i in sorted(records) for record in records[i]]
        folder.results(finished)

    def finished(index: int, outcome: Outcome) -> None:
        outcomes[index] = outcome
        records[index] = summary.of_training(trainings[index], outcome, gains, task, config)
        keep()

    keep()
    # The same networks for every job, drawn here: an orthogonal matrix is made by a QR decomposition.
    state = jax.block_until_ready(training.init(trainings[0].trainer, jax.random.split(key_init, config.seeds)))
    jobs = [functools.partial(survival.measure, t, config, task, gains, state, key_training) for t in trainings]
    at_a_time = parallel.programs_at_a_time()
    sessions = [folder.session(f"{t.activation}/{t.clipping}") for t in trainings]
    parallel.run(jobs, sessions, [config.steps] * len(jobs), at_a_time, folder.console, finished)

    found = Findings(config, task, gains, boundaries, [(t, outcomes[i]) for i, t in enumerate(trainings)])
    folder.arrays(summary.arrays(found))
    folder.file("boundary.png", figures.boundary_figure(found))
    folder.file("training.png", figures.training_figure(found))
    summary.show(folder.console, found)
    folder.print_written()
