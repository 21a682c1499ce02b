"""Dates of a file's rows: forms, steps, order, gaps, calendar features; covariates."""

import re

import numpy as np
import pytest

from rnn_jax.data import read_series, time_axis


def write(tmp_path, dates, header="date"):
    path = tmp_path / "s.csv"
    rows = [f"{date},{i % 5}.5,{i}" for i, date in enumerate(dates)]
    path.write_text("\n".join([f"{header},wind,load", *rows]), encoding="utf-8")
    return path


STEPS = [
    (["2024-01", "2024-02", "2024-03"], "1 month"),
    (["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"], "1 month"),
    (["2021-01-01", "2022-01-01", "2023-01-01"], "1 year"),
    (["2024-02-28", "2024-02-29", "2024-03-01"], "1 day"),
    (["20240226", "20240304", "20240311"], "1 week"),
    (["2024-01-01 23:00", "2024-01-02 00:00", "2024-01-02 01:00"], "1 hour"),
    (["2024-01-01T00:00:00+01:00", "2024-01-01T00:15:00+01:00"], "15 minutes"),
    ([str(np.busday_offset("2024-01-01", i)) for i in range(12)], "1 business day"),
    (["1990", "1991", "1992"], "1 year"),
    (["2024/02/29 00:00", "2024/02/29 06:00"], "6 hours"),
    (["2024/02", "2024/03"], "1 month"),
]


@pytest.mark.parametrize(("dates", "step"), STEPS, ids=[step for _, step in STEPS])
def test_the_step_is_found_and_continues_the_dates(dates, step, tmp_path):
    series = read_series(write(tmp_path, dates), covariates=("wind",))
    assert str(series.step) == step
    assert series.covariates == ("wind",)
    np.testing.assert_array_equal(series.extra[:, 0], [i % 5 + 0.5 for i in range(len(dates))])
    ahead = series.step.after(series.times[0], len(dates) - 1)
    unit = "datetime64[M]" if "month" in step else "datetime64[s]"
    np.testing.assert_array_equal(ahead.astype(unit), series.times[1:].astype(unit))


def test_labels_that_are_no_dates_remain_labels(tmp_path):
    fractions = [f"2024-01-01 00:00:00.{tenth}" for tenth in range(3)]  # of a second, finer than steps are
    for labels in (["a", "b", "c"], ["1000", "1500", "1400"], ["2000-040", "2000-041", "2000-042"], fractions):
        series = read_series(write(tmp_path, labels, "row"))
        assert series.times is series.step is None
        assert series.labels == tuple(labels)


BAD = [
    (["2024-01-01", "2024-01-02", "03/01/2024"], "line 4: 'date' must be a date of the form of the others"),
    (["2024-01-01T00:00", "2024-01-01T01:00", "2024-01-01T02:00Z"], "line 4: 'date' must be a date of the form"),
    (["2024-01-01", "2024-01-03", "2024-01-02"], "line 4: rows must be in the order of time"),
    (["2024-01-01", "2024-01-02", "2024-01-02"], "line 4: 'date' '2024-01-02' is there twice"),
    (["", "2024-01-02", "2024-01-03"], "line 2: 'date' must be a date of the form of the others, as '2024-01-02'"),
    (["2024-01-01 00:00:00.2", "2024-01-01 00:00:00.1"], "line 3: rows must be in the order of time"),
    (["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-06"], "line 5: 2 rows between 'date' '2024-01-03' and"),
    (["2024-01-01 00:00", "2024-01-01 01:00", "2024-01-01 02:00", "2024-01-01 03:10"], "line 5: 'date' must be whole"),
]


@pytest.mark.parametrize(("dates", "message"), BAD)
def test_bad_dates_are_refused_with_their_line(dates, message, tmp_path):
    with pytest.raises(ValueError, match=re.escape(message)):
        read_series(write(tmp_path, dates))


def test_missing_dates_are_filled_only_on_request(tmp_path):
    path = write(tmp_path, ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-06", "2024-01-07"])
    with pytest.raises(ValueError, match="gaps of up to 1 rows are filled"):
        read_series(path, longest_gap=1)
    series = read_series(path, longest_gap=2, covariates=("wind",))
    np.testing.assert_allclose(series.values, [0, 1, 2, 2 + 1 / 3, 2 + 2 / 3, 3, 4])
    assert series.observed.tolist() == [True] * 3 + [False] * 2 + [True] * 2
    assert str(series.times[4])[:10] == "2024-01-05"
    assert len(series.labels) == 7
    assert not np.isnan(series.extra).any()


def test_a_missing_covariate_counts_as_a_gap(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("date,wind,load\n2024-01-01,1,5\n2024-01-02,,6\n2024-01-03,3,7\n", encoding="utf-8")
    with pytest.raises(ValueError, match="line 3: 'wind' is missing in 1 row"):
        read_series(path, covariates=("wind",))
    series = read_series(path, longest_gap=1, covariates=("wind",))
    assert series.observed.tolist() == [True, False, True]
    assert series.extra[:, 0].tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="must have one column called 'rain', got 0"):
        read_series(path, longest_gap=1, covariates=("rain",))
    with pytest.raises(ValueError, match="must be different columns, got load, load"):
        read_series(path, longest_gap=1, covariates=("load",))


def test_calendar_features_are_phases_of_cycles_finer_than_the_step():
    hours = np.datetime64("2024-01-01T00:00:00") + 3600 * np.arange(24 * 20)
    step = time_axis.find_step(hours)
    assert step.cycles(hours) == ("hour", "weekday")  # not two years
    features = time_axis.calendar(hours, ("hour", "weekday"))
    assert features.shape == (480, 4)
    np.testing.assert_allclose(features[6], [1, 0, np.sin(2 * np.pi / 28), np.cos(2 * np.pi / 28)], atol=1e-12)
    np.testing.assert_allclose(features[7 * 24], [0, 1, 0, 1], atol=1e-12)  # 2024-01-08 is a Monday
    months = np.arange("2020-01", "2024-01", dtype="datetime64[M]").astype("datetime64[s]")
    assert time_axis.find_step(months).cycles(months) == ("month",)
    np.testing.assert_allclose(time_axis.calendar(months, ("month",))[3], [1, 0], atol=1e-12)
