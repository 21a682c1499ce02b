"""A whole training: log points, looks, checkpoints. Killed at any moment, it goes on as if it had not been."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from rnn_jax import checks, distributed
from rnn_jax.seeds import fetch
from rnn_jax.training.checkpoints import CheckpointError, Checkpoints
from rnn_jax.training.faults import Faults, chosen, roll_back
from rnn_jax.training.history import join
from rnn_jax.training.metrics_log import MetricsLog
from rnn_jax.training.not_finite import RollBack
from rnn_jax.training.session import Session
from rnn_jax.training.step import StepMetrics, Trainer, TrainState, of_training

Loop = Callable[[Any, int], tuple[Any, StepMetrics]]  # of a state [seeds, ...] and steps


class Progress(NamedTuple):
    """All of a run: what changes, and what was seen of it. A checkpoint holds it."""

    state: Any  # of the loop, [seeds, ...]
    best: Any  # the parameters [seeds, ...] of each seed's best look; () where none are kept
    good: Any  # by `RollBack`, the state of the log point after which each seed's loss was least; else ()
    good_loss: np.ndarray  # [seeds], that loss
    done: int  # steps
    seconds: float  # of all sittings, compilation and looks counted in
    paces: np.ndarray  # seconds a step, of each stretch between two log points
    pieces: tuple[StepMetrics, ...]  # of NumPy arrays [seeds, steps], one after the other
    looks: np.ndarray  # [looks], the steps done at each
    curves: dict[str, np.ndarray]  # what the looks found, [seeds, looks, ...]

    @property
    def training(self) -> TrainState:
        """What every loop's state has."""
        return of_training(self.state)

    @property
    def history(self) -> StepMetrics:
        """Of every step, NumPy arrays [seeds, steps]."""
        return join(self.pieces)

    @property
    def pace(self) -> float:
        """Seconds a step, of all seeds together; the median of the stretches after the first, which compiles."""
        return float(np.median(self.paces[1:])) if len(self.paces) > 1 else float("nan")


Look = Callable[[Progress], dict[str, np.ndarray]]


def train(
    trainer: Trainer,
    loop: Loop,
    state: Any,
    steps: int,
    *,
    log_every: int,
    look: Look | None = None,
    look_every: int | None = None,
    best_by: str | None = None,
    looked: Callable[[Progress], bool] | None = None,
    session: Session = Session(),
) -> Progress | None:
    """Trains all seeds to the end, or on from where the session's folder has them.

    The result is the same, bit for bit, however often the training was interrupted: a checkpoint lies at a log point,
    so that what is done again is done in the same pieces.

    Args:
      trainer: says what becomes of a seed that meets NaN or infinity.
      loop: `run`, `run_stream` or `run_examples` with all that they take but state and steps.
      state: where it begins; its buffers are given away.
      steps: in all.
      log_every: steps from one log point to the next at the most; there is one at every look and at the end too.
      look: of all that there is so far, numbers by name, each [seeds, ...]; those that are [seeds] are logged.
      look_every: steps between looks; None: at the end only.
      best_by: the curve by which the best parameters of each seed are kept, the lower the better.
      looked: called after every look, that counted in; whether the training is to end there.
      session: who is told, what ends it, where it is kept.

    Returns:
      The run at its end; None where it was stopped: then it is saved.

    Raises:
      CheckpointError: where a checkpoint cannot be written, or those that are there do not fit.
    """
    checks.integer_at_least(1, steps, "train: steps")
    checks.integer_at_least(1, log_every, "train: log_every")
    best = _copy(of_training(state).params) if best_by is not None else ()
    policy = trainer.not_finite
    good = _copy(state) if isinstance(policy, RollBack) else ()
    unknown = np.full(len(of_training(state).step), np.inf)
    progress = Progress(state, best, good, unknown, 0, 0.0, np.empty(0), (), np.empty(0, int), {})
    keeper = _Keeper(session, progress)
    with keeper:
        progress = keeper.progress
        earlier, began = progress.seconds, time.perf_counter()
        if progress.done:
            session.advance(progress.done)
        at_look = progress.looks.size and progress.looks[-1] == progress.done
        over = bool(at_look and looked is not None and looked(progress))
        faults = Faults.of(progress.state)
        while progress.done < steps and not over:
            if _agreed(session.stop.is_set()):
                keeper.save(progress)
                return None
            to_look = steps if look_every is None else look_every - progress.done % look_every
            count = min(log_every, to_look, steps - progress.done)
            before = _copy(progress.state) if isinstance(policy, RollBack) else None
            start = time.perf_counter()
            state, metrics = loop(progress.state, count)
            piece = fetch(metrics)
            pace = (time.perf_counter() - start) / count
            if isinstance(policy, RollBack):
                progress = _noted(progress, before, piece)
                state = roll_back(policy, progress.good, state)
            done = progress.done + count
            progress = progress._replace(
                state=state,
                done=done,
                pieces=(*progress.pieces, piece),
                paces=np.append(progress.paces, pace),
                seconds=earlier + time.perf_counter() - began,
            )
            earlier_faults, faults = faults, Faults.of(state)
            for sentence in faults.since(earlier_faults, done, progress.pieces, progress.good_loss):
                session.tell(sentence)
            found: dict[str, np.ndarray] = {}
            if look is not None and (count == to_look or done == steps):
                found = {name: np.asarray(values) for name, values in look(progress).items()}
                progress = _looked(progress, found, best_by)
                progress = progress._replace(seconds=earlier + time.perf_counter() - began)
            keeper.log(progress.done, piece, faults.left_out, found)
            session.advance(count)
            over = bool(found and looked is not None and looked(progress))
            keeper.save_if_due(progress)
        keeper.save(progress)
    return progress


