"""One short sequence of each task, written out, to detect any change of a definition or of the random numbers.

All published results of this project are for sequences drawn by these definitions with JAX's default generator
(threefry2x32, partitionable). If a number here changes, all results change and have to be computed again.
"""

import jax
import numpy as np
import pytest

from rnn_jax import tasks

_ = -1  # padding
GOLDEN_VALUES = {  # values, marks, the step with a target, the target
    "adding": (
        [0.86737049, 0.55631435, 0.30067706, 0.33249056, 0.99207819, 0.20568824],
        [0, 1, 0, 1, 0, 0],
        5,
        0.88880491,
    ),
    "adding_1997": (
        np.fromstring(
            """-0.53733182 -0.36692119 0.58327174 0.06941772 0.87866449 0.43717861 -0.13766456 -0.71564937
            -0.19620538 -0.38034868 0.19662905 -0.60239291 0.59460807 -0.03437376 0.42722034 -0.82587194
            -0.47813582 -0.74192595 0.51126432 0.78631783 0 0""",
            sep=" ",
        ),
        [-1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1, 0, 0],
        19,
        0.40491283,
    ),
    "multiplication": (
        np.fromstring(
            """0.86737049 0.55631435 0.30067706 0.33249056 0.99207819 0.20568824 0.42994487 0.18020570
            0.84577012 0.02977467 0.11782432 0.83874822 0.70102072 0.14472044 0.69191170 0.66324615
            0.67236924 0.18317628 0.48008204 0.66805923 0.53989613 0""",
            sep=" ",
        ),
        [-1, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1, 0],
        20,
        0.36363453,
    ),
}
GOLDEN_SYMBOLS = {  # input symbols, the steps with targets, the classes
    "associative_recall": (  # e2x9a8v3i5l6m1o2???o
        [4, 28, 23, 35, 0, 34, 21, 29, 8, 31, 11, 32, 12, 27, 14, 28, 36, 36, 36, 14],
        [19],
        [2],
    ),
    "autoencode": ([2, 3, 1, 0, 0, _, _, _, _, _], [5, 6, 7, 8, 9], [0, 0, 1, 3, 2]),
    "concentration": ([2, 1, 1, 0, 0, 2], list(range(6)), [6, 6, 1, 6, 3, 0]),
    "copying": (
        [6, 4, 2, 2, 7, 1, 3, 1, 6, 0, 8, 8, 9, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8],
        list(range(23)),
        [8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 6, 4, 2, 2, 7, 1, 3, 1, 6, 0],
    ),
    "copying_selective": (
        [8, 6, 4, 8, 2, 2, 7, 8, 1, 3, 1, 6, 8, 0, 9, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8],
        list(range(25)),
        [8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 6, 4, 2, 2, 7, 1, 3, 1, 6, 0],
    ),
    "copying_selective_2023": (
        [13, 8, 5, 5, 14, 3, 7, 3, 12, 0, 1, 2, 12, 10, 3, 10, 0, 10] + [15] * 16,
        list(range(18, 34)),
        [13, 8, 5, 5, 14, 3, 7, 3, 12, 1, 2, 12, 10, 3, 10, 10],
    ),
    "copying_variable": (
        [1, 2, 6, 4, 7, 5, 3, 1, 3, 2, 8, 8, 8, 9, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, _],
        list(range(24)),
        [8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 1, 2, 6, 4, 7, 5, 3, 1, 3, 2],
    ),
    "memorization": (
        [4, 2, 1, 1, 4, 1, 2, 0, 4, 0, 5, 5, 5, 6, 5, 5, 5, 5, 5, 5, 5, 5, 5],
        list(range(23)),
        [5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 4, 2, 1, 1, 4, 1, 2, 0, 4, 0],
    ),
    "modular_counting": ([3, 4, 1, 2, 1, 2, 3, 3], [7], [4]),
    "n_back": ([6, 4, 2, 2, 7, 7, 2, 7, 2, 4], [5, 6, 7, 8, 9], [0, 0, 0, 1, 0]),
    "parity": ([1, 1, 0, 0, 1, 0, 0, _], [6], [1]),
    "parity_longer": ([1, 1, 0, 0, 1, 0, 0, _], [6], [1]),
    "permutation": ([1, 56, 31, 34, 99, 22], [5], [1]),
    "repeat_previous": (
        [int(suit) for suit in "1020113110122033213212001222333002012333031010312320"],
        list(range(3, 52)),
        [int(suit) for suit in "1020113110122033213212001222333002012333031010312"],
    ),
    "state_tracking": ([40, 49, 23, 25, 12, 31, 47, 47], [7], [20]),
    "temporal_order_6a": ([4, 7, 3, 0, 2, 0, 6, 2, 2, 0, 3, 5, _], [11], [2]),
    "temporal_order_6b": ([4, 7, 1, 2, 0, 7, 1, 2, 6, 1, 0, 5, _], [11], [6]),
    "two_symbol_2a": ([7, 0, 1, 2, 3, 4, 5, 6], list(range(8)), [0, 1, 2, 3, 4, 5, 6, 7]),
    "two_symbol_2b": ([8, 3, 2, 2, 6, 1, 3, 1], list(range(8)), [3, 2, 2, 6, 1, 3, 1, 8]),
    "two_symbol_2c": ([5, 7, 1, 1, 3, 0, 1, 0, 3, 0, 0, 4] + [_] * 95, [11], [1]),
}
# The length of the task and the index in the batch; of tasks with varying lengths, a sequence that is padded.
GOLDEN = {
    "adding": (6, 0),
    "adding_1997": (20, 3),
    "associative_recall": (20, 0),
    "autoencode": (5, 0),
    "concentration": (3, 0),
    "copying": (3, 0),
    "copying_selective": (14, 0),
    "copying_selective_2023": (18, 0),
    "copying_variable": (4, 3),
    "memorization": (3, 0),
    "modular_counting": (8, 1),
    "n_back": (5, 0),
    "multiplication": (20, 0),
    "parity": (8, 0),
    "parity_longer": (8, 0),
    "permutation": (6, 0),
    "repeat_previous": (4, 0),
    "state_tracking": (8, 1),
    "temporal_order_6a": (12, 2),
    "temporal_order_6b": (12, 3),
    "two_symbol_2a": (8, 2),
    "two_symbol_2b": (8, 0),
    "two_symbol_2c": (4, 0),
}
# Inputs that hold the symbols, of tasks that have others: that cards are shown, and where they lie.
SYMBOLS = {"autoencode": slice(0, 4), "concentration": slice(6, 9)}


