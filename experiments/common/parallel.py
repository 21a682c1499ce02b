"""Programs side by side in threads, under one progress bar.

A small program keeps about one core busy, so that on a CPU as many may run at a time as there are cores. Not those
with a batch of QR decompositions in them: jaxlib 0.10.2 hands it to the threads that all programs share and waits in
one of them; where as many do so as there are threads, they wait for ever. An initialisation of one's own may have one
(`initializers.Orthogonal` has not): `begin` runs them one at a time.
"""

import concurrent.futures
import dataclasses
import functools
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import jax
from rich import progress
from rich.console import Console, RenderableType

from rnn_jax import machine, mesh, training

ESTIMATED_OVER = 300.0  # seconds whose speed tells the time that is left: some programs report twice a minute
_ONE_QR = threading.Lock()  # held while a program with a QR decomposition runs, until its result is there

Outcome = TypeVar("Outcome")
Job = Callable[[training.Session], Outcome | None]


def programs_at_a_time() -> int:
    """As many as there are cores; on an accelerator, or on a mesh, one after the other."""
    return machine.cores() if jax.default_backend() == "cpu" and mesh.current() is None else 1


def begin(trainer: training.Trainer, keys: jax.Array) -> training.TrainState:
    """`training.init`, the programs of all threads one at a time."""
    with _ONE_QR:
        return jax.block_until_ready(training.init(trainer, keys))


class _Progress(progress.Progress):
    """A bar with something below it that is drawn anew as the bar is."""

    below: Callable[[], RenderableType] | None = None

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        if self.below is not None:
            yield self.below()


def run(
    jobs: Sequence[Job[Outcome]],
    sessions: Sequence[training.Session],
    work: Sequence[int],
    at_a_time: int,
    console: Console,
    finished: Callable[[int, Outcome], None],
    below: Callable[[], RenderableType] | None = None,
) -> None:
    """Runs every job, in order as threads come free.

    Args:
      jobs: each is called with its session, to which it tells the work it has just done; once its `stop` is set it
        returns None as soon as it can.
      sessions: of each job, what keeps it.
      work: of each job at the most, in any unit, such as optimization steps; what it has left undone at its end is
        taken off the bar.
      at_a_time: how many run side by side.
      console: where the bar is shown.
      finished: called in this thread with a job's place and outcome, as soon as it has ended.
      below: what is to be shown below the bar; on a terminal only.

    Raises:
      Whatever a job or `finished` raises, after the others have been stopped; an interrupt as well, unless a job could
      not be saved at it.
    """
    if not jobs:
        return
    stop = threading.Event()
    columns = (
        progress.TextColumn("{task.fields[done]}"),
        progress.BarColumn(),
        progress.TaskProgressColumn(),
        progress.TimeElapsedColumn(),
        progress.TextColumn("gone,"),
        progress.TimeRemainingColumn(),
        progress.TextColumn("left"),
    )
    done, ambient = [0] * len(jobs), jax.sharding.get_mesh()
    bars = _Progress(*columns, console=console, speed_estimate_period=ESTIMATED_OVER)
    bars.below = below if console.is_terminal else None
    with bars, concurrent.futures.ThreadPoolExecutor(at_a_time) as pool:
        bar = bars.add_task("", total=sum(work), done=f"0/{len(jobs)} runs")

        def advance(place: int, amount: int) -> None:
            sessions[place].advance(amount)
            done[place] += amount
            bars.advance(bar, amount)

        told = [
            dataclasses.replace(s, advance=functools.partial(advance, i), stop=stop) for i, s in enumerate(sessions)
        ]
        running = {
            pool.submit(functools.partial(_on_mesh, ambient, job, session)): i
            for i, (job, session) in enumerate(zip(jobs, told, strict=True))
        }
        try:
            for count, future in enumerate(concurrent.futures.as_completed(running), 1):
                place, outcome = running[future], future.result()
                assert outcome is not None  # only a stopped job has none
                finished(place, outcome)
                left = [w - d for f, w, d in zip(running, work, done, strict=True) if not f.done()]
                bars.update(bar, done=f"{count}/{len(jobs)} runs", total=sum(done) + sum(left))
        except BaseException as ended:
            stop.set()
            pool.shutdown(cancel_futures=True)
            if isinstance(ended, KeyboardInterrupt):  # what could not be saved must not be said to be
                for future in running:
                    if not future.cancelled() and (failure := future.exception()) is not None:
                        raise failure from ended
            raise


def _on_mesh(ambient: jax.sharding.Mesh, job: Job[Outcome], session: training.Session) -> Outcome | None:
    """Runs a job in this thread on the mesh of the one that asked for it."""
    if ambient.empty:
        return job(session)
    with jax.set_mesh(ambient):
        return job(session)
