"""Samples of a task as NumPy arrays, and checks of their statistics against standard errors."""

import functools
import math

import jax
import numpy as np

T, N = 100, 10_000


@functools.cache
def drawn(task, size=N):
    """Draws `size` sequences and returns inputs, targets and weights as NumPy arrays [size, T, ...]."""
    # Unoptimised: compiling the random generator takes seconds, running it milliseconds.
    options = {"xla_backend_optimization_level": 0}
    batch = jax.jit(lambda task, key: task.sample(key, size), compiler_options=options)(task, jax.random.key(11))
    return tuple(np.swapaxes(np.asarray(field), 0, 1) for field in batch)


def assert_uniform(values, low, high):
    """Checks that integers are uniform over low..high, within 5 standard errors."""
    assert (values.min(), values.max()) == (low, high)
    counts, share = np.bincount(values - low), 1 / (high - low + 1)
    np.testing.assert_allclose(counts, len(values) * share, atol=5 * math.sqrt(len(values) * share * (1 - share)))


def assert_mean(values, expected):
    """Checks the mean of values, within 4 standard errors."""
    assert abs(values.mean() - expected) < 4 * values.std() / math.sqrt(values.size)


def assert_uncorrelated(*columns):
    """Checks that no two of the columns [N] are correlated, within 5 standard errors."""
    correlations = np.corrcoef(columns) - np.eye(len(columns))
    assert np.max(np.abs(correlations)) < 5 / math.sqrt(len(columns[0]))


def last_step(weights):
    """Returns the only step of each sequence that has a weight."""
    np.testing.assert_array_equal(weights.sum(axis=1), 1)
    return weights.argmax(axis=1)


def symbols_of(inputs):
    """Returns the symbols [N, T] of one-hot inputs; -1 for padding, which is all zeros."""
    np.testing.assert_array_equal(np.sort(inputs, axis=-1)[..., :-1], 0)
    assert set(np.unique(inputs)) <= {0.0, 1.0}
    return np.where(inputs.any(axis=-1), inputs.argmax(axis=-1), -1)
