"""At which recurrent gain does the gradient explode, and what does clipping repair?

The gradient vanishes if the largest singular value of W_h, times the steepest slope of the activation, is below 1, and
can explode above. Measured on the adding problem for W_h = g Q with Q orthogonal, or Gaussian of variance 1/H: the
slope of ln ||dL/ds_{T-k}|| over the lag k, beside that bound and the network at rest. Then all networks are trained
with plain SGD (Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063): Adam would divide a gradient of 10^9 by 10^9.

    python -m experiments.exploding              # 2 minutes on two cores
    python -m experiments.exploding --quick      # under 30 seconds
    python -m experiments.exploding --activations=relu --clippings=none,norm --gains=1,1.2,1.4,1.6
    python -m experiments.doctor --workdir=runs/exploding

Expected: no slope above the bound, which is sufficient and far from necessary: an orthogonal network's gradient grows
from g = 1.0 (linear), 1.5 (tanh) and 1.5 (ReLU; sqrt(2) in theory). Above it an unclipped ReLU network overflows within
three steps; a tanh network stays finite while 99 % of its activations are saturated. Clipping by norm keeps every ReLU
network up to g = 1.75 finite; at 2, the loss of two of five overflows in the first step.
"""

import functools
import operator

import jax

from experiments.common.run_folder import RunFolder
from experiments.common.runner import Job, init_state, run_jobs
from experiments.common.settings import Settings, with_precision
from experiments.exploding.config import QUICK, Config, plan
from experiments.exploding.measurement import measure_initial, measure_training
from experiments.exploding.summary import summarize

__all__ = ["QUICK", "Config", "run"]


@with_precision
def run(config: Config, workdir: str, settings: Settings = Settings()) -> None:
    """Runs the experiment and writes config.json, results.json, arrays.npz, figures and summary.html."""
    ready = plan(config)
    folder = RunFolder(config, workdir, settings)
    key_initial, key_seeds, key_training = jax.random.split(jax.random.key(config.seed), 3)
    initial, arrays = measure_initial(ready, key_initial)
    # The same networks for every job, initialised before them: an orthogonal matrix is made by a QR decomposition.
    state = init_state(next(iter(ready.trainers.values())), jax.random.split(key_seeds, config.seeds))
    train = functools.partial(measure_training, ready, state, key_training)
    jobs = [Job("/".join(n), config.steps, functools.partial(train, n), operator.itemgetter(0)) for n in ready.trainers]
    outcomes = run_jobs(folder, jobs, initial)
    folder.arrays(functools.reduce(operator.or_, (curves for _, curves in outcomes), arrays))
    folder.show(summarize(ready, initial, [record for records, _ in outcomes for record in records]))
