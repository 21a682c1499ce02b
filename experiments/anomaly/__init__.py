"""Does a network that forecasts a series notice what is wrong with it better than simpler detectors?

One column of a CSV file, split in time. A forecaster learns from the training part, which is taken for clean. The score
of a point is -log p of its residual, which may be too large, or of the last few together, which may be too small, as
where a sensor is stuck in a noisy series. Into copies of the validation and the test part anomalies of six kinds are
put, so that the truth is known: a spike, a shift of level, a changed amplitude, a slower course, a flat line, a missing
season. Each detector's threshold leaves the same share of normal points of the validation part above it. Opponents: the
z-score of the value, the residuals of seasonal naive forecasts, those of the linear autoregression of
`experiments.forecasting` (scored as the networks' are), and an isolation forest on windows.

    python -m experiments.anomaly                                # Mackey-Glass; 4 minutes on two cores
    python -m experiments.anomaly --quick                        # under 30 seconds
    python -m experiments.anomaly --data=sunspots.csv --season=132 --length=24 --epochs=40
    python -m experiments.anomaly --data=co2.csv --season=52 --length=26 --fill=20 --epochs=40
    python -m experiments.anomaly --data=passengers.csv --season=12 --length=4

To expect on Mackey-Glass: the networks find nearly all. On real series their residuals are not much smaller than the
autoregression's, and neither is better than the other by much: see the README for what was found.
"""

import functools

import jax

from experiments.anomaly import figures, measurement, summary
from experiments.anomaly.config import QUICK, Config, plan
from experiments.anomaly.measurement import Outcome
from experiments.common import parallel
from experiments.common.run_folder import RunFolder
from experiments.common.settings import Settings

__all__ = ["QUICK", "Config", "run"]


def run(config: Config, workdir: str, settings: Settings = Settings()) -> None:
    """Runs the experiment and writes config.json, results.json, two figures and summary.html.

    `results.json` is written anew after every network, so that what is interrupted keeps what it has.

    Raises:
      UserError: where the config cannot be run, `workdir` cannot be written, or holds a run of another config.
    """
    ready = plan(config)
    folder = RunFolder(config, workdir, settings)
    opponents = measurement.opponents(ready, config)
    outcomes: dict[int, Outcome] = {}

    def keep() -> None:
        finished = [*opponents, *(outcomes[i] for i in sorted(outcomes))]
        records = [record for outcome in finished for record in summary.records(ready, outcome)]
        folder.results(records)

    def finished(index: int, outcome: Outcome) -> None:
        outcomes[index] = outcome
        keep()

    keep()
    keys = jax.random.split(jax.random.key(config.seed), len(ready.models))
    jobs = [
        functools.partial(measurement.measure, ready, config, name, model, key)
        for (name, model), key in zip(ready.models.items(), keys, strict=True)
    ]
    work = [measurement.work(ready, config, model) for model in ready.models.values()]
    sessions = [folder.session(name) for name in ready.models]
    parallel.run(jobs, sessions, work, parallel.programs_at_a_time(), folder.console, finished)
    found = [*opponents, *(outcomes[i] for i in sorted(outcomes))]
    rows = summary.rows(found)
    folder.show_parts(
        "Anomalies of a series",
        summary.sentences(found),
        [
            (summary.COLUMNS, {summary.title(ready): rows}, summary.caption(ready, config)),
            (summary.of_kinds(rows), {summary.OF_KINDS: rows}, ""),
        ],
        {f"{name}.png": (figures.CAPTIONS[name], draw(ready, found)) for name, draw in figures.FIGURES.items()},
    )
