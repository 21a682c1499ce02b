"""The training loop: log points, evaluations, checkpoints. A run killed at any moment resumes to the same result."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import checks, distributed, static
from rnn_jax.seeds import fetch
from rnn_jax.training.faults import Faults, roll_back, select
from rnn_jax.training.not_finite import RollBack
from rnn_jax.training.progress import Progress
from rnn_jax.training.recorder import Recorder
from rnn_jax.training.session import Session
from rnn_jax.training.sources import Batches, Source, as_source
from rnn_jax.training.step import StepMetrics, Trainer, TrainState, check_state

Evaluation = Callable[[Progress], dict[str, np.ndarray]]


def train(
    trainer: Trainer,
    source: Batches,
    state: TrainState,
    steps: int,
    *,
    log_every: int,
    evaluate: Evaluation | None = None,
    eval_every: int | None = None,
    best_by: str | None = None,
    stop_if: Callable[[Progress], bool] | None = None,
    session: Session | None = None,
) -> Progress | None:
    """Trains all seeds, or resumes the training in the session's folder, until `steps` optimization steps are done.

    The result is the same, bit for bit, however often the training was interrupted: checkpoints lie at log points, so
    a resumed run repeats the same compiled chunks.

    >>> import jax
    >>> from rnn_jax import GRU, models, tasks, training
    >>> model = models.ReadoutModel(GRU(2, 8), 1)
    >>> trainer = training.Trainer(model, 16, training.Adam(0.01), training.ClipByNorm(1.0))
    >>> state = training.init(trainer, jax.random.split(jax.random.key(0), 3))  # three seeds
    >>> progress = training.train(trainer, tasks.Adding(length=5), state, 20, log_every=10)
    >>> progress.steps, progress.history.loss.shape, progress.training.params.cell.w_h.shape
    (20, (3, 20), (3, 8, 24))

    Args:
      trainer: model, batch size, optimizer, estimator, and the policy for NaN and infinity.
      source: task, streams or `ExampleSource` to train on.
      state: train state [seeds, ...] from `init`; its buffers are donated.
      steps: number of optimization steps in total.
      log_every: largest number of steps between two log points; each evaluation and the end are log points too.
      evaluate: function of the progress so far that returns numbers by name, each [seeds, ...]. They are appended to
        `Progress.curves`; those that are [seeds] are logged.
      eval_every: number of steps between two evaluations; None: evaluate at the end only.
      best_by: name of the curve by which each seed's best parameters are chosen, lower is better; None: none are kept.
      stop_if: function of the progress, called after each evaluation; training ends when it returns True.
      session: folder for checkpoints and metrics, messages, and the event that stops the training; None: none of
        them.

    Returns:
      The progress at the end; None if the session stopped the training, which is saved then.

    Raises:
      TypeError, ValueError: if the state is not one of all seeds.
      CheckpointError: if a checkpoint cannot be written, or those in the folder do not fit this training.
    """
    static.refuse_class(trainer, "train: trainer")
    checks.integer_at_least(1, steps, "train: steps")
    checks.integer_at_least(1, log_every, "train: log_every")
    batches, session = as_source(source), (session or Session()).tolerant()
    check_state(state, "train")
    with Recorder(session, _initial_progress(trainer, batches, state, best_by)) as recorder:
        progress, elapsed = recorder.progress, _stopwatch(recorder.progress.seconds)
        if progress.steps:
            session.advance(progress.steps)
        evaluated = progress.eval_steps.size and progress.eval_steps[-1] == progress.steps
        ended = bool(evaluated and stop_if is not None and stop_if(progress))
        faults = Faults.read(progress.state.training)
        while progress.steps < steps and not ended:
            if distributed.any_process(session.stop.is_set()):
                recorder.save(progress)
                return None
            until_eval = steps if eval_every is None else eval_every - progress.steps % eval_every
            count = min(log_every, until_eval, steps - progress.steps)
            progress = _run_chunk(trainer, batches, progress, count)._replace(seconds=elapsed())
            earlier, faults = faults, Faults.read(progress.state.training)
            for message in faults.messages_since(earlier, progress.steps, progress.chunks, progress.good_loss):
                session.report(message)
            results: dict[str, np.ndarray] = {}
            if evaluate is not None and (count == until_eval or progress.steps == steps):
                results = {name: np.asarray(values) for name, values in evaluate(progress).items()}
                progress = _with_results(progress, results, best_by)._replace(seconds=elapsed())
            recorder.log(progress, faults)
            session.advance(count)
            ended = bool(results and stop_if is not None and stop_if(progress))
            recorder.save_if_due(progress)
        recorder.save(progress)
    return progress


def _initial_progress(trainer: Trainer, source: Source, state: TrainState, best_by: str | None) -> Progress:
    best = _copy(state.params) if best_by is not None else ()
    run_state = source.start(trainer, state)
    good = _copy(run_state) if isinstance(trainer.not_finite, RollBack) else ()
    good_loss = np.full(len(run_state.training.step), np.inf)
    return Progress(run_state, best, good, good_loss, 0, 0.0, np.empty(0), (), np.empty(0, int), {})


def _run_chunk(trainer: Trainer, source: Source, progress: Progress, count: int) -> Progress:
    """Runs `count` steps and, by `RollBack`, puts seeds that have diverged back to their good states."""
    policy = trainer.not_finite
    before = _copy(progress.state) if isinstance(policy, RollBack) else None
    started = time.perf_counter()
    state, metrics = source.run(trainer, progress.state, count)
    chunk = fetch(metrics)
    pace = (time.perf_counter() - started) / count
    if isinstance(policy, RollBack):
        progress = _with_good(progress, before, chunk)
        state = roll_back(policy, progress.good, state)
    return progress._replace(
        state=state,
        steps=progress.steps + count,
        chunks=(*progress.chunks, chunk),
        paces=np.append(progress.paces, pace),
    )


def _with_good(progress: Progress, before: Any, chunk: StepMetrics) -> Progress:
    """Makes the state before a chunk the good one of each seed whose loss in the chunk was its least so far."""
    losses = np.mean(chunk.loss, axis=1)
    better = losses < progress.good_loss  # False for NaN
    good = select(jnp.asarray(better), before, progress.good)
    return progress._replace(good=good, good_loss=np.where(better, losses, progress.good_loss))


def _with_results(progress: Progress, results: dict[str, np.ndarray], best_by: str | None) -> Progress:
    """Appends the results of an evaluation, and updates the best parameters by them."""
    if best_by is not None:
        score = results[best_by].astype(float)
        earlier = progress.curves.get(best_by, np.empty((len(score), 0)))
        better = score < np.min(np.where(np.isnan(earlier), np.inf, earlier), axis=1, initial=np.inf)
        progress = progress._replace(best=select(jnp.asarray(better), progress.state.training.params, progress.best))
    curves = {
        name: np.concatenate([*([progress.curves[name]] if progress.eval_steps.size else []), values[:, None]], axis=1)
        for name, values in results.items()
    }
    return progress._replace(eval_steps=np.append(progress.eval_steps, progress.steps), curves=curves)


def _stopwatch(earlier: float) -> Callable[[], float]:
    """Returns a function that gives the seconds elapsed since now, plus earlier ones."""
    started = time.perf_counter()
    return lambda: earlier + time.perf_counter() - started


@jax.jit
def _copy(tree: Any) -> Any:
    """Copies a tree whose buffers the next step donates."""
    return jax.tree.map(jnp.copy, tree)
