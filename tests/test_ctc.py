"""CTC: the loss sums over all paths, best path decoding collapses, and invalid labels are rejected."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import GRU, Bidirectional, LinearRNN, VanillaRNN, training
from rnn_jax.data import Examples, unpad
from rnn_jax.models import CTC, best_path, edit_distance, has_path, label_error_rate

LABELS = 2


def _collapsed(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(label for label, _ in itertools.groupby(path) if label)


@pytest.fixture(scope="module")
def model() -> CTC:
    return CTC(Bidirectional(GRU(3, 4)), LABELS)


@pytest.fixture(scope="module")
def params(model: CTC) -> Any:
    return model.init(jax.random.key(0))


@pytest.fixture(scope="module")
def xs() -> jax.Array:
    return jax.random.normal(jax.random.key(1), (5, 3, 3))


@pytest.mark.parametrize("labels", [[1], [1, 2], [2, 2], [1, 2, 1], []])
def test_the_loss_sums_over_all_paths_that_collapse_to_the_labels(
    model: CTC, params: Any, xs: jax.Array, labels: list[int]
) -> None:
    steps = 4
    probabilities = np.asarray(jax.nn.softmax(model.apply(params, xs, jnp.full(3, steps))), float)[:steps, 0]
    total = sum(
        np.prod([probabilities[t, label] for t, label in enumerate(path)])
        for path in itertools.product(range(LABELS + 1), repeat=steps)
        if _collapsed(path) == tuple(labels)
    )
    padded = np.zeros((3, 1), int)
    padded[: len(labels), 0] = labels
    loss = model.loss(params, xs[:, :1], np.array([steps]), padded, np.array([len(labels)]))
    np.testing.assert_allclose(loss, -np.log(total), rtol=1e-5)


@pytest.mark.extended
def test_padding_and_other_sequences_have_no_effect(model: CTC, params: Any, xs: jax.Array) -> None:
    labels, sizes, lengths = np.array([[1, 2, 2], [2, 0, 1]]), np.array([2, 1, 2]), np.array([5, 3, 4])
    loss = jax.jit(model.loss)
    alone = [
        loss(params, xs[: lengths[i], i : i + 1], lengths[i : i + 1], labels[: sizes[i], i : i + 1], sizes[i : i + 1])
        for i in range(3)
    ]
    with_nan = xs.at[3:, 1].set(jnp.nan).at[4:, 2].set(jnp.inf)
    together = model.loss(params, with_nan, lengths, labels, sizes)
    np.testing.assert_allclose(together, np.mean(alone), rtol=1e-5)
    grads = jax.jit(jax.grad(lambda p: model.loss(p, with_nan, lengths, labels, sizes)))(params)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(grads))


def test_best_path_collapses_the_most_probable_path() -> None:
    rng = np.random.default_rng(0)
    path, lengths = rng.integers(0, LABELS + 1, (12, 50)), rng.integers(0, 13, 50)
    logits = 5 * jax.nn.one_hot(path, LABELS + 1) + 0.1 * rng.normal(size=(12, 50, LABELS + 1))
    decoded = unpad(*best_path(logits, lengths))
    expected = [_collapsed(tuple(path[:n, i].tolist())) for i, n in enumerate(lengths)]
    assert [tuple(labels.tolist()) for labels in decoded] == expected


@pytest.mark.extended
def test_it_learns_labels_without_their_times() -> None:
    """Pulses of random places and lengths; the labels give only their order."""
    rng = np.random.default_rng(0)
    inputs, labels = np.zeros((20, 64, LABELS), np.float32), np.zeros((3, 64), np.int32)
    for column in range(64):
        sequence = rng.integers(1, LABELS + 1, 3)
        labels[:, column] = sequence
        starts = np.sort(rng.choice(np.arange(0, 18, 3), 3, replace=False))
        for start, label in zip(starts, sequence, strict=True):
            inputs[start : start + rng.integers(1, 3), column, label - 1] = 1
    lengths, sizes = np.full(64, 20), np.full(64, 3)
    model = CTC(GRU(LABELS, 16), LABELS)
    trainer = training.Trainer(model, 16, training.Adam(0.02), training.ClipByNorm(1.0))
    keys = jax.random.split(jax.random.key(0), 1)
    examples = Examples((jnp.asarray(inputs), jnp.asarray(labels)), (jnp.asarray(lengths), jnp.asarray(sizes)))
    fit = training.fit(trainer, _loss, [examples], training.init(trainer, keys), 30, lambda _: [0.0])
    assert fit is not None
    assert fit.history.loss[0, 0] > 3
    assert fit.history.loss[0, -1] < 0.1


def _loss(model: CTC, params: Any, batch: Examples, key: jax.Array) -> jax.Array:
    (inputs, labels), (lengths, sizes) = batch
    return model.loss(params, inputs, lengths, labels, sizes, key=key)


@pytest.mark.parametrize(
    ("labels", "sizes", "lengths", "error", "message"),
    [
        ([[3]], [1], [5], ValueError, r"labels must be in \[1, 2\], got \[3\] at sequence 0"),
        ([[0]], [1], [5], ValueError, r"labels must be in \[1, 2\], got \[0\]"),
        ([[1], [1]], [2], [2], ValueError, "the 2 labels of sequence 0 need at least 3 steps"),
        ([[1]], [2], [5], ValueError, r"label_lengths must be in \[0, 1\], got 2"),
        ([[1.0]], [1], [5], TypeError, "labels must be integers"),
        ([1], [1], [5], ValueError, r"labels must be \[N, B\]"),
    ],
)
def test_invalid_labels_are_rejected(
    model: CTC, params: Any, labels: Any, sizes: Any, lengths: Any, error: type, message: str
) -> None:
    with pytest.raises(error, match=message):
        model.loss(params, jnp.zeros((5, 1, 3)), np.array(lengths), np.array(labels), np.array(sizes))


def _loss_of_logits(logits: jax.Array, labels: Any, sizes: Any, lengths: Any) -> jax.Array:
    """Returns the loss of a network whose logits [T, B, labels + 1] are its inputs."""
    size = logits.shape[-1]
    model, identity = CTC(LinearRNN(size, size), size - 1), jnp.eye(size)
    zeros = jax.tree.map(jnp.zeros_like, model.init(jax.random.key(0)))
    readout = {"params": zeros.readout["params"] | {"kernel": identity}}
    return model.loss(
        zeros._replace(cell=zeros.cell._replace(w_i=identity), readout=readout), logits, lengths, labels, sizes
    )


def test_a_loss_is_never_below_zero() -> None:
    """Sums of probabilities round to more than 1: optax's loss is -8.3e-8 where 8.6e-15 is right."""
    values, one = jax.jit(jax.value_and_grad(_loss_of_logits)), np.array([1])
    for height in (13.0, 17.0, 30.0):
        value, gradient = values(jnp.array([[[0, height]], [[0, height]]]), one[None], one, 2 * one)
        assert 0 <= value < 1e-6
        assert np.all(np.abs(gradient) < 1e-6)


