"""Series of numbers: good and bad CSV files, splits, windows, transforms, Mackey-Glass."""

import re
from pathlib import Path

import numpy as np
import pytest

from rnn_jax.data import Level, Log, Root, Transform, mackey_glass, read_series, split_ends, windows

SHARED = Path(__file__).parents[2] / "shared" / "data" / "series"


def write(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "series.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    ("text", "column", "name", "labels", "values"),
    [
        ('"Month","Sales"\n"1949-01",112\n"1949-02",118\n', None, "Sales", ("1949-01", "1949-02"), [112, 118]),
        ("date,a,b\nx,1,2\ny,3,4\n", "a", "a", ("x", "y"), [1, 3]),
        ("date,a,note\nx,1,low\ny,3,high\n", None, "a", ("x", "y"), [1, 3]),
        ("19580329,316.1\n19580405,317.3\n", None, "2", ("19580329", "19580405"), [316.1, 317.3]),
        ("1\n-2e3\n\n3\n", None, "1", ("1", "2", "3"), [1, -2000, 3]),
        ("\ufeffday;t\r\n1;0.5\r\n2;0.25\r\n", None, "t", ("1", "2"), [0.5, 0.25]),
        ("day\tt\n1\t5\n2\t6\n", "day", "day", ("5", "6"), [1, 2]),
        ('day,t\n"a, b",5\n"c",6\n', None, "t", ("a, b", "c"), [5, 6]),
    ],
)
def test_a_column_is_read(tmp_path, text, column, name, labels, values):
    series = read_series(write(tmp_path, text), column)
    assert (series.name, series.labels) == (name, labels)
    assert series.values.dtype == np.float64
    np.testing.assert_array_equal(series.values, values)
    assert series.observed.all()


def test_gaps_are_refused_by_line_or_interpolated(tmp_path):
    path = write(tmp_path, "d,x\na,1\nb,\nc,NA\nd,4\ne,nan\nf,2\n")
    with pytest.raises(ValueError, match=re.escape(f"{path}, line 3: 'x' is missing in 2 rows; gaps of up to 1 rows")):
        read_series(path, longest_gap=1)
    series = read_series(path, longest_gap=2)
    np.testing.assert_allclose(series.values, [1, 2, 3, 4, 3, 2])
    assert series.observed.tolist() == [True, False, False, True, False, True]


LAYOUTS = [
    # text, delimiter, decimal, values: both signs are found together
    ("2024-01-01;1,5\n2024-01-02;2,5\n", "semicolon", "comma", [1.5, 2.5]),
    ("d;x\n2024-01-01;1,5\n2024-01-02;2\n", "semicolon", "comma", [1.5, 2]),
    ("2024-01-01\t1,5\n2024-01-02\t2,5\n", "tab", "comma", [1.5, 2.5]),
    ("1,5;2,5\n3,5;4,5\n", "semicolon", "comma", [2.5, 4.5]),
    ("d;x\na;1.5\nb;2.5\n", "semicolon", "point", [1.5, 2.5]),
    ("d;x\na;1\nb;2\n", "semicolon", "point", [1, 2]),
    ("day,x\n1,5\n2,6\n", "comma", "point", [5, 6]),
    ("2024-01-01,5\n2024-01-02,6\n", "comma", "point", [5, 6]),
    ("note,x\nsee; below,5\nnothing,6\nzero,7\n", "comma", "point", [5, 6, 7]),
    ("1,2,3\n4,5,6\n", "comma", "point", [3, 6]),
    ("x\n1,5\n2\n3,25\n", None, "comma", [1.5, 2, 3.25]),
    ("0.123\n1.234\n", None, "point", [0.123, 1.234]),
    ("d;x\na;0,123\nb;1,234\n", "semicolon", "comma", [0.123, 1.234]),
    ('d;x\n"a, b";1,5\n"c; d";2,5\n', "semicolon", "comma", [1.5, 2.5]),
]


@pytest.mark.parametrize(("text", "delimiter", "decimal", "values"), LAYOUTS, ids=[repr(each[0]) for each in LAYOUTS])
def test_delimiter_and_decimal_sign_are_found_and_reported(tmp_path, text, delimiter, decimal, values):
    series = read_series(write(tmp_path, text))
    assert (series.delimiter, series.decimal, series.values.tolist()) == (delimiter, decimal, values)


