"""The folder of a running training: its checkpoints and its metrics log."""

import time
from typing import Any, Self

import numpy as np

from rnn_jax import distributed, files
from rnn_jax.training.checkpoints import CheckpointError, Checkpoints
from rnn_jax.training.faults import Faults
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
        self._checkpoints = self._log = None
        if session.folder is None:
            return
        folder = files.expanded(session.folder)
        self._checkpoints = Checkpoints(folder / "checkpoints", session.config, session.keep, session.report)
        if (restored := self._checkpoints.restore((initial.state, initial.best, initial.good))) is not None:
            (state, best, good), host = restored
            self.progress = _with_host_arrays(initial._replace(state=state, best=best, good=good), host)
            session.report(f"{session.folder}: resumes at step {self.progress.steps:,}")
        if distributed.is_writer():
            self._log = MetricsLog(folder, self.progress.steps, session.tensorboard)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        if self._log is not None:
            self._log.close()
        if self._checkpoints is not None:
            self._checkpoints.close()

    def log(self, progress: Progress, faults: Faults, results: dict[str, np.ndarray]) -> None:
        """Logs the means of the last chunk, the updates skipped so far, and the evaluation results that are [seeds]."""
        if self._log is None:
            return
        chunk = progress.chunks[-1]
        means = {name: np.mean(getattr(chunk, name), axis=1) for name in ("loss", "grad_norm", "clipped")}
        numbers = {name: values for name, values in results.items() if values.ndim == 1}
        try:
            self._log.write(progress.steps, {**means, "skipped": faults.skipped, **numbers})
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
        if self._log is not None:
            self._log.sync()
        losses = progress.chunks[-1].loss
        loss = float(np.nanmean(losses)) if np.isfinite(losses).any() else np.inf
        state = progress.state, progress.best, progress.good
        checkpoints.save(progress.steps, state, _host_arrays(progress), loss)
        self._saved = time.monotonic()


def _host_arrays(progress: Progress) -> dict[str, Any]:
    """Returns the parts of a progress that are on the host; no array is empty, as orbax refuses those."""
    arrays: dict[str, Any] = {
        "steps": np.array(progress.steps),
        "good_loss": progress.good_loss,
        "seconds": np.array(progress.seconds),
        "paces": progress.paces,
        "history": progress.history._asdict(),
    }
    return arrays | ({"eval_steps": progress.eval_steps, "curves": progress.curves} if progress.eval_steps.size else {})


def _with_host_arrays(progress: Progress, host: dict[str, Any]) -> Progress:
    """Returns the progress with the parts that `_host_arrays` gave."""
    return progress._replace(
        good_loss=host["good_loss"],
        steps=int(host["steps"]),
        seconds=float(host["seconds"]),
        paces=host["paces"],
        chunks=(StepMetrics(**host["history"]),),
        eval_steps=host.get("eval_steps", progress.eval_steps),
        curves=dict(host.get("curves", {})),
    )
