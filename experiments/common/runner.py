"""Runs an experiment's jobs: in parallel threads on a CPU, under one progress bar, with results.json as it grows.

A small program keeps about one core busy, so a CPU runs as many at a time as it has cores. Programs with a batch of QR
decompositions are an exception: jaxlib 0.10.2 hands the batch to the threads that all programs share and waits in one
of them; as many such programs as threads wait forever. A user's initialiser may have one (`initializers.Orthogonal`
has none): `init_state` runs initialisations one at a time.
"""

import concurrent.futures
import dataclasses
import functools
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import jax
from rich import progress
from rich.console import Console, RenderableType
from rich.text import Text

from experiments.common.flags import UserError
from experiments.common.run_folder import RunFolder
from rnn_jax import definitions, machine, mesh, models, training

SPEED_WINDOW = 300.0  # seconds over which the remaining time is estimated: some programs report twice a minute
_ONE_QR = threading.Lock()  # held while an initialisation runs, until its result is there

Outcome = TypeVar("Outcome")


@dataclasses.dataclass(frozen=True)
class Job(Generic[Outcome]):
    """One network to be measured, all its seeds in one program.

    Args:
      name: name of the run: in records, of its checkpoints' folder, and in log lines.
      work: amount of work at most, in any unit that the job reports to its session, such as optimization steps.
      measure: function of a session that returns the outcome, or None as soon as it can once the session's `stop` is
        set.
      records: function of the outcome that returns its flat records, one for each seed.
      config: everything that the job's result follows from; None means the experiment's whole config.
      rank: order in which jobs start; those with equal rank start in the order given.
      model: network that `--save_model` writes; None if there is none.
      trained: function of the outcome that returns it with its parameters; None if all seeds diverged.
      summary: function of the outcome that returns a line to print when the job has ended; None prints nothing.
    """

    name: str
    work: int
    measure: Callable[[training.Session], Outcome | None]
    records: Callable[[Outcome], list[dict[str, Any]]]
    config: Any = None
    rank: int = 0
    model: Any = None
    trained: Callable[[Outcome], models.Trained | None] | None = None
    summary: Callable[[Outcome], str] | None = None


class Status:
    """Lines of text by name, set from any thread and shown below the progress bar: `run_jobs(..., below=status)`."""

    def __init__(self) -> None:
        self._lock, self._lines = threading.Lock(), dict[str, str]()

    def __setitem__(self, name: str, line: str) -> None:
        with self._lock:
            self._lines[name] = line

    def __call__(self) -> Text:
        with self._lock:
            return Text("\n".join(f"{name}: {line}" for name, line in self._lines.items()))


def parallel_programs() -> int:
    """Returns how many programs run at a time: one per core, but one in all on an accelerator or on a mesh."""
    return machine.cores() if jax.default_backend() == "cpu" and mesh.current() is None else 1


def init_state(trainer: training.Trainer, keys: jax.Array) -> training.TrainState:
    """Returns `training.init(trainer, keys)`; threads take turns (see the module's docstring)."""
    with _ONE_QR:
        return jax.block_until_ready(training.init(trainer, keys))


def run_jobs(
    folder: RunFolder,
    jobs: Sequence[Job[Outcome]],
    records: Sequence[Mapping[str, Any]] = (),
    *,
    at_a_time: int | None = None,
    finished: Callable[[int, Outcome], None] | None = None,
    below: Callable[[], RenderableType] | None = None,
) -> list[Outcome]:
    """Runs every job and returns the outcomes in the order of the jobs.

    results.json is rewritten whenever a job has ended: an interrupted run keeps what it has.

    Args:
      folder: run folder that keeps checkpoints and records.
      jobs: jobs to run.
      records: records that precede those of the jobs, such as the baselines'.
      at_a_time: number of jobs that run in parallel; None means `parallel_programs()`.
      finished: function called in this thread with a job's index and outcome when it has ended.
      below: function that returns what to show below the progress bar; on a terminal only.

    Raises:
      Exception: whatever a job raises, after the others have been stopped.
    """
    outcomes: dict[int, Outcome] = {}
    order = sorted(range(len(jobs)), key=lambda index: jobs[index].rank)

    def write_records() -> None:
        folder.results([*records, *(r for i in sorted(outcomes) for r in jobs[i].records(outcomes[i]))])

    def end(place: int, outcome: Outcome) -> None:
        index = order[place]
        outcomes[index] = outcome
        write_records()
        if finished is not None:
            finished(index, outcome)
        if (summary := jobs[index].summary) is not None:
            folder.print(summary(outcome))

    if folder.saves_models:
        _check_models(jobs)
    write_records()
    ordered = [jobs[index] for index in order]
    sessions = [folder.session(job.name, job.config) for job in ordered]
    _run(ordered, sessions, at_a_time or parallel_programs(), folder.console, end, below)
    if folder.saves_models:
        _save_models(folder, jobs, outcomes)
    return [outcomes[index] for index in range(len(jobs))]


