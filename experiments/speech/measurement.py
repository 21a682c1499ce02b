"""Trains a network, the validation part choosing its epoch; the test part is heard once, at the end."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import parallel
from experiments.speech import opponents
from experiments.speech.config import Problem
from experiments.speech.errors import label_error_rate
from experiments.speech.frames import Part
from rnn_jax import training
from rnn_jax.data import Examples, unpad
from rnn_jax.models import CTC, Classifier

HEARD_AT_A_TIME = 64  # recordings, where nothing is learnt


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a problem; parameters of the epoch that was best on the validation part."""

    problem: Problem
    fit: training.Fit  # its scores are label error rates of the validation part; of single digits the share wrong
    read: list[list[list[int]]]  # [seeds][recordings of the test part]: what was read
    opponent: list[list[int]]  # [recordings]: by the support vector machine


def measure(problem: Problem, key: jax.Array, session: training.Session) -> Outcome | None:
    """Trains all seeds of a problem's network, and the opponent.

    Args:
      problem: what to do.
      key: of which every seed's follows.
      session: who is told, what ends it, where it is kept.

    Returns:
      The outcome; None where it was stopped.
    """
    model, validation = problem.trainer.model, problem.parts["validation"]
    buckets, _ = problem.parts["training"].examples

    def errors(params: Any) -> list[float]:
        return [label_error_rate(each, validation.digits) for each in hear(model, params, validation)]

    fit = training.fit(
        problem.trainer,
        problem.loss,
        buckets,
        parallel.begin(problem.trainer, jax.random.split(key, problem.seeds)),
        problem.epochs,
        errors,
        session=session,
    )
    if fit is None:
        return None
    return Outcome(problem, fit, hear(model, fit.params, problem.parts["test"]), _opponent(problem))


def hear(model: Classifier | CTC, params: Any, part: Part) -> list[list[list[int]]]:
    """What every seed reads of a part's recordings, in their order."""
    seeds = len(jax.tree.leaves(params)[0])
    found: list[list[list[int]]] = [[[] for _ in part.frames] for _ in range(seeds)]
    for examples, places in zip(*part.examples, strict=True):
        labels, sizes = training.predict(model, _read, params, examples, HEARD_AT_A_TIME)
        for seed in range(seeds):
            for place, digits in zip(places, unpad(labels[seed].T, sizes[seed]), strict=True):
                found[seed][place] = digits.tolist()
    return found


def _read(model: Classifier | CTC, params: Any, batch: Examples) -> tuple[jax.Array, jax.Array]:
    """Digits [B, N] and how many [B]."""
    (frames, _), (lengths, _) = batch
    if isinstance(model, Classifier):
        best = jnp.argmax(model.apply(params, frames, lengths), axis=-1)
        return best[:, None], jnp.ones_like(best)
    labels, sizes = model.decode(params, frames, lengths)
    return (labels - 1).T, sizes


def _opponent(problem: Problem) -> list[list[int]]:
    """What the support vector machine reads of the test part, its settings those best on the validation part."""
    learnt, validated = (problem.singles[part] for part in ("training", "validation"))
    machine = opponents.fit(learnt.frames, _first(learnt), validated.frames, _first(validated))
    test = problem.parts["test"]
    if problem.question != "joined":
        return [[digit] for digit in machine.predict(opponents.features(test.frames)).tolist()]
    validation = problem.parts["validation"]
    quiet = min(
        opponents.QUIETEST,
        key=lambda share: label_error_rate(opponents.read(machine, validation.frames, share), validation.digits),
    )
    return opponents.read(machine, test.frames, quiet)


def _first(part: Part) -> np.ndarray:
    return np.array([digits[0] for digits in part.digits])