class _Keeper:
    """The folder of a session, while a training is under way."""

    def __init__(self, session: Session, begun: Progress):
        self._session, self.progress, self._saved = session, begun, time.monotonic()
        self._checkpoints = self._log = None
        if session.folder is None:
            return
        self._checkpoints = Checkpoints(session.folder / "checkpoints", session.made_by, session.keep, session.tell)
        if (found := self._checkpoints.restore((begun.state, begun.best, begun.good))) is not None:
            (state, best, good), host = found
            self.progress = _restored(begun._replace(state=state, best=best, good=good), host)
            session.tell(f"{session.folder}: goes on at step {self.progress.done:,}")
        if distributed.is_writer():
            self._log = MetricsLog(session.folder, self.progress.done, session.tensorboard)

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, *_: Any) -> None:
        if self._log is not None:
            self._log.close()
        if self._checkpoints is not None:
            self._checkpoints.close()

    def log(self, done: int, piece: StepMetrics, left_out: np.ndarray, found: dict[str, np.ndarray]) -> None:
        if self._log is not None:
            means = {name: np.mean(getattr(piece, name), axis=1) for name in ("loss", "grad_norm", "clipped")}
            numbers = {name: values for name, values in found.items() if values.ndim == 1}
            try:
                self._log.write(done, {**means, "left_out": left_out, **numbers})
            except OSError as error:
                raise CheckpointError(f"{self._session.folder}: cannot be written: {error.strerror}") from error

    def save_if_due(self, progress: Progress) -> None:
        if self._checkpoints is not None and _agreed(time.monotonic() - self._saved >= self._session.seconds):
            self._save(progress)

    def save(self, progress: Progress) -> None:
        """Now, and until it is on the disk."""
        if self._checkpoints is not None and progress.done:
            self._save(progress)
            self._checkpoints.wait()

    def _save(self, progress: Progress) -> None:
        if self._checkpoints is None:
            return
        if self._log is not None:
            self._log.sync()
        loss = float(np.nanmean(progress.pieces[-1].loss)) if np.isfinite(progress.pieces[-1].loss).any() else np.inf
        of_devices = progress.state, progress.best, progress.good
        self._checkpoints.save(progress.done, of_devices, _host(progress), loss)
        self._saved = time.monotonic()


def _host(progress: Progress) -> dict[str, Any]:
    """What of a run is on the host, in dicts."""
    found: dict[str, Any] = {
        "done": np.array(progress.done),
        "good_loss": progress.good_loss,
        "seconds": np.array(progress.seconds),
        "paces": progress.paces,
        "history": progress.history._asdict(),
    }
    return found | ({"looks": progress.looks, "curves": progress.curves} if progress.looks.size else {})


def _restored(begun: Progress, host: dict[str, Any]) -> Progress:
    return begun._replace(
        good_loss=host["good_loss"],
        done=int(host["done"]),
        seconds=float(host["seconds"]),
        paces=host["paces"],
        pieces=(StepMetrics(**host["history"]),),
        looks=host.get("looks", begun.looks),
        curves=dict(host.get("curves", {})),
    )


def _noted(progress: Progress, before: Any, piece: StepMetrics) -> Progress:
    """With the state before a stretch as the good one, of each seed whose loss in it was the least so far."""
    losses = np.mean(piece.loss, axis=1)
    better = losses < progress.good_loss  # NaN is not
    good = chosen(jnp.asarray(better), before, progress.good)
    return progress._replace(good=good, good_loss=np.where(better, losses, progress.good_loss))


def _looked(progress: Progress, found: dict[str, np.ndarray], best_by: str | None) -> Progress:
    """With one look more."""
    if best_by is not None:
        score = found[best_by].astype(float)
        earlier = progress.curves.get(best_by, np.empty((len(score), 0)))
        better = score < np.min(np.where(np.isnan(earlier), np.inf, earlier), axis=1, initial=np.inf)
        progress = progress._replace(best=chosen(jnp.asarray(better), progress.training.params, progress.best))
    curves = {
        name: np.concatenate([*([progress.curves[name]] if progress.looks.size else []), values[:, None]], axis=1)
        for name, values in found.items()
    }
    return progress._replace(looks=np.append(progress.looks, progress.done), curves=curves)


def _agreed(flag: bool) -> bool:
    """Whether it is so in any process: what they do together all of them must do."""
    return flag if jax.process_count() == 1 else bool(np.any(multihost_utils.process_allgather(np.array(flag))))


@jax.jit
def _copy(tree: Any) -> Any:
    """That the next step does not take away."""
    return jax.tree.map(jnp.copy, tree)
