"""What the training loop adds to its compiled steps: log points, metrics.jsonl, progress bar, checkpoints.

bare       `training.run`, chunk after chunk
logged     `training.train` with a folder and a progress bar, no checkpoint before its end
saved      the same with a checkpoint at every log point
"""

import functools
import math
import tempfile
from pathlib import Path

import jax
from rich.console import Console
from rich.progress import Progress

from experiments.common import timing
from experiments.common.tables import Records
from experiments.throughput import part
from rnn_jax import LSTM, Adding, ReadoutModel, training

HIDDEN, BATCH = 64, 20
LOG_EVERY, LOG_POINTS = 100, 10
CHECKPOINTS = {"logged": math.inf, "saved": 0.0}  # seconds between two checkpoints
CHECKPOINT_SECONDS = 30.0  # by default


def _measure(options: part.Options, _: part.Contestants, task: Adding) -> Records:
    trainer = training.Trainer(ReadoutModel(LSTM(2, HIDDEN), 1), BATCH, training.Adam(1e-3), training.ClipByNorm(1.0))
    steps = LOG_EVERY * LOG_POINTS
    key = jax.random.key(options.seed)[None]

    def bare() -> None:
        state = training.start(trainer, task, training.init(trainer, key))
        for _ in range(LOG_POINTS):
            state, metrics = training.run(trainer, task, state, LOG_EVERY)
        jax.block_until_ready((state, metrics))

    trained: dict[str, list[float]] = {way: [] for way in CHECKPOINTS}
    with tempfile.TemporaryDirectory() as folder, Progress(console=Console(quiet=True)) as bars:

        def train(way: str, checkpoint_seconds: float) -> None:
            advance = functools.partial(bars.advance, bars.add_task("", total=steps))
            path = Path(tempfile.mkdtemp(dir=folder))
            session = training.Session(path, checkpoint_seconds=checkpoint_seconds, advance=advance)
            state = training.init(trainer, key)
            progress = training.train(trainer, task, state, steps, log_every=LOG_EVERY, session=session)
            assert progress is not None
            trained[way].append(progress.seconds)  # from the first step to the last log point: no start, no end

        calls = {way: functools.partial(train, way, seconds) for way, seconds in CHECKPOINTS.items()}
        times = timing.interleave({"bare": bare, **calls}, options.repeats, options.seconds)
    times |= {way: seconds[-len(times["bare"]) :] for way, seconds in trained.items()}
    statistics = {way: timing.statistics(seconds) for way, seconds in times.items()}
    bare_ms, logged_ms, saved_ms = (each["median_ms"] for each in statistics.values())
    checkpoint_ms = max(0.0, saved_ms - logged_ms) / (LOG_POINTS - 1)  # the last one starts after the last log point
    overhead = logged_ms / bare_ms - 1 + checkpoint_ms / (1e3 * CHECKPOINT_SECONDS)
    shared = {"task": "adding", "steps": task.length, "batch": BATCH, "hidden_size": HIDDEN, "log_every": LOG_EVERY}
    shared |= {"ms_a_checkpoint": checkpoint_ms, "overhead": overhead}
    return [{**shared, "way": way, **each, "ms_a_step": each["median_ms"] / steps} for way, each in statistics.items()]


LOOP = part.Part(
    lambda _: {"lstm on adding": Adding(100)},
    _measure,
    "the loop: LSTM on {task}, T = {steps}, a log point every {log_every} steps",
    {
        "way": "way",
        "step, ms": ("ms_a_step", 1),
        "added, %": lambda r, records: f"{100 * (part.ratio(r, records, way='bare') - 1):+.1f}",
    },
    "bare: compiled steps alone. logged: metrics.jsonl and progress bar. saved: a checkpoint at every log point, "
    f"{{ms_a_checkpoint:.3g}} ms each; with one every {CHECKPOINT_SECONDS:.0f} s the loop adds {{overhead:.1%}}.",
)