def drawn(name):
    length, row = GOLDEN[name]
    # Unoptimised: compiling the random generator takes seconds, running it milliseconds.
    sample = jax.jit(lambda task, key: task.sample(key, 8), compiler_options={"xla_backend_optimization_level": 0})
    batch = sample(tasks.SYNTHETIC[name](length), jax.random.key(7))
    return (np.asarray(field)[:, row] for field in batch)


def test_every_task_has_its_golden_sequence():
    assert set(GOLDEN) == set(GOLDEN_VALUES) | set(GOLDEN_SYMBOLS) == set(tasks.SYNTHETIC)


def test_the_generator_is_that_of_the_golden_sequences():
    assert jax.config.jax_default_prng_impl == "threefry2x32"
    assert jax.config.jax_threefry_partitionable


@pytest.mark.parametrize("name", GOLDEN_VALUES)
def test_values_equal_the_golden_sequence(name):
    values, marks, end, target = GOLDEN_VALUES[name]
    inputs, targets, weights = drawn(name)
    np.testing.assert_allclose(inputs[:, 0], values, rtol=1e-6, atol=1e-8)
    np.testing.assert_array_equal(inputs[:, 1], marks)
    np.testing.assert_array_equal(np.flatnonzero(weights), [end])
    np.testing.assert_allclose(targets[end], [target], rtol=1e-6)


@pytest.mark.parametrize("name", GOLDEN_SYMBOLS)
def test_symbols_equal_the_golden_sequence(name):
    symbols, steps, classes = GOLDEN_SYMBOLS[name]
    inputs, targets, weights = drawn(name)
    inputs = inputs[:, SYMBOLS.get(name, slice(None))]
    np.testing.assert_array_equal(np.where(inputs.any(axis=-1), inputs.argmax(axis=-1), _), symbols)
    np.testing.assert_array_equal(inputs.sum(axis=-1), np.not_equal(symbols, _))
    np.testing.assert_array_equal(np.flatnonzero(weights), steps)
    np.testing.assert_array_equal(targets[steps], classes)
