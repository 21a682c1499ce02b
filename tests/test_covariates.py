"""Covariates and calendar features of the forecasting and anomaly experiments."""

import contextlib
import dataclasses
import io
import json

import jax
import numpy as np
import pytest

from experiments import anomaly, forecasting
from experiments.baselines import series_forecasts
from experiments.common import forecasters
from experiments.common.flags import UserError
from experiments.common.panel import Panel
from experiments.common.settings import ModelSettings
from experiments.forecasting import measurement
from rnn_jax import GRU, models
from rnn_jax.applications import SeriesForecaster
from rnn_jax.data import read_series
from rnn_jax.models import Forecaster, Gaussian

pytestmark = pytest.mark.usefixtures("one_thread")


def rows(points=400, seed=0):
    """Load follows the temperature of the day before; weekends are lower."""
    rng, t = np.random.default_rng(seed), np.arange(points)
    dates = np.datetime64("2021-01-01") + t
    temperature = rng.normal(size=points)
    load = 50 + 4 * np.r_[0, temperature[:-1]] + 3 * ((t + 4) % 7 < 5) + 0.1 * rng.normal(size=points)
    return dates, temperature, load


def write(path, dates, temperature, load):
    lines = [f"{date},{x:.4f},{y:.4f}" for date, x, y in zip(dates, temperature, load, strict=True)]
    path.write_text("\n".join(["date,temperature,load", *lines]), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data") / "load.csv", *rows())


TINY = forecasting.Config(
    covariates=("temperature",),
    calendar=True,
    transform="level",
    season=7,
    horizon=3,
    cells=("rnn",),
    direct=("rnn",),
    hidden_size=3,
    window=16,
    taps=2,
    epochs=1,
    paths=5,
    seeds=1,
)


@pytest.fixture(scope="module")
def plan(data):
    return first_of(dataclasses.replace(TINY, data=data))


def first_of(config):
    """The only series, and the networks."""
    panel, networks = forecasting.plan(config)
    return panel.first, networks


def test_labels_that_are_no_dates_are_said_to_be_none(tmp_path):
    path = tmp_path / "load.csv"
    values = np.random.default_rng(0).normal(size=200)
    path.write_text(
        "\n".join(["day,load", *(f"31/12/{1800 + i},{value:.3f}" for i, value in enumerate(values))]), encoding="utf-8"
    )
    read, _ = first_of(dataclasses.replace(TINY, data=str(path), covariates=(), calendar=False))
    assert "'load', rows 31/12/1800 to 31/12/1999, no dates: gaps are not checked, 0 numbers" in read.note


def test_the_autoregression_reads_covariates_and_the_calendar_of_the_step_to_come(plan, data):
    read, _ = plan
    assert "covariates 'temperature', calendar weekday, 2021-01-01 to 2022-02-04 at steps of 1 day" in read.note
    alone, _ = first_of(dataclasses.replace(TINY, data=data, covariates=(), calendar=False))
    maes = []
    for each in (read, alone):
        config = dataclasses.replace(TINY, data=data)
        known = measurement.evaluation(config, each)
        maes.append(known.score(known.baselines["autoregression"]).mae[0])
    assert maes[0] < 0.15 * maes[1]


def test_nothing_of_the_future_enters_a_forecast(plan, data, tmp_path):
    """Other temperatures after an origin change neither its forecasts nor what was fitted."""
    read, networks = plan
    dates, temperature, load = rows()
    origin = read.ends.validation + 5
    temperature[origin + 1 :] = 9.0
    other, _ = first_of(dataclasses.replace(TINY, data=write(tmp_path / "x.csv", dates, temperature, load)))
    place = int(np.flatnonzero(read.origins().points == origin)[0])
    centers = []
    for each in (read, other):
        linear = series_forecasts.baselines(each, 5, 0)["autoregression"].center[:, place]
        params = jax.tree.map(lambda leaf: leaf[None], networks["rnn"].init(jax.random.key(0)))
        drawn, *_ = measurement.forecast(each, networks["rnn"], params, each.origins(), jax.random.key(1), 5)
        centers.append([linear, drawn.center[:, place]])
    np.testing.assert_array_equal(*centers)
    examples = [forecasters.examples(each, networks["rnn"], 0, each.ends.training, 1).steps for each in (read, other)]
    jax.tree.map(np.testing.assert_array_equal, *examples)


def test_inputs_are_the_series_its_covariates_and_the_calendar_of_the_next_step(plan):
    read, networks = plan
    steps = forecasters.examples(read, networks["rnn"], 0, read.ends.training, 1).steps
    assert steps["inputs"].shape[2] == 4
    assert steps["targets"].shape[2:] == (1, 2)
    np.testing.assert_allclose(steps["inputs"][1:, :, :2], steps["targets"][:-1, :, 0], rtol=1e-6)
    np.testing.assert_allclose(read.inputs[:-1, 2:], read.known[1 : len(read.z)], rtol=1e-6)
    training = read.x[: read.ends.training]
    np.testing.assert_allclose(training.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(training.std(axis=0), 1)
    direct = forecasters.examples(read, networks["direct rnn"], 0, read.ends.training, 1).steps
    assert direct["targets"].shape[2:] == (3, 1)
    assert (networks["direct rnn"].known, networks["rnn"].known) == (3, 2)


@pytest.mark.parametrize("name", ["rnn", "direct rnn"])
def test_readouts_are_initialised_as_the_regression_with_covariates(name, plan):
    read, networks = plan
    model = networks[name]
    kernel, bias = forecasters._regression(Panel([read]), model, model.cell)
    width = read.inputs.shape[1]
    tapped = kernel[-2 * width :].reshape(2, width, -1)
    assert np.all(kernel[: -2 * width] == 0)
    assert np.all(tapped[1, 2:] == 0)  # the calendar of steps that are past
    assert abs(tapped[0, 1, 0]) > 0.5  # yesterday's temperature
    points = np.arange(20, 200)
    mean = (np.stack([read.inputs[points], read.inputs[points - 1]], axis=1).reshape(180, -1)) @ kernel[-2 * width :, 0]
    assert np.std(mean + bias[0] - read.z[points + 1]) < 0.2  # standard deviations of the series


def test_known_features_enter_with_each_step_that_is_fed_back():
    model = Forecaster(GRU(3, 4), Gaussian(), known=1)
    assert model.features == 2
    params = model.init(jax.random.key(0))
    history, known = np.ones((5, 2, 3), np.float32), np.zeros((4, 2, 1), np.float32)
    changed = known.copy()
    changed[1] = 1.0
    first, second = (model.sample(params, history, 4, jax.random.key(1), 3, each) for each in (known, changed))
    assert first.shape == (4, 3, 2, 2)
    same = np.isclose(first, second).all(axis=(1, 2, 3))
    assert same.tolist() == [True, True, False, False]
    for wrong in (None, known[:3]):
        with pytest.raises(ValueError, match=r"known must be \[horizon, \*batch, known\] = \[4, 2, 1\], got"):
            model.sample(params, history, 4, jax.random.key(1), 3, wrong)
    with pytest.raises(ValueError, match="known must be less than the cell's 3 features, got 3"):
        Forecaster(GRU(3, 4), Gaussian(), known=3)


@pytest.mark.extended
def test_saved_models_forecast_with_their_columns(data, tmp_path):
    config = dataclasses.replace(TINY, data=data)
    with contextlib.redirect_stdout(io.StringIO()):
        forecasting.run(config, str(tmp_path / "run"), ModelSettings(save_model=True))
    records = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))["results"]
    assert (records[0]["covariates"], records[0]["calendar"]) == ("temperature", "weekday")
    loaded = models.load(tmp_path / "run" / "models" / "rnn")
    series = loaded.definition.read(data)
    assert loaded.predict(series).center.shape == (3,)
    with pytest.raises(ValueError, match="inputs must be a Series with covariates temperature, got none"):
        loaded.predict(series.values)
    dates, temperature, load = rows()
    hourly = np.datetime64("2021-01-01T00") + np.arange(len(dates))
    with pytest.raises(ValueError, match="must have dates at steps of 1 day, as in training, got 1 hour"):
        loaded.predict(loaded.definition.read(write(tmp_path / "hourly.csv", hourly, temperature, load)))
    (tmp_path / "other.csv").write_text("date,load\n2021-01-01,1\n2021-01-02,2\n", encoding="utf-8")
    with pytest.raises(ValueError, match="must have one column called 'temperature', got 0"):
        loaded.definition.read(tmp_path / "other.csv")


