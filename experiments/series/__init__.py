"""Series: which class is a time series of, such as a heartbeat, a movement or a speaker?

Many-to-one: one class for a series of several channels and any length. Networks against one nearest neighbour by
dynamic time warping (DTW), logistic regression on simple features, and the most frequent class. Channels are
standardised on the training set; validation chooses the epoch and the baselines' settings; the test set is evaluated
once, at the end.

    python -m experiments.series                                         # generated heartbeats
    python -m experiments.series --train=X_TRAIN.ts --test=X_TEST.ts     # of the UCR and UEA archives
    python -m experiments.series --data=FOLDER                           # FOLDER/CLASS/*.csv, or a labels.csv
    python -m experiments.series --quick                                 # a small version, under a minute
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
    records = functools.partial(summary.records, config, data)
    baselines = summary.baselines(config, data)
    jobs = [classification.job(config, data, network, loss, records, status) for network in networks]
    outcomes = run_jobs(folder, jobs, [record for row in baselines for record in records(row)], below=status)
    folder.arrays(fitting.training_arrays(outcomes, "accuracy", classification.accuracy))
    folder.show(summary.summarize(config, data, baselines, outcomes))
