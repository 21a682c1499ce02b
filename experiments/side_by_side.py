"""Programs side by side in threads, under one progress bar of optimization steps.

A small program keeps about one core busy, so that on a CPU as many may run at a time as there are cores. Not those
with a QR decomposition in them: jaxlib 0.10.2 hands it to the threads that all programs share and waits in one of them;
where as many do so as there are threads, they wait for ever. That of an orthogonal initialisation is run under
`ONE_QR`.
"""

import concurrent.futures
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

import jax
from rich import progress
from rich.console import Console

from rnn_jax import report

ONE_QR = threading.Lock()  # held while a program with a QR decomposition runs, until its result is there

Outcome = TypeVar("Outcome")
Job = Callable[[Callable[[int], None], threading.Event], Outcome | None]


def programs_at_a_time() -> int:
    """As many as there are cores; on an accelerator one after the other."""
    return report.cores() if jax.default_backend() == "cpu" else 1


def run(
    jobs: Sequence[Job[Outcome]],
    steps: int,
    at_a_time: int,
    console: Console,
    finished: Callable[[int, Outcome], None],
) -> None:
    """Runs every job, in order as threads come free.

    Args:
      jobs: each is called with a function to tell the steps it has just done, and an event; once that is set it returns
        None as soon as it can.
      steps: of all jobs together.
      at_a_time: how many run side by side.
      console: where the bar is shown.
      finished: called in this thread with a job's place and outcome, as soon as it has ended.

    Raises:
      Whatever a job or `finished` raises, after the others have been stopped; an interrupt as well.
    """
    stop = threading.Event()
    columns = (
        progress.TextColumn("{task.fields[done]}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn("steps,"),
        progress.TimeRemainingColumn(),
        progress.TextColumn("left"),
    )
    with progress.Progress(*columns, console=console) as bars, concurrent.futures.ThreadPoolExecutor(at_a_time) as pool:
        bar = bars.add_task("", total=steps, done=f"0/{len(jobs)} runs")
        running = {pool.submit(job, lambda done: bars.advance(bar, done), stop): i for i, job in enumerate(jobs)}
        try:
            for count, future in enumerate(concurrent.futures.as_completed(running), 1):
                outcome = future.result()
                assert outcome is not None  # only a stopped job has none
                finished(running[future], outcome)
                bars.update(bar, done=f"{count}/{len(jobs)} runs")
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