def test_a_loaded_direct_model_forecasts_as_the_run(plan, data):
    """Forecasts after the first origin's points, from the file cut there, are those of the run."""
    read, networks = plan
    model, origins = networks["direct rnn"], read.origins()
    params = model.init(jax.random.key(0))
    per_seed = jax.tree.map(lambda leaf: leaf[None], params)
    expected, *_ = measurement.forecast(read, model, per_seed, origins, jax.random.key(0), 5)
    application = SeriesForecaster(model, read.transform, read.window, columns=read.columns, horizon=3)
    cut = read_series(data, covariates=("temperature",))
    stop = origins.points[4] + 1
    cut = cut._replace(
        **{name: getattr(cut, name)[:stop] for name in ("labels", "values", "observed", "extra", "times")}
    )
    np.testing.assert_allclose(application.predict(params, cut).center, expected.center[:, 4], rtol=1e-5)


def test_anomalies_of_a_series_are_judged_with_its_covariates(data):
    config = anomaly.Config(
        data=data,
        covariates=("temperature",),
        calendar=True,
        season=7,
        length=4,
        copies=6,
        cells=("rnn",),
        hidden_size=3,
        window=12,
        taps=2,
        epochs=1,
        seeds=1,
        grace=6,
        transform="level",
    )
    plans = [anomaly.plan(each) for each in (config, dataclasses.replace(config, covariates=(), calendar=False))]
    aucs = []
    for _, networks, (injected,) in plans:
        evaluation = anomaly.measurement.evaluation(config, injected)
        aucs.append({name: evaluation.score(output).point_auc for name, output in evaluation.baselines.items()})
        model = networks["rnn"]
        params = jax.tree.map(lambda leaf: leaf[None], model.init(jax.random.key(0)))
        scores = anomaly.measurement.network_scores(injected.data, model, params, injected.test, 1)
        assert scores[0].shape == injected.test.values.shape
    assert aucs[0]["autoregression"] > aucs[1]["autoregression"] + 0.1


