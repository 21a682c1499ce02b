"""Dates written in words and numbers, with their ISO 8601 form: generated pairs for translation by characters."""

import datetime

import numpy as np

from rnn_jax.data.pairs import Pair

FIRST, LAST = datetime.date(1900, 1, 1), datetime.date(2099, 12, 31)
# Not those of the `calendar` module, which depend on the locale.
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


def written_dates(count: int, rng: np.random.Generator) -> list[Pair]:
    """Returns different dates, each in a random format and as YYYY-MM-DD; as none repeats, a test set is all new.

    >>> import numpy as np
    >>> from rnn_jax import data
    >>> data.written_dates(1, np.random.default_rng(0))
    [Pair(source='15. 2. 2070', target='2070-02-15')]

    Args:
      count: number of dates, of the years 1900 to 2099.
      rng: generator that draws dates and formats.

    Raises:
      ValueError: if there are not so many.
    """
    span = (LAST - FIRST).days + 1
    if count > span:
        raise ValueError(f"there are {span:,} dates from {FIRST} to {LAST}, got {count:,} asked for")
    pairs = []
    for place, form in zip(rng.choice(span, count, replace=False), rng.integers(len(FORMATS), size=count), strict=True):
        date = FIRST + datetime.timedelta(int(place))
        pairs.append(Pair(FORMATS[form](date), date.isoformat()))
    return pairs


def _suffix(day: int) -> str:
    return "th" if 11 <= day <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
