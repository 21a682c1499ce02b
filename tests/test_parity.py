"""Parity is what its paper defines: bits of a fair coin, as many as drawn uniformly, odd or even at the last one."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax.tasks import Batch, Parity
from tests.drawing import N, assert_mean, assert_uncorrelated, assert_uniform, drawn, last_step, symbols_of

T = 20


def test_parity_sequences():
    inputs, targets, weights = drawn(Parity(T))
    bits, end, rows = symbols_of(inputs), last_step(weights), np.arange(N)
    assert inputs.shape == (N, T, 2)
    assert_uniform(end + 1, 1, T)
    there = np.arange(T) <= end[:, None]
    np.testing.assert_array_equal(bits == -1, ~there)
    assert_uniform(bits[there], 0, 1)
    np.testing.assert_array_equal(targets[rows, end], (bits == 1).sum(axis=1) % 2)


def test_no_bit_and_no_length_predicts_the_parity():
    inputs, targets, weights = drawn(Parity(T))
    bits, end, rows = symbols_of(inputs), last_step(weights), np.arange(N)
    classes = targets[rows, end]
    assert_uniform(classes, 0, 1)
    for step in range(T):
        assert_mean(classes[end == step], 1 / 2)
    several = end > 0  # a lone bit is its own parity
    assert_uncorrelated(*(column[several] for column in (end, classes, bits[:, 0], bits[rows, end])))


def test_guessing_costs_the_baseline():
    task = Parity(T)
    assert (task.baseline, task.dependency) == (math.log(2), T - 1)
    batch = Batch(*(jnp.swapaxes(part[:100], 0, 1) for part in drawn(task)))
    assert float(task.loss(jnp.zeros((T, 100, 2)), batch)) == pytest.approx(task.baseline)


def test_parity_is_solved_at_an_accuracy_of_99_percent():
    assert Parity(T).solved({"accuracy": 0.99})
    assert not Parity(T).solved({"accuracy": 0.9899})
