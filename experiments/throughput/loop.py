"""What the loop of a whole training adds to its compiled steps: log points, metrics.jsonl, progress bar, checkpoints.

bare       `training.run`, stretch after stretch
logged     `training.train` with a folder and a bar, no checkpoint before its end
saved      the same with a checkpoint at every log point
"""

import functools
import itertools
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

import jax
from rich.console import Console
from rich.progress import Progress

from experiments.throughput import timing
from experiments.throughput.config import Config
from experiments.throughput.job import Job, Record
from experiments.throughput.peers.contestant import Contestant
from rnn_jax import LSTM, Adding, ReadoutModel, tasks, training

HIDDEN, BATCH = 64, 20
LOG_EVERY, LOG_POINTS = 100, 10
BETWEEN = 30.0  # seconds between two checkpoints, by default


def jobs(config: Config, peers: Sequence[Contestant]) -> list[Job]:
    """The three ways in turn; no other library takes part."""
    del peers
    return [Job("lstm on adding", lambda: _compare(config))]


def _compare(config: Config) -> list[Record]:
    task = Adding(min(100, config.longest))
    trainer = training.Trainer(ReadoutModel(LSTM(2, HIDDEN), 1), BATCH, training.Adam(1e-3), training.ClipByNorm(1.0))
    log_every = min(LOG_EVERY, config.longest)
    taken: dict[str, list[float]] = {"logged": [], "saved": []}
    with tempfile.TemporaryDirectory() as folder, Progress(console=Console(quiet=True)) as bars:
        numbers = itertools.count()

        def whole(way: str, seconds: float) -> None:
            bar = bars.add_task("", total=log_every * LOG_POINTS)
            session = training.Session(
                Path(folder) / str(next(numbers)),
                checkpoint_seconds=seconds,
                advance=functools.partial(bars.advance, bar),
            )
            begun = training.init(trainer, jax.random.key(config.seed)[None])
            progress = training.train(
                trainer, task, begun, log_every * LOG_POINTS, log_every=log_every, session=session
            )
            assert progress is not None
            # From its first step to its last log point: what it costs to begin and to end is not the loop's.
            taken[way].append(progress.seconds)

        calls: dict[str, timing.Call] = {
            "bare": functools.partial(_bare, trainer, task, config.seed, log_every),
            "logged": functools.partial(whole, "logged", math.inf),
            "saved": functools.partial(whole, "saved", 0.0),
        }
        times = timing.interleave(calls, config.repeats, config.seconds)
    rounds = len(times["bare"])
    times |= {way: seconds[-rounds:] for way, seconds in taken.items()}
    found = {way: timing.statistics(seconds) for way, seconds in times.items()}
    bare, logged, saved = (found[way]["median_ms"] for way in ("bare", "logged", "saved"))
    a_save = max(0.0, saved - logged) / (LOG_POINTS - 1)  # the last one is begun after its end
    overhead = logged / bare - 1 + a_save / (1e3 * BETWEEN)
    sizes = {"steps": task.length, "batch": BATCH, "hidden_size": HIDDEN, "log_every": log_every}
    derived = {"ms_a_checkpoint": a_save, "overhead": overhead}
    steps = log_every * LOG_POINTS
    return [
        {
            "part": "loop",
            "task": "adding",
            **sizes,
            "way": way,
            **each,
            "ms_a_step": each["median_ms"] / steps,
            **derived,
        }
        for way, each in found.items()
    ]


def _bare(trainer: training.Trainer, task: tasks.Task, seed: int, log_every: int) -> None:
    state = training.start(trainer, task, training.init(trainer, jax.random.key(seed)[None]))
    for _ in range(LOG_POINTS):
        state, metrics = training.run(trainer, task, state, log_every)
    jax.block_until_ready((state, metrics))
