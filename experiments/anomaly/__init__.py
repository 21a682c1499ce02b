"""Do networks that forecast a series detect anomalies in it better than simpler detectors?

One column of a CSV file (`--target`), split in time order; all forecasters also read further ones (`--covariates`) up
to the present, and the calendar (`--calendar`). Networks and a linear autoregression forecast the next value, trained
on the training set, which is assumed clean. The score of a point is -log p of its residual, which may be too large, or
of the last few jointly, which may be too small, as with a stuck sensor. Other baselines: z-score of the value,
residuals of seasonal naive forecasts, isolation forest on windows. Anomalies of six kinds are injected into copies of
the validation and the test set. Each detector's threshold leaves the same share of normal validation points above it.

    python -m experiments.anomaly                                # Mackey-Glass; 4 minutes on two cores
    python -m experiments.anomaly --quick                        # under 30 seconds
    python -m experiments.anomaly --data=sunspots.csv --season=132 --length=24 --epochs=40
    python -m experiments.anomaly --data=co2.csv --season=52 --length=26 --fill=20 --epochs=40
    python -m experiments.anomaly --data=passengers.csv --season=12 --length=4

Expected on Mackey-Glass: ROC AUC by event 1.00 for networks, 0.99 for the autoregression. On real series both are close
to each other, between 0.7 and 0.9 (experiments/README.md).
"""

import jax
import jax.numpy as jnp

from experiments.anomaly import measurement, summary
from experiments.anomaly.config import QUICK, Config, plan
from experiments.common import fitting
from experiments.common.forecasters import measure
from experiments.common.run_folder import Report, RunFolder
from experiments.common.settings import Settings, with_precision

__all__ = ["QUICK", "Config", "plan", "run"]


@with_precision
def run(config: Config, workdir: str, settings: Settings = Settings()) -> None:
    """Runs the experiment and writes config.json, results.json, arrays.npz, two figures and summary.html."""
    ready = plan(config)
    folder = RunFolder(config, workdir, settings)
    folder.print(ready.data.note)
    keys = jnp.repeat(jax.random.split(jax.random.key(config.seed), len(ready.models))[:, None], 2, axis=1)
    results, outcomes = measure(folder, config, ready.data, ready.models, keys, measurement.evaluation(config, ready))
    folder.arrays(fitting.training_arrays(outcomes, "loss"))
    tables, findings = summary.tables(config, ready, results), summary.findings(results, outcomes)
    folder.show(Report("Anomalies in a series", findings, tables, summary.figures(ready, results, outcomes)))
