"""Do networks that forecast a series detect anomalies in it better than simpler detectors?

One column of a CSV file (`--target`), split in time order; all forecasters also read further ones (`--covariates`) up
to the present, and the calendar (`--calendar`). Networks and a linear autoregression forecast the next value, trained
on the training set, which is assumed clean. The score of a point is -log p of its residual, which may be too large, or
of the last few jointly, which may be too small, as with a stuck sensor. Other baselines: z-score of the value,
residuals of seasonal naive forecasts, isolation forest on windows. Anomalies of six kinds are injected into copies of
the validation and the test set. Each detector's threshold leaves the same share of normal validation points above it.

A file in long form, with rows of several series (`--group=COLUMN`, such as a sensor), trains one network on all of
them: each series has its own scale, dates, split, autoregression, anomalies and threshold; pooled scores are means.

    python -m experiments.anomaly                                # Mackey-Glass; 4 minutes on two cores
    python -m experiments.anomaly --quick                        # under 30 seconds
    python -m experiments.anomaly --data=sunspots.csv --season=132 --length=24 --epochs=40
    python -m experiments.anomaly --data=co2.csv --season=52 --length=26 --fill=20 --epochs=40
    python -m experiments.anomaly --data=passengers.csv --season=12 --length=4
    python -m experiments.anomaly --data=readings.csv --group=sensor --target=value --season=24

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
    panel, models, injected = plan(config)
    folder = RunFolder(config, workdir, settings)
    for line in panel.lines:
        folder.print(line)
    keys = jnp.repeat(jax.random.split(jax.random.key(config.seed), len(models))[:, None], 2, axis=1)
    evaluations = measurement.evaluations(config, panel, injected)
    results, outcomes = measure(folder, config, panel, models, keys, evaluations)
    folder.arrays(fitting.training_arrays(outcomes, "loss"))
    tables = summary.tables(config, panel, injected, results, outcomes)
    figures = summary.figures(injected[0], results, outcomes)
    folder.show(Report("Anomalies in a series", summary.findings(results, outcomes), tables, figures))
