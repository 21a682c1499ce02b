"""Parity and word problems: answers by another route, lengths of training and test, baselines."""

import itertools
import math

import jax
import numpy as np
import pytest

from rnn_jax.tasks import SYNTHETIC, Parity, WordProblem
from rnn_jax.tasks.word_problem import table
from tests.drawing import N, assert_uniform, drawn, last_step, symbols_of

EVEN = [p for p in itertools.permutations(range(5)) if sum(a > b for a, b in itertools.combinations(p, 2)) % 2 == 0]


def draw_test(task, size=2000):
    options = {"xla_backend_optimization_level": 0}
    draw = jax.jit(lambda task, key: task.test_batch(key, 0, size), compiler_options=options)
    return tuple(np.swapaxes(np.asarray(field), 0, 1) for field in draw(task, jax.random.key(3)))


def arranged(word):
    """Returns the index in EVEN of the arrangement of five things after permuting them by each element in turn."""
    things = list(range(5))
    for element in word:
        moved = [0] * 5
        for place, thing in enumerate(things):
            moved[EVEN[element][place]] = thing
        things = moved
    return EVEN.index(tuple(things.index(thing) for thing in range(5)))


RULES = {
    "parity": lambda word: sum(word) % 2,
    "parity_longer": lambda word: sum(word) % 2,
    "modular_counting": lambda word: sum(word) % 5,
    "state_tracking": arranged,
}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(
    "draw", [lambda task: drawn(task, 300), lambda task: draw_test(task, 300)], ids=["train", "test"]
)
def test_the_answer_follows_from_the_whole_string(name, draw):
    inputs, targets, weights = draw(SYNTHETIC[name](12))
    for symbols, classes, end in zip(symbols_of(inputs), targets, last_step(weights), strict=True):
        word = symbols[: end + 1].tolist()
        assert min(word) >= 0
        assert set(symbols[end + 1 :]) <= {-1}
        assert classes[end] == RULES[name](word)


def test_lengths_and_elements_are_uniform():
    inputs, _, weights = drawn(WordProblem(40))
    assert_uniform(last_step(weights) + 1, 1, 40)
    symbols = symbols_of(inputs)
    assert_uniform(symbols[symbols >= 0], 0, 4)
    assert len(symbols) == N


@pytest.mark.parametrize("name", ["parity_longer", "modular_counting", "state_tracking"])
def test_after_training_on_40_symbols_all_test_strings_have_41_to_256(name):
    task = SYNTHETIC[name](40)
    assert task.sequence_length == 40
    inputs, _, weights = draw_test(task)
    assert inputs.shape == (2000, 256, task.input_size)
    lengths = last_step(weights) + 1
    assert (lengths.min(), lengths.max()) == (41, 256)
    assert abs(lengths.mean() - 148.5) < 4 * 62.4 / math.sqrt(2000)  # uniform


def test_without_stretch_the_test_strings_are_those_of_training():
    inputs, _, weights = draw_test(Parity(40))
    assert inputs.shape == (2000, 40, 2)
    assert_uniform(last_step(weights) + 1, 1, 40)


@pytest.mark.parametrize(("group", "order", "commutes"), [("Z5", 5, True), ("A5", 60, False)])
def test_the_tables_are_groups(group, order, commutes):
    products = table(group)
    elements = np.arange(order)
    assert products.shape == (order, order)
    np.testing.assert_array_equal(products[0], elements)
    np.testing.assert_array_equal(products[:, 0], elements)
    np.testing.assert_array_equal(np.sort(products, axis=1), np.broadcast_to(elements, products.shape))
    np.testing.assert_array_equal(products[products], products[:, products])  # (ab)c = a(bc)
    assert np.array_equal(products, products.T) == commutes
    assert WordProblem(5, group=group).baseline == math.log(order)


def test_bad_options_are_refused_by_name():
    with pytest.raises(ValueError, match=r"parity: stretch must be at least 1, got 0\.5"):
        Parity(40, stretch=0.5)
    for wrong in ("2", float("inf"), None):
        with pytest.raises(ValueError, match=f"parity: stretch must be a finite number, got {wrong!r}"):
            Parity(40, stretch=wrong)
    with pytest.raises(ValueError, match="word_problem: group must be one of Z5, A5, got 'S5'"):
        WordProblem(40, group="S5")
