"""Images as sequences: a fixed split, scaled pixels, one fixed permutation, and images as arguments of programs."""

import functools
import math
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import datasets

import rnn_jax


@functools.cache
def digits(permuted=False):
    return rnn_jax.digits(permuted=permuted)


@functools.cache
def sample_fn(size):
    # Unoptimised: compiling the random generator takes seconds, running it milliseconds.
    options = {"xla_backend_optimization_level": 0}
    return jax.jit(lambda task, key: task.sample(key, size), compiler_options=options)


def test_importing_rnn_jax_loads_no_slow_library():
    code = "import sys, rnn_jax; print([name for name in ('sklearn', 'scipy', 'matplotlib') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_sizes_of_digits():
    task = digits()
    assert task.train_images.shape == (1437, 64)
    assert task.test_images.shape == (360, 64)
    assert (task.train_labels.shape, task.test_labels.shape) == ((1437,), (360,))
    assert (task.test_size, task.sequence_length, task.dependency) == (360, 64, 63)
    assert (task.input_size, task.output_size) == (1, 10)
    assert task.baseline == pytest.approx(math.log(10))


def test_the_split_is_fixed():
    # Another split would make published accuracies incomparable.
    np.testing.assert_array_equal(digits().train_labels[:12], [3, 9, 1, 3, 1, 9, 4, 4, 2, 8, 3, 5])
    np.testing.assert_array_equal(digits().test_labels[:12], [7, 6, 3, 7, 7, 3, 2, 8, 9, 3, 2, 6])
    np.testing.assert_array_equal(digits().train_images[0, :8], [0, 0, 8, 16, 16, 12, 0, 0])


def test_train_and_test_are_the_whole_set_without_overlap():
    images, labels = datasets.load_digits(return_X_y=True)
    rows = np.column_stack([images, labels]).astype(int)
    task = digits()
    train = np.column_stack([task.train_images, task.train_labels])
    test = np.column_stack([task.test_images, task.test_labels])
    # All 1,797 rows are distinct, so equal sorted rows mean that every image is once in one of the two splits.
    assert len(np.unique(rows, axis=0)) == len(rows)
    np.testing.assert_array_equal(np.unique(np.concatenate([train, test]), axis=0), np.unique(rows, axis=0))


def test_classes_are_balanced_in_both_splits():
    task = digits()
    whole = np.bincount(np.concatenate([task.train_labels, task.test_labels]))
    np.testing.assert_allclose(np.bincount(task.test_labels), whole * 360 / 1797, atol=1)
    np.testing.assert_allclose(np.bincount(task.train_labels), whole * 1437 / 1797, atol=1)


def test_all_images_have_the_same_permutation():
    rows, permuted = digits(), digits(permuted=True)
    order = np.random.RandomState(0).permutation(64)
    assert np.any(order != np.arange(64))
    np.testing.assert_array_equal(permuted.train_images, rows.train_images[:, order])
    np.testing.assert_array_equal(permuted.test_images, rows.test_images[:, order])
    np.testing.assert_array_equal(permuted.train_labels, rows.train_labels)
    np.testing.assert_array_equal(permuted.test_labels, rows.test_labels)
    assert rows.variant != permuted.variant


def test_a_batch_holds_training_images_with_their_labels():
    task = digits()
    batch = sample_fn(200)(task, jax.random.key(0))
    assert (batch.inputs.shape, batch.inputs.dtype) == ((64, 200, 1), jnp.float32)
    assert (batch.targets.shape, batch.targets.dtype) == ((64, 200), jnp.int32)
    assert 0 <= float(batch.inputs.min()) < float(batch.inputs.max()) == 1
    np.testing.assert_array_equal(batch.weights, np.arange(64)[:, None] == np.full(200, 63))
    images, labels = np.asarray(task.train_images), task.train_labels.tolist()
    labels_by_image = {tuple(image): label for image, label in zip(images, labels, strict=True)}
    sequences = np.asarray(16 * batch.inputs[..., 0]).T.astype(int)
    assert [labels_by_image[tuple(sequence)] for sequence in sequences] == batch.targets[-1].tolist()
    assert len(np.unique(sequences, axis=0)) > 150
    assert np.any(batch.inputs != sample_fn(200)(task, jax.random.key(1)).inputs)


def test_test_batches_cover_the_test_set_once_for_any_key():
    task = digits()
    draw = jax.jit(lambda task, key, index: task.test_batch(key, index, 100))
    batches = [draw(task, jax.random.key(index), index) for index in range(4)]
    inside = np.concatenate([np.asarray(batch.weights[-1]) for batch in batches])
    np.testing.assert_array_equal(inside, np.arange(400) < 360)
    assert not any(np.any(batch.weights[:-1]) for batch in batches)
    sequences = np.concatenate([batch.inputs[..., 0] for batch in batches], axis=1).T[:360]
    np.testing.assert_array_equal(16 * sequences, task.test_images)
    np.testing.assert_array_equal(np.concatenate([b.targets[-1] for b in batches])[:360], task.test_labels)


def test_images_are_an_argument_of_a_program_and_not_a_constant():
    task = digits()
    assert len(jax.tree.leaves(task)) == 4
    program = jax.make_jaxpr(lambda task, key: task.sample(key, 3))(task, jax.random.key(0))
    assert sum(np.size(const) for const in program.consts) < 100
    text = sample_fn(3).lower(task, jax.random.key(0)).as_text()
    assert len(text) < 100_000 < task.train_images.size + task.test_images.size
    assert "tensor<1437x64xui8>" in text.split("func.func public @main")[1].split("{\n")[0]


def test_other_images_of_the_same_shape_do_not_compile_again():
    sample = sample_fn(5)
    sample(digits(), jax.random.key(0))
    compiled = sample._cache_size()
    other = jax.tree.map(lambda images: images + 1, digits())
    batch = sample(other, jax.random.key(0))
    assert sample._cache_size() == compiled == 1
    np.testing.assert_allclose(batch.inputs, sample(digits(), jax.random.key(0)).inputs + 1 / 16)


def test_solved_from_90_percent_accuracy():
    assert digits().solved({"accuracy": 0.9})
    assert not digits().solved({"accuracy": 0.899})
    assert not digits().solved({"accuracy": math.nan})
