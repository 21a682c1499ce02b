"""Which rows of a table are anomalies, as in network traffic or a log?

Rows have categories and numbers, and a label that tells normal rows from anomalies. Networks read a row's cells one
after the other, numbers in bins, and then the next row; the score of a row is -log p of its cells given those before.
A category not seen in training is improbable by itself. Trained on normal rows; the threshold leaves a share of normal
validation rows above it. Baselines: isolation forest, frequencies of cells, and of cells given the one before.

    python -m experiments.table_anomaly                 # generated connections; 1 minute on two busy cores
    python -m experiments.table_anomaly --quick         # under 30 seconds
    python -m experiments.table_anomaly --data=traffic.csv --label=label --categories=protocol,service --numbers=bytes

Expected on the generated connections, of which only combinations of cells are unusual: ROC AUC 0.975 by the GRU, 0.967
by the LSTM, 0.850 by the isolation forest (experiments/results/table_anomaly). No claim about real traffic.
"""

import functools

from experiments.common import fitting
from experiments.common.run_folder import Report, RunFolder
from experiments.common.runner import run_jobs
from experiments.common.settings import Settings, with_precision
from experiments.table_anomaly import measurement, summary
from experiments.table_anomaly.config import QUICK, Config, plan
from experiments.table_anomaly.measurement import Row

__all__ = ["QUICK", "Config", "plan", "run"]


@with_precision
def run(config: Config, workdir: str, settings: Settings = Settings()) -> None:
    """Runs the experiment and writes config.json, results.json, arrays.npz, a figure and summary.html."""
    data, detectors = plan(config)
    folder = RunFolder(config, workdir, settings)
    folder.print(data.note)
    baselines = measurement.baselines(config, data)
    reference = measurement.best(baselines)
    records = functools.partial(measurement.records, data, reference)
    jobs = [measurement.job(config, data, name, made, records) for name, made in detectors.items()]
    outcomes = run_jobs(folder, jobs, [record for row in baselines for record in records(row)])
    folder.arrays(fitting.training_arrays(outcomes, "loss"))
    rows: list[Row] = [*baselines, *outcomes]
    tables = [summary.table(config, data, rows), summary.margins(config, data, outcomes, reference)]
    figures = {"detectors.png": ("Every detector, with the range over seeds", functools.partial(summary.bars, rows))}
    folder.show(Report("Anomalous rows", summary.findings(outcomes, reference), tables, figures))
