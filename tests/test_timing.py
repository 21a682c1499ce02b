"""Interleaved timing: the order of rounds, how many there are, and what counts as short."""

import time

from experiments.common import timing


def test_every_call_runs_in_every_round():
    made = []
    calls = {name: (lambda name=name: made.append(name)) for name in "abc"}
    times = timing.interleave(calls, rounds=4, seconds=0)
    assert {name: len(seconds) for name, seconds in times.items()} == {"a": 4, "b": 4, "c": 4}
    assert made[:6] == [*"abc", *"abc"]  # compiled and warmed up
    # Short calls: each runs once untimed and once timed.
    assert made[6::2] == made[7::2] == [*"abc", *"cba", *"bca", *"acb"]
    first = {name: sum(timing.round_order("abc", n)[0] == name for n in range(6)) for name in "abc"}
    assert first == {"a": 2, "b": 2, "c": 2}


def test_a_long_call_runs_once_a_round_and_the_time_is_its_own(monkeypatch):
    monkeypatch.setattr(timing, "SHORT", 0.01)
    made = []
    calls = {"long": lambda: (made.append("long"), time.sleep(0.02)), "short": lambda: made.append("short")}
    times = timing.interleave(calls, rounds=2, seconds=0)
    assert made[4:] == ["long", "short", "short", "short", "short", "long"]
    assert min(times["long"]) >= 0.02
    assert max(times["short"]) < 0.02


def test_there_are_more_rounds_while_there_is_time():
    times = timing.interleave({"a": lambda: time.sleep(0.001)}, rounds=1, seconds=0.05)
    assert 1 < len(times["a"]) <= timing.MAX_ROUNDS
    assert len(timing.interleave({"a": lambda: None}, rounds=1, seconds=60)["a"]) == timing.MAX_ROUNDS


def test_statistics_are_of_milliseconds():
    statistics = timing.statistics([0.001, 0.002, 0.003, 0.004, 0.1])
    assert statistics == {"median_ms": 3, "lower_quartile_ms": 2, "upper_quartile_ms": 4, "rounds": 5}
