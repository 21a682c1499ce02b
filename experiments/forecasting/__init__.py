"""Do networks forecast a series better than its last value, its last season, and a linear autoregression?

One column of a CSV file (`--target`), split in time order. Further columns (`--covariates`) enter with their values up
to the present, as none of the future is known; the calendar (`--calendar`) enters for the step to forecast. A network
outputs a normal distribution of the next value, and forecasts further by drawing from it, and the covariates, and
reading what it drew; or it outputs quantiles of all steps at once (`--direct`). Its readout also sees the last values
(`--taps`) and is initialised as the linear autoregression, the strongest baseline, which reads the same columns.
Transform, order of the autoregression and epoch are chosen on the validation set. Then the next steps are forecast
from every point of the test set; the seeds of a network form an ensemble.

A file in long form, with rows of several series (`--group=COLUMN`, such as a store), trains one network on all of them:
each series has its own scale, dates, split, autoregression and scores, and pooled scores are means over the series.

    python -m experiments.forecasting                                # Mackey-Glass; 4 minutes on two cores
    python -m experiments.forecasting --quick                        # under 30 seconds
    python -m experiments.forecasting --data=sunspots.csv --season=132 --horizon=12 --epochs=40
    python -m experiments.forecasting --data=co2.csv --season=52 --horizon=26 --fill=20 --epochs=40
    python -m experiments.forecasting --data=passengers.csv --season=12
    python -m experiments.forecasting --data=load.csv --target=load --covariates=temperature,wind --calendar --season=24
    python -m experiments.forecasting --data=sales.csv --group=store --target=sales --season=7 --calendar

Expected on Mackey-Glass, up to 14 steps of 6 time units ahead: at most a third of the autoregression's mean absolute
error. Real series are short, noisy and nearly linear: there the difference is a few percent (experiments/README.md).
"""

import jax

from experiments.common.forecasters import measure
from experiments.common.run_folder import Report, RunFolder
from experiments.common.settings import Settings, with_precision
from experiments.forecasting import measurement, summary
from experiments.forecasting.config import QUICK, Config, plan

__all__ = ["QUICK", "Config", "plan", "run"]


@with_precision
def run(config: Config, workdir: str, settings: Settings = Settings()) -> None:
    """Runs the experiment and writes config.json, results.json, arrays.npz, three figures and summary.html."""
    panel, models = plan(config)
    folder = RunFolder(config, workdir, settings)
    for line in panel.lines:
        folder.print(line)
    keys = jax.vmap(jax.random.split)(jax.random.split(jax.random.key(config.seed), len(models)))
    results, outcomes = measure(folder, config, panel, models, keys, measurement.evaluations(config, panel))
    folder.arrays(summary.arrays(panel, results, outcomes))
    findings = summary.findings(results, outcomes)
    figures = summary.figures(panel, results, outcomes)
    folder.show(Report("Forecasting a series", findings, summary.tables(panel, results, outcomes), figures))
