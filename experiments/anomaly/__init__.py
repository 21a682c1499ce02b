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
from rich.console import Console

from experiments import side_by_side
from experiments.anomaly import figures, measurement, summary
from experiments.anomaly.config import QUICK, Config, plan
from experiments.anomaly.measurement import Outcome
from experiments.command_line import writable
from rnn_jax import files, report

__all__ = ["QUICK", "Config", "run"]


def run(config: Config, workdir: str) -> None:
    """Runs the experiment and writes config.json, results.json, two figures and summary.html.

    `results.json` is written anew after every network, so that what is interrupted keeps what it has.

    Raises:
      UserError: where the config cannot be run or `workdir` cannot be written.
    """
    ready = plan(config)
    folder = writable(workdir)
    console = Console()
    header = {"config": config, "environment": report.environment()}
    report.write_json(folder / "config.json", config)
    opponents = measurement.opponents(ready, config)
    outcomes: dict[int, Outcome] = {}

    def keep() -> None:
        finished = [*opponents, *(outcomes[i] for i in sorted(outcomes))]
        records = [record for outcome in finished for record in summary.records(ready, outcome)]
        report.write_json(folder / "results.json", {**header, "results": records})

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
    side_by_side.run(jobs, work, side_by_side.programs_at_a_time(), console, finished)
    found = [*opponents, *(outcomes[i] for i in sorted(outcomes))]
    pngs = {name: draw(ready, found) for name, draw in figures.FIGURES.items()}
    for name, png in pngs.items():
        files.write(folder / f"{name}.png", png)
    rows, words = summary.rows(found), summary.sentences(found)
    tables = [
        (summary.COLUMNS, {summary.title(ready): rows}, summary.caption(ready, config)),
        (summary.of_kinds(rows), {summary.OF_KINDS: rows}, ""),
    ]
    page = report.page(
        "Anomalies of a series",
        words,
        "".join(report.html_table(*table) for table in tables),
        {figures.CAPTIONS[name]: png for name, png in pngs.items()},
        header,
    )
    files.write(folder / "summary.html", page)
    for table in tables:
        console.print(report.text_tables(*table))
    for sentence in words:
        console.print(f"- {sentence}", markup=False, highlight=False)
    names = ", ".join(["config.json", "results.json", *(f"{name}.png" for name in pngs), "summary.html"])
    console.print(f"{folder}: {names}", markup=False, highlight=False)
