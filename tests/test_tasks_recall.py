"""The recall tasks as defined by their papers: layout of the sequences, distributions, baselines."""

import math

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnn_jax.tasks import (
    SYNTHETIC,
    AssociativeRecall,
    Batch,
    Copying,
    Memorization,
    NBack,
    Permutation,
    SelectiveCopying,
    SelectiveCopying2023,
    VariableCopying,
)
from tests.drawing import N, T, assert_mean, assert_uncorrelated, assert_uniform, drawn, last_step, symbols_of

BLANK, DELIMITER = 8, 9
fast = {"xla_backend_optimization_level": 0}
copying_tasks = pytest.mark.parametrize("make", [Copying, VariableCopying, SelectiveCopying])


def test_recall_tasks_have_the_documented_sizes():
    names = ["copying_variable", "copying_selective", "associative_recall", "n_back"]
    tasks = [SYNTHETIC[name](T) for name in names]
    assert [task.length for task in tasks] == [T] * 4
    assert [task.sequence_length for task in tasks] == [121, 111, 100, 200]
    assert [task.dependency for task in tasks] == [111, 101, 98, 100]
    assert [(task.input_size, task.output_size) for task in tasks] == [(10, 9), (10, 9), (37, 10), (8, 2)]


@settings(max_examples=4, deadline=None)
@given(length=st.integers(1, 40))
def test_variable_copying_has_the_documented_layout(length):
    inputs, targets, weights = drawn(VariableCopying(length), 50)
    symbols = symbols_of(inputs)
    assert symbols.shape == (50, length + 21)
    for row, classes, weight in zip(symbols, targets, weights, strict=True):
        delimiter = int(np.flatnonzero(row == DELIMITER).item())
        copied, answered, end = row[:10], slice(delimiter + 1, delimiter + 11), delimiter + 11
        assert 0 <= copied.min() <= copied.max() <= 7
        assert 1 <= delimiter - 10 <= length
        np.testing.assert_array_equal(row[10:delimiter], BLANK)
        np.testing.assert_array_equal(row[answered], BLANK)
        np.testing.assert_array_equal(row[end:], -1)
        np.testing.assert_array_equal(classes[answered], copied)
        np.testing.assert_array_equal(np.delete(classes, answered), BLANK)
        np.testing.assert_array_equal(weight, np.arange(length + 21) < end)


def test_variable_copying_draws_blanks_and_symbols_uniformly():
    task = VariableCopying(T)
    symbols = symbols_of(drawn(task)[0])
    delimiter, copied = (symbols == DELIMITER).argmax(axis=1), symbols[:, :10]
    assert_uniform(delimiter - 10, 1, T)
    for step in range(10):
        assert_uniform(copied[:, step], 0, 7)
    assert_uncorrelated(delimiter, *copied.T)
    assert task.dependency == (delimiter + 1).max()


@settings(max_examples=4, deadline=None)
@given(length=st.integers(10, 40))
def test_selective_copying_has_the_documented_layout(length):
    inputs, targets, weights = drawn(SelectiveCopying(length), 50)
    symbols = symbols_of(inputs)
    assert symbols.shape == (50, length + 11)
    scattered = symbols[:, :length]
    assert 0 <= scattered.min() <= scattered.max() <= BLANK
    np.testing.assert_array_equal((scattered < BLANK).sum(axis=1), 10)
    np.testing.assert_array_equal(symbols[:, length], DELIMITER)
    np.testing.assert_array_equal(symbols[:, length + 1 :], BLANK)
    np.testing.assert_array_equal(targets[:, : length + 1], BLANK)
    np.testing.assert_array_equal(targets[:, length + 1 :], scattered[scattered < BLANK].reshape(50, 10))
    np.testing.assert_array_equal(weights, 1)


