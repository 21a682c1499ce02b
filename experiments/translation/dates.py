"""Dates as people write them, and as ISO 8601 has them: a translation that needs no download, by characters."""

import datetime

import numpy as np

FIRST, LAST = datetime.date(1900, 1, 1), datetime.date(2099, 12, 31)


def _suffix(day: int) -> str:
    return "th" if 11 <= day <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")


# Not of the `calendar` module, whose names are those of the locale.
MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

FORMATS = (
    lambda d: f"{d.day} {MONTHS[d.month - 1]} {d.year}",
    lambda d: f"{MONTHS[d.month - 1][:3]}. {d.day}{_suffix(d.day)}, {d.year}",
    lambda d: f"the {d.day}{_suffix(d.day)} of {MONTHS[d.month - 1]}, {d.year}",
    lambda d: f"{DAYS[d.weekday()]}, {MONTHS[d.month - 1]} {d.day}, {d.year}",
    lambda d: f"{d.day:02}.{d.month:02}.{d.year}",
    lambda d: f"{d.day}. {d.month}. {d.year}",
    lambda d: f"{d.month}/{d.day}/{d.year}",
    lambda d: f"{d.year}, {MONTHS[d.month - 1]} {d.day}",
)


def dates(count: int, rng: np.random.Generator) -> list[tuple[str, str]]:
    """Different dates, each in a form drawn for it, and as YYYY-MM-DD; as none comes twice, a test has new ones only.

    Raises:
      ValueError: where there are not so many.
    """
    span = (LAST - FIRST).days + 1
    if count > span:
        raise ValueError(f"there are {span:,} dates from {FIRST} to {LAST}, got {count:,} asked for")
    found = []
    for place, form in zip(rng.choice(span, count, replace=False), rng.integers(len(FORMATS), size=count), strict=True):
        date = FIRST + datetime.timedelta(int(place))
        found.append((FORMATS[form](date), date.isoformat()))
    return found