def _check_models(jobs: Sequence[Job[Any]]) -> None:
    """Refuses networks that cannot be written, before they are trained."""
    for job in jobs:
        try:
            definitions.to_json(job.model)
        except TypeError as error:
            raise UserError(f"--save_model: {job.name}: {error}") from error


def _save_models(folder: RunFolder, jobs: Sequence[Job[Outcome]], outcomes: Mapping[int, Outcome]) -> None:
    """Writes the networks, once all are trained, as orbax writes one folder at a time."""
    for index, job in enumerate(jobs):
        if job.trained is not None:
            trained = job.trained(outcomes[index])
            if trained is None:
                folder.print(f"{job.name}: not saved, as all its seeds diverged")
            else:
                folder.model(job.name, trained)


class _Progress(progress.Progress):
    """A progress bar with something below it that is redrawn whenever the bar is."""

    below: Callable[[], RenderableType] | None = None

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        if self.below is not None:
            yield self.below()


def _run(
    jobs: Sequence[Job[Outcome]],
    sessions: Sequence[training.Session],
    at_a_time: int,
    console: Console,
    end: Callable[[int, Outcome], None],
    below: Callable[[], RenderableType] | None,
) -> None:
    """Runs the jobs in threads; `end` is called here with a job's place and outcome."""
    if not jobs:
        return
    stop = threading.Event()
    columns = (
        progress.TextColumn("{task.fields[done]}"),
        progress.BarColumn(),
        progress.TaskProgressColumn(),
        progress.TimeElapsedColumn(),
        progress.TextColumn("elapsed,"),
        progress.TimeRemainingColumn(),
        progress.TextColumn("remaining"),
    )
    done, ambient = [0] * len(jobs), jax.sharding.get_mesh()
    bars = _Progress(*columns, console=console, speed_estimate_period=SPEED_WINDOW)
    bars.below = below if console.is_terminal else None
    with bars, concurrent.futures.ThreadPoolExecutor(at_a_time) as pool:
        bar = bars.add_task("", total=sum(job.work for job in jobs), done=f"0/{len(jobs)} runs")

        def advance(place: int, amount: int) -> None:
            sessions[place].advance(amount)
            done[place] += amount
            bars.advance(bar, amount)

        running = {}
        for place, (job, session) in enumerate(zip(jobs, sessions, strict=True)):
            watched = dataclasses.replace(session, advance=functools.partial(advance, place), stop=stop)
            running[pool.submit(_on_mesh, ambient, job, watched)] = place
        try:
            for count, future in enumerate(concurrent.futures.as_completed(running), 1):
                place, outcome = running[future], future.result()
                assert outcome is not None  # only a stopped job has none
                end(place, outcome)
                remaining = [j.work - d for f, j, d in zip(running, jobs, done, strict=True) if not f.done()]
                bars.update(bar, done=f"{count}/{len(jobs)} runs", total=sum(done) + sum(remaining))
        except BaseException as error:
            stop.set()
            pool.shutdown(cancel_futures=True)
            if isinstance(error, KeyboardInterrupt):  # a training that could not be saved must not be reported as saved
                for future in running:
                    if not future.cancelled() and (failure := future.exception()) is not None:
                        raise failure from error
            raise


def _on_mesh(ambient: jax.sharding.Mesh, job: Job[Outcome], session: training.Session) -> Outcome | None:
    """Measures a job in this thread on the mesh of the thread that started it."""
    if ambient.empty:
        return job.measure(session)
    with jax.set_mesh(ambient):
        return job.measure(session)
