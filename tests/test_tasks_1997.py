"""Multiplication and the two-symbol tasks as defined by Hochreiter & Schmidhuber 1997; adding is tested elsewhere."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax.tasks import Adding1997, Batch, Multiplication, TwoSymbol, TwoSymbolTriggered
from tests.drawing import N, T, assert_mean, assert_uncorrelated, assert_uniform, drawn, last_step, symbols_of

P = 20  # length of the two-symbol tasks, and almost their number of symbols
REGULAR, RANDOM = TwoSymbol(P), TwoSymbol(P, random=True)
TRIGGERED = TwoSymbolTriggered(10, distractors=5)
E, B, X, Y = 5, 6, 7, 8  # after the five distractors


def test_multiplication_draws_the_pairs_of_adding_with_values_from_zero():
    inputs, _, weights = drawn(Multiplication(T))
    added, _, expected_weights = drawn(Adding1997(T))
    np.testing.assert_array_equal(inputs[..., 1], added[..., 1])
    np.testing.assert_array_equal(weights, expected_weights)
    valid = np.arange(110) <= last_step(weights)[:, None]
    np.testing.assert_allclose(inputs[..., 0], np.where(valid, (added[..., 0] + 1) / 2, 0), atol=1e-6)


@pytest.mark.parametrize("length", [20, 100])
def test_the_baseline_of_multiplication_is_the_loss_of_the_best_constant(length):
    task = Multiplication(length)
    inputs, targets, weights = drawn(task)
    values, marks, end, rows = inputs[..., 0], inputs[..., 1], last_step(weights), np.arange(N)
    assert_mean(values[:, : length - 1], 1 / 2)
    assert_mean(values[:, : length - 1] ** 2, 1 / 3)
    products = targets[rows, end, 0]
    np.testing.assert_allclose(products, np.where(marks == 1, values, 1).prod(axis=1), rtol=1e-6)

    # If the first pair is picked, only the other counts: the product is its value.
    chance, alone = 1 / 10 + (9 / 10) / (length // 2 - 1), (marks == 1).sum(axis=1) == 1
    assert_mean(alone.astype(float), chance)
    assert_mean(products[alone], 1 / 2)
    assert_mean(products[~alone], 1 / 4)
    assert task.baseline == pytest.approx((1 + 2 * chance) / 9 - ((1 + chance) / 4) ** 2)
    assert_mean((products - (1 + chance) / 4) ** 2, task.baseline)


def test_multiplication_is_solved_below_13_wrong_answers_in_2000():
    assert Multiplication(T).solved({"wrong": 12.9 / 2000})
    assert not Multiplication(T).solved({"wrong": 13 / 2000})


@pytest.mark.parametrize("task", [REGULAR, RANDOM], ids=["2a", "2b"])
def test_the_targets_of_two_symbol_are_the_next_symbols_and_at_the_end_the_first(task):
    inputs, targets, weights = drawn(task)
    symbols = symbols_of(inputs)
    assert (inputs.shape, targets.shape) == ((N, P, P + 1), (N, P))
    assert_uniform(symbols[:, 0], P - 1, P)  # x or y
    np.testing.assert_array_equal(targets[:, :-1], symbols[:, 1:])
    np.testing.assert_array_equal(targets[:, -1], symbols[:, 0])
    np.testing.assert_array_equal(weights, 1)
    assert (task.input_size, task.output_size, task.dependency) == (P + 1, P + 1, P - 1)


def test_two_symbol_2a_has_two_sequences():
    symbols = symbols_of(drawn(REGULAR)[0])
    np.testing.assert_array_equal(symbols[:, 1:], np.broadcast_to(np.arange(P - 1), (N, P - 1)))


def test_two_symbol_2b_draws_the_symbols_in_the_middle_uniformly():
    symbols = symbols_of(drawn(RANDOM)[0])
    for step in range(1, P):
        assert_uniform(symbols[:, step], 0, P - 2)
    assert_uncorrelated(*symbols.T)


@pytest.mark.parametrize("task", [REGULAR, RANDOM], ids=["2a", "2b"])
def test_the_baseline_of_two_symbol_is_the_loss_without_memory(task):
    targets = drawn(task)[1]
    shares = np.stack([np.bincount(column, minlength=P + 1) for column in targets.T]) / N
    entropies = -np.sum(shares * np.log(np.where(shares > 0, shares, 1)), axis=1)
    assert task.baseline == pytest.approx(np.mean(entropies), abs=2e-3)
    between = (P - 1) * math.log(P - 1) if task.random else 0
    assert task.baseline == pytest.approx((between + math.log(2)) / P)


@pytest.mark.parametrize("task", [REGULAR, RANDOM], ids=["2a", "2b"])
def test_two_symbol_is_scored_at_the_last_step(task):
    batch = Batch(*(jnp.swapaxes(field[:100], 0, 1) for field in drawn(task)))
    perfect = 30 * np.eye(task.output_size, dtype=np.float32)[batch.targets]
    score = jax.jit(task.metrics, compiler_options={"xla_backend_optimization_level": 0})
    early, late = (score(np.where(np.arange(P)[:, None, None] == step, 0, perfect), batch) for step in (P - 2, P - 1))
    assert task.solved(early)
    assert early["loss"] == pytest.approx(math.log(P + 1) / P, rel=1e-5)  # at one step all symbols are equally likely
    assert late["wrong"] == 1


def test_two_symbol_2c_has_the_layout_of_the_paper():
    inputs, targets, weights = drawn(TRIGGERED)
    symbols, end, rows, steps = symbols_of(inputs), last_step(weights), np.arange(N), np.arange(113)
    assert inputs.shape == (N, 113, 9)
    np.testing.assert_array_equal(symbols == -1, steps > end[:, None])
    np.testing.assert_array_equal(symbols[:, 0], B)
    assert_uniform(symbols[:, 1], X, Y)
    np.testing.assert_array_equal(symbols[rows, end], E)
    between = (steps > 1) & (steps < end[:, None])
    assert_uniform(symbols[between], 0, 4)
    np.testing.assert_array_equal(targets[rows, end], symbols[:, 1] == Y)
    assert_uncorrelated(end, symbols[:, 1], symbols[:, 2], symbols[:, 11])


def test_two_symbol_2c_ends_with_probability_one_tenth_at_each_step_after_the_prefix():
    suffixes = last_step(drawn(TRIGGERED)[2]) - 12
    assert suffixes.min() == 0
    assert_mean(suffixes, 9)
    for length in (1, 2, 5, 10, 20, 40):
        assert_mean((suffixes >= length).astype(float), 0.9**length)


@pytest.mark.parametrize(("u", "suffix"), [(0.95, 0), (0.9, 0), (0.89, 1), (0.82, 1), (0.8, 2), (3e-5, 98), (0, 100)])
def test_two_symbol_2c_has_at_most_a_hundred_further_distractors(monkeypatch, u, suffix):
    monkeypatch.setattr(jax.random, "uniform", lambda key, shape: jnp.full(shape, u))
    batch = TRIGGERED.sequence(jax.random.key(0))
    assert np.flatnonzero(batch.weights).tolist() == [12 + suffix]
    assert np.flatnonzero(batch.inputs[:, E]).tolist() == [12 + suffix]


@pytest.mark.parametrize(("q", "p"), [(50, None), (1000, None), (1000, 50)])
def test_two_symbol_2c_has_the_sizes_of_table_3(q, p):
    task = TwoSymbolTriggered(q, p)
    assert (task.input_size, task.output_size) == ((p or q) + 4, 2)
    assert (task.sequence_length, task.dependency) == (q + 103, q + 101)
    assert task.baseline == math.log(2)
    assert task.variant == ("H&S 1997 2c" if p is None else "H&S 1997 2c, p = 50")


@pytest.mark.parametrize("distractors", [0, -3, 2.0, True, "5"])
def test_two_symbol_2c_refuses_a_bad_number_of_distractors(distractors):
    with pytest.raises(ValueError, match=rf"distractors must be a positive integer, got {distractors!r}$"):
        TwoSymbolTriggered(10, distractors)