AMBIGUOUS = [
    # text, message, and what is read with which arguments
    (
        "1,5\n2,6\n",
        "can be read as 1.5, 2.6, ... (delimiter=semicolon, decimal=comma) or as 5, 6, ... (delimiter=comma, "
        "decimal=point); choose one of them",
        [({"delimiter": "comma"}, [5, 6]), ({"decimal": "comma"}, [1.5, 2.6])],
    ),
    (
        "1,5\n2\n3,5\n",
        "commas as in '1,5' could delimit; choose decimal=comma or delimiter=comma",
        [({"decimal": "comma"}, [1.5, 2, 3.5])],
    ),
    (
        "a;1,234\nb;2,345\n",
        "commas as in '1,234' could separate thousands; remove them, or choose decimal=comma",
        [({"decimal": "comma"}, [1.234, 2.345])],
    ),
    (
        "a;1,5;2.5\nb;2,5;3.5\n",
        "can be read as 2.5, 3.5, ... (delimiter=semicolon, decimal=point) or as 1.5, 2.5, ... (delimiter=semicolon, "
        "decimal=comma)",
        [({"decimal": "point"}, [2.5, 3.5]), ({"decimal": "comma"}, [1.5, 2.5]), ({"column": "2"}, [1.5, 2.5])],
    ),
    # One row is malformed: its commas do not make another reading right.
    ("2024-01-01;1,5\n2024-01-02;;2,5\n", "line 2: must have 2 cells as the first row has, got 3", []),
    ("2024-01-01;1,5\n2024-01-02;x,5\n2024-01-03;2,5\n", "line 2: '2' must be a finite number, got 'x,5'", []),
    ("day,x\n1,5\n2\n3,7\n", "line 3: must have 2 cells as the first row has, got 1", []),
]


@pytest.mark.parametrize(("text", "message", "choices"), AMBIGUOUS, ids=[repr(each[0]) for each in AMBIGUOUS])
def test_a_file_that_can_be_read_in_two_ways_is_refused_until_one_is_chosen(tmp_path, text, message, choices):
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        read_series(path)
    assert str(caught.value).startswith(str(path))
    for arguments, values in choices:
        assert read_series(path, **arguments).values.tolist() == values


def test_unknown_delimiters_and_signs_are_refused(tmp_path):
    path = write(tmp_path, "1\n2\n")
    with pytest.raises(ValueError, match=re.escape("delimiter must be one of semicolon, tab, comma, got ';'")):
        read_series(path, delimiter=";")
    with pytest.raises(ValueError, match=re.escape("decimal must be one of point, comma, got '.'")):
        read_series(path, decimal=".")
    with pytest.raises(ValueError, match="delimiter and decimal must differ, got comma for both"):
        read_series(path, delimiter="comma", decimal="comma")


def test_a_column_is_found_by_its_name_in_either_form(tmp_path):
    path = write(tmp_path, "d;Bo\u0308e;x\na;1;2\nb;3;4\n")
    for name in ("B\u00f6e", "Bo\u0308e"):
        assert read_series(path, name).values.tolist() == [1, 3]


BAD = [
    ("", None, "must hold a text, got an empty file"),
    ("\n \n", None, "must hold rows of numbers, got blank lines only"),
    ("date,x\n", None, "must hold a row of numbers below its header, got the header only"),
    ("d,x\na,1\nb,2,3\n", None, "line 3: must have 2 cells as the first row has, got 3"),
    ("d,x\na,1\nb\n", None, "line 3: must have 2 cells as the first row has, got 1"),
    ("d,x\na,1\nb,two\nc,3\n", None, "line 3: 'x' must be a finite number, got 'two'"),
    ("d,x\na,1\nb,1_000\nc,3\n", None, "line 3: 'x' must be a finite number, got '1_000'"),
    ("d,x\na,1\nb,inf\n", None, "line 3: 'x' must be a finite number, got 'inf'"),
    ("d,x\na,1\n", "y", "must have one column called 'y', got 0; its columns are 'd', 'x'"),
    ("d,x,x\na,1,2\n", "x", "must have one column called 'x', got 2"),
    ("d,x\na,b\nc,d\n", None, "must have a column of numbers, got none among 'd', 'x'"),
    ("d,x\na,\nb,1\n", None, "line 2: 'x' is missing at the start, which cannot be interpolated"),
    ("d,x\na,1\nb,?\n", None, "line 3: 'x' is missing at the end"),
    ('d,x\na,"1\nb,2\n', None, "not CSV"),
    ("d,x\n2003,1\n2002,2\n2001,3\n", None, "rows must be in the order of time, the earliest first, got 'd' from"),
]


@pytest.mark.parametrize(("text", "column", "message"), BAD, ids=[repr(text) for text, _, _ in BAD])
def test_files_without_a_series_are_refused_by_line(tmp_path, text, column, message):
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        read_series(path, column, longest_gap=5)
    assert str(caught.value).startswith(str(path))


def test_another_encoding_and_a_missing_file_are_refused(tmp_path):
    with pytest.raises(ValueError, match="must be a UTF-8 text, got byte 0xfc at 3"):
        read_series(write(tmp_path, "Mün,x\na,1\n".replace("ün", "xxü"), "latin-1"))
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        read_series(tmp_path / "none.csv")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the series are not in ../shared/data/series")
@pytest.mark.parametrize(
    ("name", "points", "gaps", "first", "last"),
    [
        ("airline-passengers", 144, 0, 112, 432),
        ("monthly-sunspots", 2820, 0, 58.0, 33.4),
        ("statsmodels_co2", 2284, 59, 316.1, 371.5),
    ],
)
def test_the_original_series_are_read(name, points, gaps, first, last):
    series = read_series(SHARED / f"{name}.csv", longest_gap=20)
    assert len(series.values) == len(series.labels) == points
    assert np.sum(~series.observed) == gaps
    assert (series.values[0], series.values[-1]) == (first, last)


