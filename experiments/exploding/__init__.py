"""At which recurrent gain does the gradient explode, and what does clipping repair?

The gradient vanishes if the largest singular value of W_h, times the steepest slope of the activation, is below 1, and
can explode above. Measured on the adding problem for W_h = g Q with Q orthogonal, or Gaussian of variance 1/H: the
slope of ln ||dL/ds_{T-k}|| over the lag k, beside that bound and the network at rest. Then all networks are trained
with plain SGD (Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063) under four clippings; Adam would divide a gradient of
10^9 by 10^9.

    python -m experiments.exploding              # 2 minutes on two cores
    python -m experiments.exploding --quick      # under 30 seconds
    python -m experiments.exploding --activations=relu --clippings=none,norm --gains=1,1.2,1.4,1.6
    python -m experiments.doctor --workdir=runs/exploding

Expected: no slope above the bound, which is sufficient and far from necessary: an orthogonal network's gradient grows
from g = 1.0 (linear), 1.5 (tanh) and 1.5 (ReLU; sqrt(2) in theory). Above it an unclipped ReLU network overflows within
three steps; a tanh network stays finite while 99 % of its activations are saturated. Clipping by norm keeps every ReLU
network up to g = 1.5 finite; at 2, four of five overflow in their first step.
"""

import functools

import jax

from experiments.common.run_folder import Report, RunFolder
from experiments.common.runner import Job, run_jobs
from experiments.common.settings import Settings
from experiments.exploding import boundary, figures, summary, survival
from experiments.exploding.config import QUICK, Config, plan
from rnn_jax import training

__all__ = ["QUICK", "Config", "run"]


def run(config: Config, workdir: str, settings: Settings = Settings()) -> None:
    """Runs the experiment and writes config.json, results.json, arrays.npz, figures and summary.html.

    Raises:
      UserError: if the config cannot be run, `workdir` cannot be written, or it holds a run of another config.
    """
    ready = plan(config)
    folder = RunFolder(config, workdir, settings)
    key_boundary, key_init, key_training = jax.random.split(jax.random.key(config.seed), 3)
    boundaries = boundary.measure(ready, key_boundary)
    # The same networks for every job, drawn here: an orthogonal matrix is made by a QR decomposition.
    keys = jax.random.split(key_init, config.seeds)
    state = jax.block_until_ready(training.init(ready.trainings[0].trainer, keys))
    jobs = [
        Job(
            f"{each.activation}/{each.clipping}",
            config.steps,
            functools.partial(survival.measure, ready, each, state, key_training),
            functools.partial(summary.training_records, ready, each),
        )
        for each in ready.trainings
    ]
    outcomes = run_jobs(folder, jobs, summary.boundary_records(ready, boundaries))
    results = summary.Results(ready, boundaries, list(zip(ready.trainings, outcomes, strict=True)))
    folder.arrays(summary.arrays(results))
    tables = [summary.boundary_table(results), summary.training_table(results)]
    folder.show(Report("Exploding gradients", summary.findings(results), tables, figures.figures(results)))
