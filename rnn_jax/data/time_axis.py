"""The dates of a table's rows: parsed, checked for order and gaps, continued after the last, as calendar features."""

import dataclasses
import datetime
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

_NAMED = frozenset(("time", "timestamp", "date", "datetime", "year", "month", "day"))  # columns whose 1990 is a year
_PERIODS = {"hour": 86400, "weekday": 7 * 86400, "month": 365.2425 * 86400}  # seconds


@dataclasses.dataclass(frozen=True)
class Step:
    """The distance between two rows.

    Args:
      unit: "month", "business day" or "second".
      count: number of units.
    """

    unit: str
    count: int

    def __str__(self) -> str:
        unit, count = self.unit, self.count
        for name, seconds in (("week", 7 * 86400), ("day", 86400), ("hour", 3600), ("minute", 60)):
            if unit == "second" and count % seconds == 0:
                unit, count = name, count // seconds
        if unit == "month" and count % 12 == 0:
            unit, count = "year", count // 12
        return f"{count} {unit}{'s' * (count > 1)}"

    def places(self, times: np.ndarray) -> np.ndarray:
        """Returns how many steps each of the times [N] is after the first, not rounded."""
        if self.unit == "business day":
            days = times.astype("datetime64[D]")
            return np.busday_count(days[0], days) / self.count
        units = times.astype("datetime64[M]" if self.unit == "month" else "datetime64[s]").astype(int)
        return (units - units[0]) / self.count

    def after(self, last: np.datetime64, steps: int) -> np.ndarray:
        """Returns the times of the next steps [steps]; of monthly rows only the month matters."""
        ahead = self.count * np.arange(1, steps + 1)
        if self.unit == "business day":
            return np.busday_offset(last.astype("datetime64[D]"), ahead).astype("datetime64[s]")
        unit = "datetime64[M]" if self.unit == "month" else "datetime64[s]"
        return (last.astype(unit) + ahead).astype("datetime64[s]")

    def cycles(self, times: np.ndarray) -> tuple[str, ...]:
        """Returns hour, weekday and month, of which times span two periods and the step is finer."""
        span = float((times[-1] - times[0]).astype(int))
        length = span / max(1.0, float(self.places(times)[-1]))
        finest = {"hour": 0.5 * 86400, "weekday": 3 * 86400, "month": 93 * 86400}
        return tuple(name for name, period in _PERIODS.items() if span >= 2 * period and length <= finest[name])


def is_date(cell: str) -> bool:
    """Returns whether a cell holds a date in ISO 8601, other than a year alone."""
    return _time(cell, False) is not None


def read_times(path: str | Path, name: str, lines: Sequence[int], cells: Sequence[str]) -> np.ndarray | None:
    """Returns the times of a column, datetime64[s] [N] in UTC if they have offsets; None if most are no dates.

    Dates with fractions of a second remain labels, None as well; only their order is checked.

    Raises:
      ValueError: with file and line, if some are no dates of the same form, or a date is not after the one before.
    """
    years = name.casefold() in _NAMED and all(re.fullmatch(r"[12]\d{3}", cell.strip()) for cell in cells)
    times = [_time(cell, years) for cell in cells]
    if sum(time is not None for time in times) <= len(times) / 2:
        return None
    form, first = next((cell, time) for cell, time in zip(cells, times, strict=True) if time is not None)
    zoned = first.tzinfo is not None
    for line, cell, time in zip(lines, cells, times, strict=True):
        if time is None or (time.tzinfo is not None) != zoned:
            raise ValueError(
                f"{path}, line {line}: {name!r} must be a date of the form of the others, as {form!r}, got {cell!r}"
            )
    naive = [t.astimezone(datetime.UTC).replace(tzinfo=None) if zoned else t for t in times if t is not None]
    array = np.array(naive, "datetime64[us]")
    for i in (np.flatnonzero(np.diff(array) <= np.timedelta64(0, "us")) + 1).tolist():
        if array[i] == array[i - 1]:
            raise ValueError(f"{path}, line {lines[i]}: {name!r} {cells[i]!r} is there twice; keep one row a date")
        raise ValueError(
            f"{path}, line {lines[i]}: rows must be in the order of time, the earliest first, got {name!r} {cells[i]!r}"
            f" after {cells[i - 1]!r}; sort the rows"
        )
    whole = array.astype("datetime64[s]")
    return whole if np.all(whole == array) else None


