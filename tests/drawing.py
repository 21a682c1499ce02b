"""Sequences of a task drawn as NumPy arrays, and statistics of the draws within their standard errors."""

import functools
import math

import jax
import numpy as np

T, N = 100, 10_000


@functools.cache
def drawn(task, size=N):
    """N sequences as NumPy arrays, sequences first."""
    # Unoptimized: compiling the random generator takes seconds, running it no time.
    options = {"xla_backend_optimization_level": 0}
    batch = jax.jit(lambda task, key: task.sample(key, size), compiler_options=options)(task, jax.random.key(11))
    return tuple(np.swapaxes(np.asarray(part), 0, 1) for part in batch)


def assert_uniform(values, low, high):
    """Integers all of low..high, each as often as chance allows: within 5 standard errors."""
    assert (values.min(), values.max()) == (low, high)
    counts, share = np.bincount(values - low), 1 / (high - low + 1)
    np.testing.assert_allclose(counts, len(values) * share, atol=5 * math.sqrt(len(values) * share * (1 - share)))


def assert_mean(values, wanted):
    """The mean is the one wanted, within 4 standard errors."""
    assert abs(values.mean() - wanted) < 4 * values.std() / math.sqrt(values.size)


def assert_uncorrelated(*columns):
    """No two of the columns [N] tell of one another, within 5 standard errors."""
    correlations = np.corrcoef(columns) - np.eye(len(columns))
    assert np.max(np.abs(correlations)) < 5 / math.sqrt(len(columns[0]))


def last_step(weights):
    """The one step at which a sequence is answered."""
    np.testing.assert_array_equal(weights.sum(axis=1), 1)
    return weights.argmax(axis=1)


def symbols_of(inputs):
    """Symbols [N, T] of one-hot inputs; -1 for padding, which is all zeros."""
    np.testing.assert_array_equal(np.sort(inputs, axis=-1)[..., :-1], 0)
    assert set(np.unique(inputs)) <= {0.0, 1.0}
    return np.where(inputs.any(axis=-1), inputs.argmax(axis=-1), -1)