def test_selective_copying_draws_steps_and_symbols_uniformly():
    task = SelectiveCopying(T)
    inputs, targets, _ = drawn(task)
    steps = np.nonzero(symbols_of(inputs)[:, :T] < BLANK)[1].reshape(N, 10)
    np.testing.assert_allclose(np.bincount(steps.ravel(), minlength=T), N / 10, atol=5 * math.sqrt(N * 0.1 * 0.9))
    copied = targets[:, -10:]
    for i in range(10):
        assert_uniform(copied[:, i], 0, 7)
    assert_uncorrelated(steps[:, 0], *copied.T)
    assert_uncorrelated(steps[:, 9], *copied.T)
    assert task.dependency == np.max(T + 1 + np.arange(10) - steps)


def test_selective_copying_draws_every_choice_of_steps_equally_often():
    symbols = symbols_of(drawn(SelectiveCopying(12))[0])[:, :12]
    choices, counts = np.unique(symbols == BLANK, axis=0, return_counts=True)
    assert len(choices) == math.comb(12, 10)
    np.testing.assert_allclose(counts, N / len(choices), atol=5 * math.sqrt(N / len(choices)))


def test_baselines_of_copying_tasks_follow_from_their_mean_number_of_steps():
    ln = math.log(8)
    assert [make(100).baseline for make in (Copying, VariableCopying, SelectiveCopying)] == pytest.approx(
        [10 * ln / 120, 10 * ln / 71.5, 10 * ln / 111]
    )


@copying_tasks
def test_the_baseline_of_copying_is_the_loss_without_the_symbols(make):
    task = make(T)
    _, targets, weights = drawn(task)
    recalled, blank = (targets != BLANK).T[..., None], (np.arange(9) == BLANK)[None, None]
    answers = np.where(recalled ^ blank, 0, np.float32(-1e9))  # blanks with certainty, then any of the eight symbols
    batch = Batch(None, targets.T, weights.T)
    scores = jax.jit(task.metrics, compiler_options=fast)(answers, batch)
    assert float(scores["loss"]) == pytest.approx(10 * math.log(8) / weights.sum(axis=1).mean(), rel=1e-4)
    assert float(scores["loss"]) == pytest.approx(task.baseline, rel=0.016)  # 4 standard errors of the mean steps
    assert float(scores["accuracy"]) == pytest.approx(1 / 8, rel=0.05)


@copying_tasks
def test_accuracy_is_over_the_recalled_steps(make):
    task = make(T)
    targets, weights = (field.T for field in drawn(task, 50)[1:])
    score = jax.jit(task.metrics, compiler_options=fast)

    def accuracy(classes):
        return float(score(np.float32(30 * np.eye(9)[classes]), Batch(None, targets, weights))["accuracy"])

    assert accuracy(np.where(targets == BLANK, 0, targets)) == 1
    assert accuracy(np.full_like(targets, BLANK)) == 0
    one_wrong = targets.copy()
    one_wrong[:, 0] = BLANK
    assert accuracy(one_wrong) == pytest.approx(49 / 50)


@settings(max_examples=4, deadline=None)
@given(length=st.integers(18, 40))
def test_associative_recall_has_the_documented_layout(length):
    inputs, targets, weights = drawn(AssociativeRecall(length), 50)
    symbols = symbols_of(inputs)
    assert symbols.shape == (50, length)
    np.testing.assert_array_equal(last_step(weights), length - 1)
    letters, digits = symbols[:, :16:2], symbols[:, 1:16:2] - 26
    assert 0 <= letters.min() <= letters.max() <= 25
    assert 0 <= digits.min() <= digits.max() <= 9
    np.testing.assert_array_equal(symbols[:, 16:-1], 36)
    for row, values, query, digit in zip(letters, digits, symbols[:, -1], targets[:, -1], strict=True):
        assert len(set(row)) == 8
        assert digit == dict(zip(row, values, strict=True))[query]


