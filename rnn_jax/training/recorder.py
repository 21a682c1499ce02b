"""The folder of a running training: its checkpoints, its history and its metrics log."""

import contextlib
import time
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from rnn_jax import distributed, files
from rnn_jax.training import history_log
from rnn_jax.training.checkpoints import CheckpointError, Checkpoints
from rnn_jax.training.faults import Faults
from rnn_jax.training.history_log import HistoryLog
from rnn_jax.training.metrics_log import MetricsLog
from rnn_jax.training.progress import Progress
from rnn_jax.training.session import Session
from rnn_jax.training.step import StepMetrics


class Recorder:
    """Restores a training from a session's folder, and writes its checkpoints and log; without a folder, does nothing.

    Args:
      session: folder and options.
      initial: progress before the first step; gives structure, shapes and shardings for the restored one.

    Attributes:
      progress: the restored progress; `initial` if there is no checkpoint.
    """

    def __init__(self, session: Session, initial: Progress):
        self._session, self.progress, self._saved = session, initial, time.monotonic()
        self._checkpoints: Checkpoints | None = None
        self._logs: tuple[MetricsLog, HistoryLog] | None = None
        if session.folder is None:
            return
        folder, mark = files.expanded(session.folder), history_log.EMPTY
        self._checkpoints = Checkpoints(folder / "checkpoints", session.config, session.keep, session.report)

        def with_records(state: Any, host: dict[str, Any]) -> tuple[Any, dict[str, Any], list[dict[str, Any]]]:
            return state, host, history_log.read(folder, host["history"])

        states = initial.state, initial.best, initial.good
        if (restored := self._checkpoints.restore(states, with_records)) is not None:
            (state, best, good), host, records = restored
            self.progress = _resumed(initial._replace(state=state, best=best, good=good), host, records)
            mark = host["history"]
            session.report(f"{session.folder}: resumes at step {self.progress.steps:,}")
        if distributed.is_writer():
            self._logs = MetricsLog(folder, self.progress.steps, session.tensorboard), HistoryLog(folder, mark)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        for log in self._logs or ():
            with contextlib.suppress(OSError):  # closing repeats a write that failed, and has raised its error
                log.close()
        if self._checkpoints is not None:
            self._checkpoints.close()

    def log(self, progress: Progress, faults: Faults) -> None:
        """Logs the last chunk, the updates skipped so far, and the evaluation that ended it, if one did."""
        if self._logs is None:
            return
        metrics, history = self._logs
        record = _last_record(progress)
        means = {name: np.mean(record["metrics"][name], axis=1) for name in ("loss", "grad_norm", "clipped")}
        numbers = {name: values for name, values in record.get("results", {}).items() if values.ndim == 1}
        try:
            history.append(record)
            metrics.write(progress.steps, {**means, "skipped": faults.skipped, **numbers})
        except OSError as error:
            raise CheckpointError(f"{self._session.folder}: cannot be written: {error.strerror}") from error

    def save_if_due(self, progress: Progress) -> None:
        """Starts to save a checkpoint if the last one is old enough in any process."""
        seconds = self._session.checkpoint_seconds
        if self._checkpoints is not None and distributed.any_process(time.monotonic() - self._saved >= seconds):
            self._save(self._checkpoints, progress)

    def save(self, progress: Progress) -> None:
        """Saves a checkpoint, and returns once it is on disk."""
        if self._checkpoints is not None and progress.steps:
            self._save(self._checkpoints, progress)
            self._checkpoints.wait()

    def _save(self, checkpoints: Checkpoints, progress: Progress) -> None:
        mark = history_log.EMPTY  # orbax writes that of the process with the logs
        if self._logs is not None:
            for log in self._logs:
                log.sync()
            mark = self._logs[1].mark
        losses = progress.chunks[-1].loss
        loss = float(np.nanmean(losses)) if np.isfinite(losses).any() else np.inf
        host = {
            "steps": np.array(progress.steps),
            "good_loss": progress.good_loss,
            "seconds": np.array(progress.seconds),
            "history": mark,
        }
        checkpoints.save(progress.steps, (progress.state, progress.best, progress.good), host, loss)
        self._saved = time.monotonic()


def _last_record(progress: Progress) -> dict[str, Any]:
    """Returns what the last chunk added to the history of a progress."""
    record = {"metrics": progress.chunks[-1]._asdict(), "pace": progress.paces[-1]}
    if progress.eval_steps.size and progress.eval_steps[-1] == progress.steps:
        record["results"] = {name: values[:, -1] for name, values in progress.curves.items()}
    return record


def _resumed(progress: Progress, host: dict[str, Any], records: Sequence[dict[str, Any]]) -> Progress:
    """Returns the progress with the parts that a checkpoint has on the host, and the records of its history."""
    chunks = tuple(StepMetrics(**record["metrics"]) for record in records)
    ends = np.cumsum([chunk.loss.shape[1] for chunk in chunks])
    evaluated = ["results" in record for record in records]
    results = [record["results"] for record in records if "results" in record]
    return progress._replace(
        good_loss=host["good_loss"],
        steps=int(host["steps"]),
        seconds=float(host["seconds"]),
        paces=np.array([record["pace"] for record in records]),
        chunks=chunks,
        eval_steps=ends[evaluated],
        curves={name: np.stack([each[name] for each in results], axis=1) for name in (results[0] if results else ())},
    )
