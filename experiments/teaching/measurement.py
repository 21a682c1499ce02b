"""Trains one form of a program, and compares its losses with those of rnn_jax.

A form is a program in one library: the same computation as in rnn_jax, or as a user of the library writes it.
"""

import functools
import itertools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.teaching.programs import Scores, Setup, accuracy
from rnn_jax import training
from rnn_jax.training.step import descend

REFERENCE = "rnn_jax"  # form with which the others are compared
LEVELS = (1e-6, 1e-5, 1e-4)  # of the relative difference


class Unsupported(Exception):
    """A library has no such network; the message says why."""


class Network(NamedTuple):
    """A network in training, in any library."""

    step: Callable[[np.ndarray, np.ndarray], float]  # updates on a batch; returns its mean loss before that, in nats
    scores: Scores


def create(setup: Setup) -> Network:
    """Creates the network in rnn_jax; gradient and Adam are one compiled function."""
    trainer, model = setup.trainer, setup.trainer.model
    state = jax.tree.map(lambda leaf: leaf.copy(), setup.state)  # donated to the compiled function
    logits = jax.jit(model.apply)

    @functools.partial(jax.jit, donate_argnums=0)
    def update(state: training.TrainState, xs: jax.Array, labels: jax.Array) -> tuple[training.TrainState, jax.Array]:
        loss, grads = jax.value_and_grad(model.loss)(state.params, xs, labels)
        state, _ = descend(trainer, state, state.key, loss, grads)
        return state, loss

    def step(xs: np.ndarray, labels: np.ndarray) -> float:
        nonlocal state
        state, loss = update(state, xs, labels)
        return float(loss)

    return Network(step, lambda xs: np.asarray(logits(state.params, xs)))


def measure(
    setup: Setup, form: str, network: Network, curves: dict[str, np.ndarray], session: training.Session
) -> dict[str, Any] | None:
    """Trains and evaluates a network, and adds its losses [steps] to those of the other forms.

    Returns:
      The flat record; None if the session was stopped.
    """
    program, trainer, seconds = setup.program, setup.trainer, []
    losses = curves[form] = np.full(setup.steps, np.nan)
    step = itertools.count()
    for epoch in setup.batches:
        start = time.perf_counter()
        for indices in epoch:
            if session.stop.is_set():
                return None
            losses[next(step)] = network.step(program.xs[:, indices], program.labels[indices])
            session.advance(1)
        seconds.append(time.perf_counter() - start)
    sizes = [len(indices) for indices in setup.batches[-1]]
    absolute, relative = differences(losses, curves[REFERENCE])
    compared = {
        "difference/absolute": float(np.max(absolute)),
        "difference/relative": float(np.max(relative)),
        "difference/relative_at_step": int(np.argmax(relative)) + 1,
        **{f"difference/first_step_above_{level:g}": first_step(relative > level) for level in LEVELS},
    }
    return {
        "run": program.name,
        "form": form,
        "seed": 0,
        "definition": trainer.model,
        "optimizer": repr(trainer.optimizer),
        "dtype": str(setup.dense[0].dtype),
        "parameters": trainer.parameters,
        "examples": len(program.labels),
        "epochs": len(setup.batches),
        "steps": setup.steps,
        "loss/first_step": losses[0],
        "loss/last_epoch": float(np.average(losses[-len(sizes) :], weights=sizes)),
        "training/accuracy": accuracy(network.scores, program.xs, program.labels),
        **program.evaluate(network.scores),
        "seconds": sum(seconds),
        "seconds_per_epoch": float(np.median(seconds[1:] or seconds)),  # the first epoch compiles
        "diverged": not np.isfinite(losses).all(),
        "diverged_at": first_step(~np.isfinite(losses)),
        **(compared if form != REFERENCE else {}),
    }


def differences(losses: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the absolute difference of each step's loss from the reference, and its ratio to the reference."""
    absolute = np.abs(losses - reference)
    return absolute, absolute / np.maximum(np.abs(reference), np.finfo(np.float32).tiny)


def first_step(condition: np.ndarray) -> int | None:
    """Returns the first step, counted from 1, at which a condition [steps] holds; None if it never does."""
    steps = np.flatnonzero(condition)
    return int(steps[0]) + 1 if len(steps) else None
