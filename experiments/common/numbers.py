"""Numbers as text, for tables and findings."""

import math

import numpy as np


def number(value: float, digits: int = 2, low: float = 0.01, high: float = 1e4) -> str:
    """Returns a number with `digits` significant digits, or as a power of ten outside [low, high); "-" for NaN."""
    if math.isnan(value):
        return "-"
    if value and not low <= abs(value) < high:
        return f"{value:.{digits - 2}e}"
    return f"{value:,.0f}" if abs(value) >= 10 ** (digits - 1) else f"{value:.{digits}g}"


def mean_sd(values: np.ndarray, digits: int = 2) -> str:
    """Returns the mean of values [seeds] and, if there are several, their standard deviation."""
    mean = f"{np.mean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean}±{np.std(values, ddof=1):.{digits}f}"


def seeds_note(seeds: int) -> str:
    """Returns what `mean_sd` shows, for a table's caption; nothing for one seed."""
    return f", mean±standard deviation of {seeds} seeds" if seeds > 1 else ""


def minutes(seconds: float) -> str:
    """Returns seconds as m:ss."""
    return f"{seconds // 60:.0f}:{seconds % 60:02.0f}"