def test_associative_recall_draws_letters_digits_and_the_query_uniformly():
    inputs, targets, _ = drawn(AssociativeRecall(19))
    symbols, target = symbols_of(inputs), targets[:, -1]
    letters, digits = symbols[:, :16:2], symbols[:, 1:16:2] - 26
    pair = (letters == symbols[:, -1:]).argmax(axis=1)
    for i in range(8):
        assert_uniform(letters[:, i], 0, 25)
        assert_uniform(digits[:, i], 0, 9)
        assert_uncorrelated(letters[:, i], pair, *digits.T)
    # Every ordered pair of two different letters is equally likely, as in drawing without replacement.
    first, second = letters[:, 0], letters[:, 7]
    assert_uniform(25 * first + second - (second > first), 0, 26 * 25 - 1)
    # The digit is independent of the queried letter and of the position of its pair.
    assert_uniform(10 * symbols[:, -1] + target, 0, 259)
    assert_uniform(10 * pair + target, 0, 79)
    assert AssociativeRecall(19).baseline == math.log(10)


@settings(max_examples=4, deadline=None)
@given(length=st.integers(1, 40))
def test_n_back_has_the_documented_layout(length):
    inputs, targets, weights = drawn(NBack(length), 50)
    symbols = symbols_of(inputs)
    assert symbols.shape == (50, 2 * length)
    assert 0 <= symbols.min() <= symbols.max() <= 7
    np.testing.assert_array_equal(targets[:, length:], symbols[:, length:] == symbols[:, :length])
    np.testing.assert_array_equal(weights, np.broadcast_to(np.arange(2 * length) >= length, (50, 2 * length)))


def test_n_back_matches_half_the_time_and_single_symbols_are_independent_of_the_match():
    n = 10
    inputs, targets, _ = drawn(NBack(n))
    symbols, match = symbols_of(inputs), targets[:, n:]
    assert_uncorrelated(*match.T)
    for step in range(n):
        before, now = symbols[:, step], symbols[:, n + step]
        assert_mean(match[:, step], 1 / 2)
        miss = match[:, step] == 0
        assert_uniform((7 * before + (now - before) % 8 - 1)[miss], 0, 55)
        assert_uniform(before[~miss], 0, 7)
        for other in range(2 * n):  # including the symbol n back by itself
            assert_uniform(8 * match[:, step] + symbols[:, other], 0, 15)
    assert NBack(n).baseline == math.log(2)


@settings(max_examples=3, deadline=None)
@given(length=st.integers(1, 40))
def test_memorization_answers_from_the_delimiter_on(length):
    inputs, targets, weights = drawn(Memorization(length), 50)
    symbols, values = symbols_of(inputs), symbols_of(inputs)[:, :10]
    assert symbols.shape == (50, length + 20)
    assert 0 <= values.min() <= values.max() <= 4
    np.testing.assert_array_equal(symbols[:, 10:], np.where(np.arange(length + 10) == length, 6, 5)[None].repeat(50, 0))
    np.testing.assert_array_equal(targets[:, : length + 10], 5)
    np.testing.assert_array_equal(targets[:, length + 10 :], values)
    np.testing.assert_array_equal(weights, 1)


def test_permutation_answers_with_the_first_symbol():
    inputs, targets, weights = drawn(Permutation(20))
    symbols = symbols_of(inputs)
    np.testing.assert_array_equal(last_step(weights), 19)
    np.testing.assert_array_equal(targets[:, -1], symbols[:, 0])
    assert_uniform(symbols[:, 0], 0, 1)
    assert_uniform(symbols[:, 1:].ravel(), 2, 99)


def test_selective_copying_of_2023_scatters_sixteen_tokens():
    inputs, targets, weights = drawn(SelectiveCopying2023(40))
    symbols = symbols_of(inputs)
    scattered, markers = symbols[:, :40], symbols[:, 40:]
    np.testing.assert_array_equal(markers, np.full((N, 16), 15))
    np.testing.assert_array_equal((scattered > 0).sum(axis=1), 16)
    np.testing.assert_array_equal(targets[:, 40:], scattered[scattered > 0].reshape(N, 16))
    np.testing.assert_array_equal(weights, np.broadcast_to(np.arange(56) >= 40, weights.shape))
    assert_uniform(scattered[scattered > 0], 1, 14)
    assert_uniform(np.nonzero(scattered)[1], 0, 39)
    assert SelectiveCopying2023().sequence_length == 4096 + 16