def test_a_sequence_without_a_path_does_not_touch_the_others() -> None:
    """Labels 1, 1 need three steps; beside them stand sequences that have just enough."""
    logits = jax.random.normal(jax.random.key(0), (3, 4, 3))
    labels, sizes, lengths = np.array([[1, 1, 2, 1], [1, 2, 2, 1]]), np.array([2, 2, 2, 2]), np.array([2, 2, 3, 3])
    values = jax.jit(jax.value_and_grad(_loss_of_logits))
    value, gradient = values(logits, labels, sizes, lengths)
    rest, rest_gradient = values(logits[:, 1:], labels[:, 1:], sizes[1:], lengths[1:])
    np.testing.assert_allclose(value, (1e5 + 3 * rest) / 4, rtol=1e-6)
    assert not np.any(gradient[:, 0])
    np.testing.assert_allclose(gradient[:, 1:], 0.75 * rest_gradient, rtol=1e-5, atol=1e-7)
    assert np.all(np.any(gradient[:, 1:], axis=(0, 2)))


@pytest.mark.parametrize("dtype", [np.int32, np.uint8])
def test_sequences_without_a_path_are_found_before_a_training(dtype: type) -> None:
    labels, sizes = np.array([[1, 1, 2, 1], [1, 2, 2, 1], [1, 1, 2, 0]], dtype), np.array([3, 3, 3, 1], dtype)
    for least in range(6):
        found = jax.jit(has_path)(labels, sizes, np.full(4, least, dtype))
        assert found.tolist() == [need <= least for need in (5, 3, 5, 1)]
    np.testing.assert_array_equal(has_path(labels, np.zeros(4, dtype), np.zeros(4, dtype)), True)


@pytest.mark.parametrize("label", [-1, 0, 3])
def test_traced_labels_out_of_range_make_the_loss_nan(label: int) -> None:
    values = jax.jit(_loss_of_logits)
    logits, sizes, lengths = jnp.zeros((3, 1, 3)), np.array([1]), np.array([3])
    assert np.isnan(values(logits, np.array([[label], [1]]), sizes, lengths))
    assert np.isfinite(values(logits, np.array([[1], [label]]), sizes, lengths))  # beyond the sequence's labels


def test_labels_must_be_a_positive_number() -> None:
    with pytest.raises(ValueError, match="labels must be a positive integer, got 0"):
        CTC(VanillaRNN(3, 4), 0)


def test_edit_distance_is_the_least_number_of_edits() -> None:
    assert edit_distance([1, 2, 3], [1, 2, 3]) == 0
    assert edit_distance([], [1, 2]) == 2
    assert edit_distance([1, 2], []) == 2
    assert edit_distance([1, 3], [1, 2, 3]) == 1
    assert edit_distance([1, 9, 3], [1, 2, 3]) == 1
    assert edit_distance([2, 3, 4, 5], [1, 2, 3, 4]) == 2


def test_label_error_rate_is_taken_over_all_examples() -> None:
    assert label_error_rate([[1], [2, 2], []], [[1, 1], [2, 2], []]) == 1 / 4
    with pytest.raises(ValueError, match="must hold at least one label, got none"):
        label_error_rate([[1]], [[]])
