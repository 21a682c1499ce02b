"""Training with evaluations on the validation set; at its end the test loss and a sample, by the best parameters."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from experiments.baselines.ngram import NGram
from experiments.char_lm.config import EVALUATED, Config, Plan
from experiments.common import margins
from experiments.common.moments import split_seeds
from rnn_jax import models, significance, training
from rnn_jax.applications import TextGenerator
from rnn_jax.models import Nucleus
from rnn_jax.seeds import fetch
from rnn_jax.training.stream_source import target_losses

ORDER = 5  # of the n-gram model
NGRAM = f"{ORDER}-gram"
CALLS = 12  # chunks at most between two evaluations; after each, progress is reported and interrupts are handled
SAMPLE = 600  # characters
STRATEGY = Nucleus(0.95)


@dataclasses.dataclass(frozen=True)
class Evaluations:
    """Evaluations on the validation set with a finite loss; all of them if none is finite."""

    steps: list[int]  # optimization steps done
    validation: list[float]  # nats per character
    best: Any  # parameters of the lowest loss

    @classmethod
    def of(cls, progress: training.Progress) -> "Evaluations":
        losses = progress.curves["validation"][0]
        finite = np.isfinite(losses)
        kept = finite if finite.any() else ~finite
        return cls(progress.eval_steps[kept].tolist(), losses[kept].tolist(), progress.best)

    @property
    def best_index(self) -> int:
        return int(np.argmin(self.validation))


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Result of a run."""

    evaluations: Evaluations
    history: training.StepMetrics  # of NumPy arrays, [1, steps]
    test: float  # nats per character, by the best parameters
    margin: significance.Difference  # of these less those of the 5-gram model
    sample: str  # the prompt and its continuation; empty if no evaluation was finite
    seconds: float  # of training, including compilation and evaluations
    diverged: str | None  # message
    characters_per_second: float


@functools.lru_cache(maxsize=2)
def _ngram(plan: Plan, n: int) -> NGram:
    return NGram.fit(plan.corpus.training, len(plan.corpus.vocabulary), n)


def baselines(plan: Plan) -> dict[str, dict[str, float]]:
    """Returns nats per character, by model and split, of n-gram models fitted to the training set."""
    models = {NGRAM: _ngram(plan, ORDER), "unigram": _ngram(plan, 1)}
    return {name: {s: model.loss(getattr(plan.corpus, s)) for s in EVALUATED} for name, model in models.items()}


def _margin(plan: Plan, params: Any) -> significance.Difference:
    network = target_losses(plan.trainer.model, plan.streams["test"], params)
    return margins.over_parts(network[0], _ngram(plan, ORDER).losses(plan.corpus.test))


def measure(
    plan: Plan, config: Config, on_evaluation: Callable[[Evaluations], None], session: training.Session
) -> Outcome | None:
    """Trains, and keeps the parameters with the lowest validation loss; returns None if the session was stopped."""
    key_init, key_sample = jax.random.split(jax.random.key(config.seed))
    trainer, streams = plan.trainer, plan.streams

    def evaluate(progress: training.Progress) -> dict[str, np.ndarray]:
        diverged = fetch(progress.training.diverged)
        losses = training.evaluate(trainer.model, streams["validation"], progress.training.params)["loss"]
        return {"validation": np.where(diverged, np.nan, losses)}

    def stop_if(progress: training.Progress) -> bool:
        on_evaluation(Evaluations.of(progress))
        return bool(np.all(fetch(progress.training.diverged)))

    between = plan.steps // config.checkpoints
    progress = training.train(
        trainer,
        streams["training"],
        training.init(trainer, key_init[None]),
        plan.steps,
        log_every=between // max(count for count in range(1, CALLS + 1) if between % count == 0),  # one program
        evaluate=evaluate,
        eval_every=between,
        best_by="validation",
        stop_if=stop_if,
        session=session,
    )
    if progress is None:
        return None
    evaluations = Evaluations.of(progress)
    test = float(training.evaluate(trainer.model, streams["test"], evaluations.best)["loss"][0])
    margin = _margin(plan, evaluations.best)
    sample = ""
    if math.isfinite(min(evaluations.validation)):
        (sample,) = application(plan).write(split_seeds(evaluations.best)[0], [plan.prompt], key_sample)
    diverged = training.divergence(progress.history, 0)
    epochs = evaluations.steps[-1] / streams["training"].segments
    speed = epochs * (len(plan.corpus.training) - 1) / progress.seconds
    return Outcome(evaluations, progress.history, test, margin, sample, progress.seconds, diverged, speed)


def application(plan: Plan) -> TextGenerator:
    """Returns the model as one that continues texts."""
    return TextGenerator(plan.model, plan.corpus.vocabulary, STRATEGY, SAMPLE)


def trained(plan: Plan, outcome: Outcome) -> models.Trained | None:
    """Returns the model with its best parameters; None if no evaluation was finite."""
    found, lowest = outcome.evaluations, min(outcome.evaluations.validation)
    made = models.Trained(application(plan), split_seeds(found.best)[0], {"seed": 0, "validation": lowest})
    return made if math.isfinite(lowest) else None
