"""Synthetic tasks as defined by their papers: layout of the sequences, distributions, baselines."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnn_jax.tasks import SYNTHETIC, Adding, Adding1997, Batch, Copying, TemporalOrder
from tests.drawing import N, T, assert_mean, assert_uncorrelated, assert_uniform, drawn, last_step, symbols_of

ORDERS = [TemporalOrder(T), TemporalOrder(T, symbols=3)]
E, B, X, Y = 4, 5, 6, 7
every_order = pytest.mark.parametrize("task", ORDERS, ids=["6a", "6b"])


@settings(max_examples=4, deadline=None)
@given(length=st.integers(2, 40))
def test_adding_marks_one_step_in_each_half(length):
    inputs, targets, weights = drawn(Adding(length), 50)
    values, marks = inputs[..., 0], inputs[..., 1]
    assert set(np.unique(marks)) <= {0.0, 1.0}
    np.testing.assert_array_equal(marks[:, : length // 2].sum(axis=1), 1)
    np.testing.assert_array_equal(marks[:, length // 2 :].sum(axis=1), 1)
    np.testing.assert_array_equal(last_step(weights), length - 1)
    np.testing.assert_allclose(targets[:, -1, 0], (values * marks).sum(axis=1), rtol=1e-6)


def test_adding_draws_values_and_marked_steps_uniformly():
    inputs, targets, _ = drawn(Adding(T))
    values, marks = inputs[..., 0], inputs[..., 1]
    assert 0 <= values.min() < 1e-4
    assert 1 - 1e-4 < values.max() < 1
    assert_mean(values, 1 / 2)
    assert_mean((values - 1 / 2) ** 2, 1 / 12)
    first, second = np.nonzero(marks)[1].reshape(N, 2).T
    assert_uniform(first, 0, 49)
    assert_uniform(second, 50, 99)
    assert_uncorrelated(first, second, values[:, 0], values[:, 99])
    assert Adding(T).baseline == 1 / 6
    assert_mean((targets[:, -1, 0] - 1) ** 2, 1 / 6)


def test_adding_1997_draws_its_length_uniformly_and_pads_with_zeros():
    inputs, _, weights = drawn(Adding1997(T))
    end = last_step(weights)
    assert inputs.shape == (N, 110, 2)
    assert_uniform(end + 1, 100, 110)
    after = np.arange(110) > end[:, None]
    np.testing.assert_array_equal(inputs[after], 0)
    assert np.mean(inputs[~after][:, 0] == 0) < 1e-4


def test_adding_1997_marks_the_ends_and_two_pairs():
    inputs, targets, weights = drawn(Adding1997(T))
    values, marks, end = inputs[..., 0], inputs[..., 1], last_step(weights)
    rows = np.arange(N)
    assert set(np.unique(marks)) == {-1.0, 0.0, 1.0}
    np.testing.assert_array_equal(marks[:, 0], -1)
    np.testing.assert_array_equal(marks[rows, end], -1)
    np.testing.assert_array_equal((marks == -1).sum(axis=1), 2)
    marked = (marks == 1).sum(axis=1)
    assert set(marked) == {1, 2}
    expected = 0.5 + np.where(marks == 1, values, 0).sum(axis=1) / 4
    np.testing.assert_allclose(targets[rows, end, 0], expected, atol=1e-6)

    # If the first pair is picked, by either choice, only the other one has marker 1.
    chance = 1 / 10 + (9 / 10) / 49
    assert_mean((marked == 1).astype(float), chance)
    one, two = marks[marked == 1], marks[marked == 2]
    first, second = np.nonzero(two == 1)[1].reshape(-1, 2).T
    assert_uncorrelated(end[marked == 2], first)
    assert_uncorrelated(end[marked == 2], second, values[marked == 2, 1])
    assert first.min() == 1
    assert first.max() == 9
    assert second.max() == 49
    assert np.nonzero(one == 1)[1].max() == 49

    # A step t < 10 can be picked by both choices, a later one by the second choice only.
    counts = (marks == 1).sum(axis=0)
    shares = np.where(np.arange(110) < 10, chance, 1 / 49)
    shares[0] = 0
    shares[50:] = 0
    np.testing.assert_allclose(counts, N * shares, atol=5 * math.sqrt(N * chance))
    np.testing.assert_allclose(counts[10:50], N / 49, atol=5 * math.sqrt(N / 49))


@pytest.mark.parametrize("length", [20, 100])
def test_the_baseline_of_adding_1997_is_the_loss_of_the_best_constant(length):
    task = Adding1997(length)
    inputs, targets, weights = drawn(task)
    assert task.baseline == pytest.approx((2 - (0.1 + 0.9 / (length // 2 - 1))) / 48)
    assert_mean((targets[np.arange(N), last_step(weights), 0] - 0.5) ** 2, task.baseline)
    values = inputs[:, : length - 1, 0]
    assert -1 <= values.min() < -0.999
    assert 0.999 < values.max() < 1
    assert_mean(values, 0)
    assert_mean(values**2, 1 / 3)


@settings(max_examples=4, deadline=None)
@given(length=st.integers(1, 40))
def test_copying_has_the_documented_layout(length):
    inputs, targets, weights = drawn(Copying(length), 50)
    symbols = symbols_of(inputs)
    assert symbols.shape == (50, length + 20)
    copied = symbols[:, :10]
    assert 0 <= copied.min() <= copied.max() <= 7
    np.testing.assert_array_equal(symbols[:, 10 : length + 9], 8)  # T - 1 blanks
    np.testing.assert_array_equal(symbols[:, length + 9], 9)  # the delimiter
    np.testing.assert_array_equal(symbols[:, length + 10 :], 8)  # ten blanks during recall
    np.testing.assert_array_equal(targets[:, : length + 10], 8)
    np.testing.assert_array_equal(targets[:, length + 10 :], copied)
    np.testing.assert_array_equal(weights, 1)


def test_copying_draws_symbols_uniformly():
    copied = symbols_of(drawn(Copying(T))[0])[:, :10]
    for step in range(10):
        assert_uniform(copied[:, step], 0, 7)
    assert_uncorrelated(*copied.T)


@pytest.mark.parametrize(
    ("length", "published"), [(100, 0.1733), (200, 0.0945), (500, 0.0400), (1000, 0.0204), (2000, 0.0103)]
)
def test_the_published_baseline_of_copying_is_the_loss_without_memory(length, published):
    task = Copying(length)
    assert task.baseline == pytest.approx(published, abs=5e-5)
    classes = np.concatenate([np.full(length + 10, 8), np.arange(10) % 8])[:, None]
    answers = np.full((length + 20, 1, 9), -1e9, np.float32)
    answers[: length + 10, :, 8] = 0  # blanks with certainty, then any of the eight symbols
    answers[length + 10 :, :, :8] = 0
    loss = jax.jit(task.loss)(answers, Batch(None, jnp.asarray(classes), jnp.ones(classes.shape)))
    assert float(loss) == pytest.approx(task.baseline, rel=1e-5)


def test_temporal_order_has_the_windows_of_the_paper():
    assert ORDERS[0].windows == ((10, 20), (50, 60))
    assert ORDERS[1].windows == ((10, 20), (33, 43), (66, 76))
    assert [task.sequence_length for task in ORDERS] == [110, 110]
    assert [task.dependency for task in ORDERS] == [99, 99]


@every_order
def test_temporal_order_has_the_documented_layout(task):
    inputs, targets, weights = drawn(task)
    symbols, end, rows, steps = symbols_of(inputs), last_step(weights), np.arange(N), np.arange(110)
    assert_uniform(end + 1, 100, 110)
    np.testing.assert_array_equal(symbols[:, 0], E)
    np.testing.assert_array_equal(symbols[rows, end], B)
    np.testing.assert_array_equal(symbols == -1, steps > end[:, None])
    relevant = (symbols == X) | (symbols == Y)
    np.testing.assert_array_equal(relevant.sum(axis=1), task.symbols)
    positions = np.nonzero(relevant)[1].reshape(N, task.symbols)
    for position, (low, high) in zip(positions.T, task.windows, strict=True):
        assert_uniform(position, low, high)
    rest = ~relevant & (steps > 0) & (steps < end[:, None])
    assert_uniform(symbols[rest], 0, 3)

    order = symbols[rows[:, None], positions] == Y  # classes count up from XX.. to YY..
    classes = order @ 2 ** np.arange(task.symbols)[::-1]
    np.testing.assert_array_equal(targets[rows, end], classes)
    assert_uniform(classes, 0, 2**task.symbols - 1)
    assert_uncorrelated(end, *positions.T, *order.T, symbols[:, 1], symbols[:, 98])
    assert task.baseline == pytest.approx(math.log(4 if task is ORDERS[0] else 8))


@settings(max_examples=50, deadline=None)
@given(length=st.integers(10, 5000), symbols=st.sampled_from([2, 3]))
def test_temporal_order_windows_are_disjoint_and_inside_at_every_length(length, symbols):
    task = TemporalOrder(length, symbols)
    edges = [edge for window in task.windows for edge in window]
    assert all(low < high for low, high in task.windows)
    assert all(before < after for (_, before), (after, _) in zip(task.windows, task.windows[1:], strict=False))
    assert edges[0] >= 1
    assert edges[-1] < length - 1
    assert edges[:2] == [length // 10, length // 5]


def test_temporal_order_refuses_other_numbers_of_symbols():
    with pytest.raises(ValueError, match=r"symbols must be 2 \(task 6a\) or 3 \(task 6b\), got 4"):
        TemporalOrder(T, symbols=4)


def test_variants_name_their_definitions():
    assert {name: make(T).variant for name, make in SYNTHETIC.items()} == {
        "adding": "2015/2016",
        "adding_1997": "H&S 1997",
        "associative_recall": "Ba 2016",
        "autoencode": "POPGym 2023",
        "concentration": "after POPGym 2023",
        "copying": "Arjovsky 2016",
        "copying_selective": "Jing 2019",
        "copying_selective_2023": "Gu 2023",
        "copying_variable": "Tallec 2018",
        "memorization": "Martens 2011",
        "modular_counting": "Merrill 2024, Z5",
        "multiplication": "H&S 1997",
        "n_back": "Kirchner 1958",
        "parity": "Delétang 2023",
        "parity_longer": "Delétang 2023",
        "permutation": "Martens 2011",
        "repeat_previous": "POPGym 2023",
        "state_tracking": "Merrill 2024, A5",
        "temporal_order_6a": "H&S 1997 6a",
        "temporal_order_6b": "H&S 1997 6b",
        "two_symbol_2a": "H&S 1997 2a",
        "two_symbol_2b": "H&S 1997 2b",
        "two_symbol_2c": "H&S 1997 2c",
    }