BAD = [
    ({"covariates": ("rain",)}, "must have one column called 'rain', got 0; its columns are"),
    ({"covariates": ("load",)}, "must be different columns, got load, load"),
    ({"covariates": ("date",)}, "'date' must be a finite number, got '2021-01-01'"),
    ({"data": None}, "--covariates=temperature needs a file: --data=FILE"),
    ({"data": None, "covariates": ()}, "--calendar=True needs a file: --data=FILE"),
]


@pytest.mark.parametrize(("fields", "message"), BAD)
def test_bad_columns_are_refused(fields, message, data):
    with pytest.raises(UserError, match=message):
        forecasting.plan(dataclasses.replace(TINY, **{"data": data, **fields}))


def test_a_calendar_needs_dates(tmp_path):
    path = tmp_path / "undated.csv"
    path.write_text("\n".join(["row,load", *(f"r{i},{i % 7}" for i in range(200))]), encoding="utf-8")
    config = dataclasses.replace(TINY, data=str(path), covariates=())
    with pytest.raises(UserError, match=r"--calendar needs dates as 2024-01-31 or 2024-01-31 13:00, .* has 'r0'"):
        forecasting.plan(config)
    path.write_text("\n".join(["year,load", *(f"{1800 + i},{i % 7}" for i in range(200))]), encoding="utf-8")
    with pytest.raises(UserError, match=r"steps of 1 year .* which resolve and span no hour of day"):
        forecasting.plan(config)