def test_splits_and_windows_by_hand():
    assert split_ends(10, (0.7, 0.2, 0.1)) == (7, 9, 10)
    with pytest.raises(ValueError, match="a series of 10 points leaves 1 for the test set, which must have at least 2"):
        split_ends(10, (0.7, 0.2, 0.1), least=2)
    with pytest.raises(ValueError, match=re.escape("shares must have the sum 1, got 0.9")):
        split_ends(10, (0.7, 0.1, 0.1))
    np.testing.assert_array_equal(windows(np.arange(7), 3, 2), [[0, 2, 4], [1, 3, 5], [2, 4, 6]])
    assert windows(np.zeros((8, 2)), 3, 2)[-1, -1].shape == (2,)
    np.testing.assert_array_equal(windows(np.arange(6), 3, 2)[-1], [3, 5])
    with pytest.raises(ValueError, match="a window of 8 needs as many values, got 7"):
        windows(np.arange(7), 8)


@pytest.mark.parametrize("scale", [Level(), Log(), Root()])
@pytest.mark.parametrize("lags", [(), (1,), (4,), (1, 4), (2, 3)])
def test_a_transform_equals_its_definition_and_is_inverted(scale, lags):
    rng = np.random.default_rng(0)
    x = 5 + np.cumsum(rng.normal(size=(40, 3)), axis=0) ** 2
    u = {"": x, "log": np.log(x), "root": np.sqrt(x)}[scale.name]
    for lag in lags:
        u = np.stack([u[t] - u[t - lag] for t in range(lag, len(u))])
    transform = Transform(scale, lags).fitted(x[:, 0])
    assert transform.mean == pytest.approx(u[:, 0].mean())
    assert transform.deviation == pytest.approx(u[:, 0].std())
    z = transform.forward(x)
    np.testing.assert_allclose(z, (u - transform.mean) / transform.deviation)
    known = 30
    base = transform.base(x[:known], 10)
    np.testing.assert_allclose(transform.inverse(transform.accumulate(z[known - transform.lost :]), base), x[known:])


def test_values_that_a_transform_does_not_accept_are_refused():
    with pytest.raises(ValueError, match="log does not accept a value of 0"):
        Transform(Log()).fitted(np.arange(5.0))
    with pytest.raises(ValueError, match="root does not accept a value of -1"):
        Transform(Root()).fitted(np.array([-1.0, 3, 4]))
    with pytest.raises(ValueError, match="differences of 1 and 12 needs at least 15 values, got 14"):
        Transform(lags=(1, 12)).fitted(np.arange(14.0))
    with pytest.raises(ValueError, match="difference of 1 gives a constant series"):
        Transform(lags=(1,)).fitted(np.arange(14.0))
    with pytest.raises(ValueError, match="a lag must be a positive integer, got 0"):
        Transform(lags=(0,))
    assert Transform(Log(), (1, 12)).name == "log, differences of 1 and 12"


def test_mackey_glass_decays_exponentially_until_the_delay_has_passed():
    xs = mackey_glass(171, spacing=0.1, discard=0)
    np.testing.assert_allclose(xs, 1.2 * np.exp(-0.01 * np.arange(171)), rtol=1e-7)


def test_mackey_glass_solves_its_equation():
    """Compared with Euler's method with a step of 1/2000 over three delays, and at two spacings."""
    step, delay = 1 / 2000, 17 * 2000
    xs = [0.0] * delay + [1.2]
    for i in range(50 * 2000):
        xs.append(xs[-1] + step * (0.2 * xs[i] / (1 + xs[i] ** 10) - 0.1 * xs[-1]))
    expected = np.array(xs[delay::2000])
    np.testing.assert_allclose(mackey_glass(51, discard=0), expected, atol=3e-4)
    np.testing.assert_array_equal(mackey_glass(7, spacing=5.0, discard=20.0), mackey_glass(51, discard=0)[20:51:5])


def test_mackey_glass_equals_golden_values():
    golden = [0.97636217, 1.09456253, 1.12413707, 1.08749576]
    np.testing.assert_allclose(mackey_glass(4, spacing=6.0), golden, atol=1e-7)
    long = mackey_glass(2000, spacing=6.0)
    assert (long.min(), long.max()) == pytest.approx((0.418, 1.320), abs=0.01)
    assert long.mean() == pytest.approx(0.930, abs=0.01)


def test_mackey_glass_refuses_bad_times():
    with pytest.raises(ValueError, match=re.escape("tau must be a multiple of 0.1 time units, got 0.05")):
        mackey_glass(5, tau=0.05)
    with pytest.raises(ValueError, match="length must be a positive integer, got 0"):
        mackey_glass(0)
    with pytest.raises(ValueError, match="spacing must be a positive number, got 0"):
        mackey_glass(5, spacing=0)
