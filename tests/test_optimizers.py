"""Optimizers against their equations, in NumPy."""

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rnn_jax import training

GRADIENTS = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)


def updates(optimizer: training.Adam | training.SGD | training.RMSProp | training.CosineDecay) -> np.ndarray:
    """Returns the updates of three parameters, [gradients, 3]."""
    transformation = optimizer.transformation
    params = jnp.zeros(3)
    state, steps = transformation.init(params), []
    for gradient in GRADIENTS:
        step, state = transformation.update(jnp.asarray(gradient), state, params)
        params = optax.apply_updates(params, step)
        steps.append(np.asarray(step))
    return np.array(steps)


def adam() -> list[np.ndarray]:
    m, v, steps = 0.0, 0.0, []
    for k, g in enumerate(GRADIENTS, 1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        steps.append(-0.1 * m / (1 - 0.9**k) / (np.sqrt(v / (1 - 0.999**k)) + 1e-8))
    return steps


def sgd() -> list[np.ndarray]:
    m, steps = 0.0, []
    for g in GRADIENTS:
        m = g + 0.5 * m
        steps.append(-0.1 * m)
    return steps


def rmsprop() -> list[np.ndarray]:
    v, steps = 0.0, []
    for g in GRADIENTS:
        v = 0.9 * v + 0.1 * g**2
        steps.append(-0.1 * g / (np.sqrt(v) + 1e-8))
    return steps


EVERY = [(training.Adam(0.1), adam), (training.SGD(0.1, 0.5), sgd), (training.RMSProp(0.1), rmsprop)]


@pytest.mark.parametrize(("optimizer", "expected"), EVERY)
def test_updates_follow_the_equations(
    optimizer: training.Adam | training.SGD | training.RMSProp, expected: Callable[[], list[np.ndarray]]
) -> None:
    np.testing.assert_allclose(updates(optimizer), expected(), rtol=2e-5)


@pytest.mark.parametrize(("optimizer", "expected"), EVERY)
def test_cosine_decay_scales_the_updates_to_zero(
    optimizer: training.Adam | training.SGD | training.RMSProp, expected: Callable[[], list[np.ndarray]]
) -> None:
    scale = [1.0, 0.8535534, 0.5, 0.1464466, 0.0, 0.0]  # (1 + cos(pi k / 4)) / 2, then nothing
    scaled = updates(training.CosineDecay(optimizer, 4))
    np.testing.assert_allclose(scaled, np.array(expected()) * np.array(scale)[:, None], rtol=2e-5, atol=1e-8)


@pytest.mark.parametrize("learning_rate", [0.0, -0.1, float("nan"), float("inf")])
@pytest.mark.parametrize("kind", [training.Adam, training.SGD, training.RMSProp])
def test_a_learning_rate_is_a_positive_number(kind: type, learning_rate: float) -> None:
    with pytest.raises(ValueError, match=f"{kind.__name__}: learning_rate"):
        kind(learning_rate)


@pytest.mark.parametrize("steps", [0, -1])
def test_the_steps_of_a_decay_are_positive(steps: int) -> None:
    with pytest.raises(ValueError, match="CosineDecay: steps"):
        training.CosineDecay(training.Adam(0.1), steps)


def test_optimizers_compare_by_value() -> None:
    decayed = training.CosineDecay(training.Adam(0.1), 4)
    assert decayed == dataclasses.replace(decayed) != training.CosineDecay(training.Adam(0.1), 5)
    assert hash(decayed) == hash(dataclasses.replace(decayed))