def find_step(times: np.ndarray) -> Step:
    """Returns the most frequent distance of times [N], in months or business days if all of them allow it."""
    days = times.astype("datetime64[D]")
    clock = times - days
    month_day = days - days.astype("datetime64[M]")
    last_days = np.all((days + 1).astype("datetime64[M]") > days.astype("datetime64[M]"))
    if len(times) < 2:
        return Step("second", 1)
    monthly = np.all(clock == clock[0]) and np.min(np.diff(days)).astype(int) >= 28
    if monthly and (np.all(month_day == month_day[0]) or last_days):
        return Step("month", _mode(np.diff(days.astype("datetime64[M]")).astype(int)))
    seconds = _mode(np.diff(times).astype(int))
    if seconds == 86400 and len(times) > 10 and np.all(clock == clock[0]) and np.all(np.is_busday(days)):
        return Step("business day", 1)
    return Step("second", seconds)


def regular_places(
    path: str | Path, name: str, lines: Sequence[int], cells: Sequence[str], times: np.ndarray, longest_gap: int
) -> tuple[Step, np.ndarray]:
    """Returns the step of times [N], and which row each is if none is missing, integers [N].

    Raises:
      ValueError: with file, line and date, if a time is between two steps, or more rows than `longest_gap` are missing.
    """
    step = find_step(times)
    exact = step.places(times)
    places = np.rint(exact).astype(int)
    for i in np.flatnonzero((np.abs(exact - places) > 1e-6) | (np.diff(places, prepend=-1) < 1)).tolist():
        raise ValueError(
            f"{path}, line {lines[i]}: {name!r} must be whole steps of {step} after {cells[0]!r}, got {cells[i]!r}; "
            "make the steps equal"
        )
    for i in (np.flatnonzero(np.diff(places) - 1 > longest_gap) + 1).tolist():
        count = places[i] - places[i - 1] - 1
        raise ValueError(
            f"{path}, line {lines[i]}: {count:,} row{'s' * bool(count > 1)} between {name!r} {cells[i - 1]!r} and "
            f"{cells[i]!r} missing, at steps of {step}; gaps of up to {longest_gap} rows are filled"
        )
    return step, places


def calendar(times: np.ndarray, cycles: Sequence[str]) -> np.ndarray:
    """Returns sine and cosine of the phase of times in each cycle, [N, 2 * cycles]."""
    days = times.astype("datetime64[D]")
    second = (times - days).astype(int) / 86400
    phases = {
        "hour": second,
        "weekday": (((days.astype(int) + 3) % 7) + second) / 7,  # 1970-01-01 was a Thursday
        "month": (times.astype("datetime64[M]").astype(int) % 12) / 12,
    }
    waves = [wave(2 * np.pi * phases[name]) for name in cycles for wave in (np.sin, np.cos)]
    return np.stack(waves, axis=1) if waves else np.zeros((len(times), 0))


def _mode(distances: np.ndarray) -> int:
    values, counts = np.unique(distances, return_counts=True)
    return int(values[np.argmax(counts)])


def _time(cell: str, years: bool) -> datetime.datetime | None:
    text = re.sub(r"^(\d{4})/(\d{2})(?=$|/)", r"\1-\2", cell.strip()).replace("/", "-", 1)  # 2024/01/31
    if years:
        text += "-01-01"
    elif re.fullmatch(r"\d{4}-\d{2}", text):
        text += "-01"
    elif len(text) < 8:
        return None
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
