"""Series: which class is a time series of, such as a heartbeat, a movement or a speaker?

Many-to-one: one class for a series of several channels and any length. Networks against one nearest neighbour by
dynamic time warping (DTW), logistic regression on simple features, and the most frequent class. Channels are
standardised on the training set; validation chooses the epoch and the baselines' settings; the test set is evaluated
once, at the end.

    python -m experiments.series                                         # generated heartbeats
    python -m experiments.series --train=X_TRAIN.ts --test=X_TEST.ts     # of the UCR and UEA archives
    python -m experiments.series --data=FOLDER                           # FOLDER/CLASS/*.csv, or a labels.csv
    python -m experiments.series --quick                                 # a small version, under a minute

A .ts file has a header, then a series a line, channels separated by colons. A CSV file holds one series, a row a step
and a column a channel; its class is its folder's name, or stands in a labels.csv with the columns file and label.
Missing values are refused, or with --fill interpolated. Without --validation a part of the training file validates.

Expected, in percent of the test set, mean of three seeds: generated heartbeats 99.0 by the GRU, 99.2 by the LSTM, 92.2
by the RNN, 93.3 by logistic regression, 83.7 by DTW; five minutes on two cores. Japanese vowels (official split, one
minute): 98.1 by the bidirectional GRU, 98.6 by logistic regression, 96.5 by DTW.
"""

import functools

from experiments.common import classification, fitting
from experiments.common.run_folder import RunFolder
from experiments.common.runner import Status, run_jobs
from experiments.common.settings import Settings, with_precision
from experiments.series import summary
from experiments.series.config import QUICK, Config, loss, plan

__all__ = ["QUICK", "Config", "plan", "run"]


@with_precision
def run(config: Config, workdir: str, settings: Settings = Settings()) -> None:
    """Runs the experiment and writes config.json, results.json, arrays.npz, figures and summary.html."""
    data, networks = plan(config)
    folder, status = RunFolder(config, workdir, settings), Status()
    folder.print(f"{data.source}. {data.note}")
    baselines = summary.baselines(config, data)
    records = functools.partial(summary.records, config, data, baselines)
    jobs = [classification.job(config, data, network, loss, records, status) for network in networks]
    outcomes = run_jobs(folder, jobs, [record for row in baselines for record in records(row)], below=status)
    folder.arrays(fitting.training_arrays(outcomes, "accuracy", classification.accuracy))
    folder.show(summary.summarize(config, data, baselines, outcomes))
