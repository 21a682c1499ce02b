"""Trains a program's forms, in each library the same computation as here and as its users write it; compares losses."""

import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from experiments import peers
from experiments.peers import Network
from experiments.teaching.programs import Setup
from rnn_jax import training
from rnn_jax.models import Classifier
from rnn_jax.training.step import descend

LEVELS = (1e-6, 1e-5, 1e-4)  # of the relative difference
REFERENCE = "rnn_jax"  # form with which the others are compared
LIBRARIES = {"Keras": "keras", "PyTorch": "torch"}  # modules of `experiments.peers`

# Functions that create a network; they raise Unsupported if the library has no such network.
Forms = dict[str, Callable[[training.Trainer[Classifier], training.TrainState], Network]]


def find() -> tuple[Forms, dict[str, str], dict[str, str]]:
    """Returns functions that create a network, by form; the libraries' versions; and why others are missing."""
    forms: Forms = {REFERENCE: create}
    versions, missing = dict[str, str](), dict[str, str]()
    for name, module in LIBRARIES.items():
        try:
            classifier = peers.load(module).classifier
            versions |= peers.versions([module])
            forms[name] = functools.partial(classifier, as_written=False)
            forms[f"{name}, as written"] = functools.partial(classifier, as_written=True)
        except ImportError as error:
            missing[name] = str(error)
    return forms, versions, missing


def create(trainer: training.Trainer[Classifier], state: training.TrainState) -> Network:
    """Creates the network in rnn_jax; gradient and Adam are one compiled function."""
    model, logits = trainer.model, jax.jit(trainer.model.apply)
    state = jax.tree.map(lambda leaf: leaf.copy(), state)  # donated to the compiled function

    @functools.partial(jax.jit, donate_argnums=0)
    def update(state: training.TrainState, xs: jax.Array, labels: jax.Array) -> Any:
        return descend(trainer, state, state.key, *jax.value_and_grad(model.loss)(state.params, xs, labels))

    def step(xs: np.ndarray, labels: np.ndarray) -> float:
        nonlocal state
        state, metrics = update(state, xs, labels)
        return float(metrics.loss)

    return Network(step, lambda xs: np.asarray(logits(state.params, xs)))


def measure(
    setup: Setup, form: str, network: Network, curves: dict[str, np.ndarray], session: training.Session
) -> dict[str, Any] | None:
    """Trains a network and adds its losses [steps] to `curves`; returns the flat record, or None if it was stopped."""
    program, trainer = setup.program, setup.trainer
    steps, seconds = list[float](), list[float]()
    for epoch in setup.batches:
        start = time.perf_counter()
        for indices in epoch:
            if session.stop.is_set():
                return None
            steps.append(network.step(program.xs[:, indices], program.labels[indices]))
            session.advance(1)
        seconds.append(time.perf_counter() - start)
    losses = curves[form] = np.array(steps)
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
        "dtype": str(setup.state.params.readout["params"]["kernel"].dtype),
        "parameters": trainer.parameters,
        "examples": len(program.labels),
        "epochs": len(setup.batches),
        "steps": setup.steps,
        "loss/first_step": losses[0],
        "loss/last_epoch": float(np.average(losses[-len(sizes) :], weights=sizes)),
        "training/accuracy": float(np.mean(network.scores(program.xs).argmax(axis=-1) == program.labels)),
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
    return next((int(step) + 1 for step in np.flatnonzero(condition)), None)
