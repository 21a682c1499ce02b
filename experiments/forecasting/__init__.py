"""Does a recurrent network forecast a series better than its last value, its last season, and a linear autoregression?

One column of a CSV file, split in time. Each network is an ensemble of seeds that says a normal distribution of the
next value, and forecasts further by drawing it and reading what it drew; or that says the quantiles of all steps at
once (`--direct`). Beside the cell its readout sees the last values themselves (`--taps`), and it begins as the linear
autoregression, so that what it learns is what that cannot do. Transform and order of the autoregression, its strongest
opponent, are chosen on the validation part, and so are the networks' epochs; all are fitted to the training part alone.
Then, once, every point of the test part is an origin from which the next steps are forecast.

    python -m experiments.forecasting                                # Mackey-Glass; 4 minutes on two cores
    python -m experiments.forecasting --quick                        # under 30 seconds
    python -m experiments.forecasting --data=sunspots.csv --season=132 --horizon=12 --epochs=40
    python -m experiments.forecasting --data=co2.csv --season=52 --horizon=26 --fill=20 --epochs=40
    python -m experiments.forecasting --data=passengers.csv --season=12

To expect on Mackey-Glass, 14 steps of 6 time units ahead: a MAE that is a third of the autoregression's and less. On
real series, that are short, noisy and nearly linear, little is to be won: see the README for what was.
"""

import functools

import jax
import numpy as np

from experiments.common import parallel
from experiments.common.run_folder import RunFolder
from experiments.common.settings import Settings
from experiments.forecasting import figures, measurement, summary
from experiments.forecasting.config import QUICK, Config, plan
from experiments.forecasting.measurement import Outcome

__all__ = ["QUICK", "Config", "run"]


def run(config: Config, workdir: str, settings: Settings = Settings()) -> None:
    """Runs the experiment and writes config.json, results.json, arrays.npz, three figures and summary.html.

    `results.json` is written anew after every network, so that what is interrupted keeps what it has.

    Raises:
      UserError: where the config cannot be run, `workdir` cannot be written, or holds a run of another config.
    """
    ready = plan(config)
    folder = RunFolder(config, workdir, settings)
    opponents = measurement.opponents(ready.data, config)
    outcomes: dict[int, Outcome] = {}

    def keep() -> None:
        records = [record for outcome in opponents for record in summary.records(ready.data, outcome)]
        records += [record for i in sorted(outcomes) for record in summary.records(ready.data, outcomes[i])]
        folder.results(records)

    def finished(index: int, outcome: Outcome) -> None:
        outcomes[index] = outcome
        keep()

    keep()
    keys = jax.random.split(jax.random.key(config.seed), len(ready.models))
    jobs = [
        functools.partial(measurement.measure, ready.data, config, name, model, key)
        for (name, model), key in zip(ready.models.items(), keys, strict=True)
    ]
    work = [measurement.work(ready.data, config, model) for model in ready.models.values()]
    sessions = [folder.session(name) for name in ready.models]
    parallel.run(jobs, sessions, work, parallel.programs_at_a_time(), folder.console, finished)
    found = [*opponents, *(outcomes[i] for i in sorted(outcomes))]
    arrays: dict[str, np.ndarray] = summary.arrays(ready.data, found)
    folder.arrays(arrays)
    rows, columns = summary.rows(found), summary.columns(ready.data)
    folder.show_parts(
        "Forecasting a series",
        summary.sentences(ready.data, found),
        [(columns, {summary.title(ready.data): rows}, summary.caption(ready.data))],
        {f"{name}.png": (figures.CAPTIONS[name], draw(ready.data, found)) for name, draw in figures.FIGURES.items()},
    )
