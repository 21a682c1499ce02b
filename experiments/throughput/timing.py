"""Interleaved timing: all that is compared is measured in turn, so a slow minute of the machine slows all alike."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Call = Callable[[], Any]  # returns when its work is done

MOST_ROUNDS = 31  # the median of so many is steady; more is only time
# A call shorter than this, in seconds, is made once untimed in its turn: what came before has taken the caches, while
# its own threads went to sleep (torch's OpenMP) or the other's still spin. So measured, torch needs the time that it
# needs alone, within 6 %; otherwise up to 20 % more, and after a pause of 50 ms 78 %.
SHORT = 0.1


def interleave(calls: Mapping[str, Call], rounds: int, seconds: float) -> dict[str, list[float]]:
    """Seconds that each call took, round by round.

    Every call is made twice before (compiled, warmed up). Then each has its turn in every round, in `turns`, until
    there are `rounds` of them and `seconds` have passed, or `MOST_ROUNDS` have.

    Args:
      calls: by name.
      rounds: at least.
      seconds: after which there are no more rounds than that.
    """
    for call in calls.values():
        call()
    short = {name for name, call in calls.items() if _seconds(call) < SHORT}
    times: dict[str, list[float]] = {name: [] for name in calls}
    start, done = time.perf_counter(), 0
    while done < rounds or (done < MOST_ROUNDS and time.perf_counter() - start < seconds):
        for name in turns(list(calls), done):
            if name in short:
                calls[name]()
            times[name].append(_seconds(calls[name]))
        done += 1
    return times


def turns(names: Sequence[str], number: int) -> list[str]:
    """The order of a round: every other one is the last one backwards, and each such pair is rotated.

    So nobody always follows the same one, or comes first.
    """
    first = number // 2 % len(names)
    order = [*names[first:], *names[:first]]
    return order[::-1] if number % 2 else order


def statistics(times: Sequence[float]) -> dict[str, Any]:
    """The fields of a record: median and quartiles in ms, and how many rounds they are of."""
    lower, median, upper = np.percentile(np.asarray(times) * 1e3, [25, 50, 75])
    return {"median_ms": median, "lower_quartile_ms": lower, "upper_quartile_ms": upper, "rounds": len(times)}


def _seconds(call: Call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
