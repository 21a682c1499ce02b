"""Interleaved timing: every call runs in every round, so that a slow minute of the machine slows all of them alike."""

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

Call = Callable[[], Any]  # returns when its work is done
Name = TypeVar("Name", bound=Hashable)

MAX_ROUNDS = 31  # a median of more rounds is no steadier
# A call shorter than this, in seconds, runs once untimed before it is timed: the call before it has replaced the
# caches, and threads of its own library have gone to sleep (torch's OpenMP) while those of another still spin. Torch's
# times are then within 6 % of those it has alone; otherwise up to 20 % longer, and after a pause of 50 ms 78 %.
SHORT = 0.1


def compare(calls: Mapping[Name, Call], rounds: int, seconds: float) -> dict[Name, dict[str, Any]]:
    """Returns `statistics` of the times that `interleave` measures."""
    return {name: statistics(times) for name, times in interleave(calls, rounds, seconds).items()}


def interleave(calls: Mapping[Name, Call], rounds: int, seconds: float) -> dict[Name, list[float]]:
    """Times calls, each once a round, after two untimed rounds in which they compile and warm up.

    Args:
      calls: calls by name.
      rounds: number of rounds at least.
      seconds: time in which more rounds may start, up to `MAX_ROUNDS`.

    Returns:
      Seconds of every call in each round.
    """
    for call in calls.values():
        call()
    short = {name for name, call in calls.items() if _seconds(call) < SHORT}
    times: dict[Name, list[float]] = {name: [] for name in calls}
    start, done = time.perf_counter(), 0
    while done < rounds or (done < MAX_ROUNDS and time.perf_counter() - start < seconds):
        for name in round_order(list(calls), done):
            if name in short:
                calls[name]()
            times[name].append(_seconds(calls[name]))
        done += 1
    return times


def round_order(names: Sequence[Name], number: int) -> list[Name]:
    """Returns the order of a round: rotated for every pair of rounds, and reversed in the second of each pair.

    So no call always comes first or always follows the same one.
    """
    start = number // 2 % len(names)
    order = [*names[start:], *names[:start]]
    return order[::-1] if number % 2 else order


def statistics(times: Sequence[float]) -> dict[str, Any]:
    """Returns the fields of a record: median and quartiles in ms, and the number of rounds."""
    lower, median, upper = np.percentile(np.asarray(times) * 1e3, [25, 50, 75])
    return {"median_ms": median, "lower_quartile_ms": lower, "upper_quartile_ms": upper, "rounds": len(times)}


def _seconds(call: Call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
