"""Training on examples: one visit per epoch, buckets, seeds, the best parameters."""

import dataclasses
import threading
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import LSTM, Scan, VanillaRNN, training
from rnn_jax.data import Buckets, Examples
from rnn_jax.gradients import BPTT, RTRL
from rnn_jax.models import ReadoutModel

pytestmark = pytest.mark.usefixtures("optimized")


class _Counts(NamedTuple):
    seen: jax.Array


@dataclasses.dataclass(frozen=True)
class _Counter:
    """A model whose gradient counts the examples of a batch, so that SGD with rate 1 adds them up."""

    examples: int

    def init(self, key: jax.Array) -> _Counts:
        del key
        return _Counts(jnp.zeros(self.examples))


def _count(model: _Counter, params: _Counts, batch: Examples, key: jax.Array) -> jax.Array:
    del model, key
    return -jnp.sum(params.seen[batch.whole])


def _sequences(size: int, steps: int, seed: int = 0) -> Examples:
    """Returns sequences of signs, labelled by whether their sum is positive."""
    signs = np.sign(np.random.default_rng(seed).normal(size=(steps, size, 1))).astype(np.float32)
    return Examples(jnp.asarray(signs), jnp.asarray((signs.sum((0, 2)) > 0).astype(np.int32)))


def _model() -> ReadoutModel:
    return ReadoutModel(LSTM(1, 8), 2)


def _loss(model: ReadoutModel, params: Any, batch: Examples, key: jax.Array) -> jax.Array:
    del key
    logits = model.apply(params, batch.steps)[1][-1]
    return -jnp.mean(jnp.sum(jax.nn.log_softmax(logits) * jax.nn.one_hot(batch.whole, 2), axis=-1))


def _right(model: ReadoutModel, params: Any, batch: Examples) -> jax.Array:
    return jnp.argmax(model.apply(params, batch.steps)[1][-1], axis=-1) == batch.whole


def _trainer(batch_size: int = 16) -> training.Trainer:
    return training.Trainer(_model(), batch_size, training.Adam(0.02), training.ClipByNorm(1.0))


def test_an_epoch_visits_every_example_once_and_fills_the_last_batch_with_its_first_ones() -> None:
    trainer = training.Trainer(_Counter(8), 4, training.SGD(1.0), None)
    keys = jax.random.split(jax.random.key(0), 2)
    buckets = [Examples((), jnp.arange(5)), Examples((), jnp.arange(5, 8))]
    source = training.ExampleSource(buckets, _count)
    run_state, metrics = training.run(trainer, source, training.start(trainer, source, training.init(trainer, keys)), 3)
    assert run_state.cursor.batches_read.tolist() == [3, 3]
    assert training.epoch_steps(buckets, 4) == 3
    assert metrics.loss.shape == (2, 3)
    seen = np.asarray(run_state.training.params.seen)
    # 5 examples are two batches of 4, three of which come again; 3 are one batch, with one again.
    assert [sorted(row) for row in seen[:, :5].tolist()] == [[1.0] * 2 + [2.0] * 3] * 2
    assert [sorted(row) for row in seen[:, 5:].tolist()] == [[1.0] * 2 + [2.0]] * 2


def test_the_order_differs_over_epochs_and_seeds() -> None:
    trainer = training.Trainer(_Counter(64), 8, training.SGD(1.0), None)
    source = training.ExampleSource([Examples((), jnp.arange(64))], _first)
    state = training.start(trainer, source, training.init(trainer, jax.random.split(jax.random.key(0), 2)))
    orders = []
    for _ in range(2):
        state, _ = training.run(trainer, source, state, 8)
        orders.append(np.asarray(state.training.params.seen))
    assert not np.array_equal(orders[0][0], orders[0][1])
    assert not np.array_equal(orders[1][0] - orders[0][0], orders[0][0])


def _first(model: _Counter, params: _Counts, batch: Examples, key: jax.Array) -> jax.Array:
    del model, key
    return -params.seen[batch.whole[0]]


@pytest.mark.extended
def test_it_learns_and_seeds_equal_seeds_run_alone() -> None:
    keys = jax.random.split(jax.random.key(1), 2)
    examples, validation = _sequences(256, 5), _sequences(128, 5, seed=1)
    trainer = _trainer()

    def score(params: Any) -> np.ndarray:
        return 1 - training.predict(trainer.model, _right, params, validation, 50).mean(axis=1)

    both = training.fit(trainer, _loss, [examples], training.init(trainer, keys), 6, score)
    alone = training.fit(trainer, _loss, [examples], training.init(trainer, keys[1:]), 6, score)
    assert both is not None
    assert alone is not None
    assert np.all(both.scores[:, -1] < 0.05)
    assert not both.diverged
    np.testing.assert_array_equal(both.scores[1], alone.scores[0])
    for many, one in zip(jax.tree.leaves(both.params), jax.tree.leaves(alone.params), strict=True):
        np.testing.assert_array_equal(many[1], one[0])


@pytest.mark.extended
def test_each_seeds_first_best_parameters_are_kept() -> None:
    scores = iter([[3.0, 1.0], [1.0, np.nan], [1.0, 2.0]])
    fits: list[Any] = []
    params: list[Any] = []

    def score(now: Any) -> np.ndarray:
        params.append(jax.tree.map(np.array, now))
        return np.array(next(scores))

    keys = jax.random.split(jax.random.key(1), 2)
    trainer = _trainer()
    state = training.init(trainer, keys)
    fit = training.fit(trainer, _loss, [_sequences(32, 3)], state, 3, score, on_epoch=fits.append)
    assert fit is not None
    assert fit.best.tolist() == [2, 1]
    assert [each.scores.shape for each in fits] == [(2, 1), (2, 2), (2, 3)]
    kept = jax.tree.leaves(fit.params)
    for leaf, second, first in zip(kept, jax.tree.leaves(params[1]), jax.tree.leaves(params[0]), strict=True):
        np.testing.assert_array_equal(leaf[0], second[0])
        np.testing.assert_array_equal(leaf[1], first[1])


def test_predict_gives_every_example_one_result_in_order() -> None:
    trainer, examples = _trainer(), _sequences(21, 4)
    params = training.init(trainer, jax.random.split(jax.random.key(0), 2)).params
    in_batches = training.predict(trainer.model, _right, params, examples, 8)
    at_once = training.predict(trainer.model, _right, params, examples, 21)
    assert in_batches.shape == (2, 21)
    np.testing.assert_array_equal(in_batches, at_once)


@pytest.mark.extended
def test_equal_shapes_are_one_program() -> None:
    traces = 0

    def counted(model: ReadoutModel, params: Any, batch: Examples, key: jax.Array) -> jax.Array:
        nonlocal traces
        traces += 1
        return _loss(model, params, batch, key)

    trainer = _trainer()
    source = training.ExampleSource([_sequences(40, 3), _sequences(24, 5)], counted)
    state = training.start(trainer, source, training.init(trainer, jax.random.split(jax.random.key(0), 1)))
    state, _ = training.run(trainer, source, state, 15)
    once = traces
    for steps in (15, 7):
        state, _ = training.run(trainer, source, state, steps)
    assert traces == once


@pytest.mark.extended
def test_consecutive_chunks_equal_one_run_over_epochs_of_buckets() -> None:
    trainer, buckets = _trainer(), [_sequences(40, 3), _sequences(24, 5)]
    keys = jax.random.split(jax.random.key(0), 2)
    assert training.epoch_steps(buckets, trainer.batch_size) == 5
    source = training.ExampleSource(buckets, _loss)
    whole, metrics = training.run(trainer, source, training.start(trainer, source, training.init(trainer, keys)), 12)
    state, chunks = training.start(trainer, source, training.init(trainer, keys)), []
    for steps in (3, 4, 5):
        state, chunk = training.run(trainer, source, state, steps)
        chunks.append(chunk)
    np.testing.assert_array_equal(training.join(chunks).loss, metrics.loss)
    for one, other in zip(jax.tree.leaves(state), jax.tree.leaves(whole), strict=True):
        assert bool(jnp.all(one == other))


@pytest.mark.extended
def test_a_seed_that_diverges_keeps_its_last_finite_parameters() -> None:
    trainer = training.Trainer(_model(), 16, training.SGD(1e38), None)
    keys = jax.random.split(jax.random.key(0), 1)
    state = training.init(trainer, keys)
    fit = training.fit(trainer, _loss, [_sequences(64, 3)], state, 2, lambda params: np.array([1.0]))
    assert fit is not None
    (sentence,) = fit.diverged
    assert "diverged at step" in sentence
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(fit.params))


@pytest.mark.extended
def test_it_stops_at_the_next_log_point() -> None:
    stop, steps = threading.Event(), []

    def advance(count: int) -> None:
        steps.append(count)
        if len(steps) == 3:
            stop.set()

    keys = jax.random.split(jax.random.key(0), 1)
    trainer, examples = _trainer(), [_sequences(160, 3)]
    state = training.init(trainer, keys)
    session = training.Session(advance=advance, stop=stop)
    assert training.fit(trainer, _loss, examples, state, 9, lambda _: [0.0], session=session) is None
    assert steps == [1, 1, 1]  # of ten per epoch


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        (Examples((), ()), "at least one array"),
        (Examples(np.zeros((3, 4)), np.zeros(5)), r"steps must hold as many examples as the others, 5, got 4"),
        (Examples(np.zeros(3), np.zeros(5)), r"steps must be \[T, N, ...\], got shape \[3\]"),
        (Examples({"x": np.zeros((3, 0))}, ()), "at least one example"),
    ],
)
def test_inconsistent_examples_are_rejected(examples: Examples, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        examples.checked()


def test_wrong_sources_estimators_and_epochs_are_rejected() -> None:
    trainer = _trainer()
    state = training.init(trainer, jax.random.split(jax.random.key(0), 1))
    with pytest.raises(ValueError, match="at least one Examples, got none"):
        training.ExampleSource([], _loss)
    with pytest.raises(ValueError, match="as many examples as the others"):
        training.ExampleSource([Examples(np.zeros((3, 4)), np.zeros(5))], _loss)
    with pytest.raises(TypeError, match="source must be a Task, Streams or an ExampleSource, got list"):
        training.start(trainer, [_sequences(8, 3)], state)  # type: ignore[arg-type]
    online = dataclasses.replace(trainer, estimator=RTRL())
    with pytest.raises(ValueError, match=r"must be BPTT\(\), got RTRL"):
        training.start(online, training.ExampleSource([_sequences(8, 3)], _loss), state)
    with_engine = dataclasses.replace(trainer, estimator=BPTT(Scan()))
    with pytest.raises(ValueError, match=r"must be BPTT\(\), got BPTT\(engine=Scan.*; the loss calls the model, and"):
        training.start(with_engine, training.ExampleSource([_sequences(8, 3)], _loss), state)
    with pytest.raises(ValueError, match="epochs must be a positive integer, got 0"):
        training.fit(trainer, _loss, [_sequences(8, 3)], state, 0, lambda _: [0.0])


def test_members_of_buckets() -> None:
    members = Buckets((2, 5)).members([1, 5, 2, 3])
    assert [m.tolist() for m in members] == [[0, 2], [1, 3]]
    with pytest.raises(ValueError, match="at most 5 steps"):
        Buckets((2, 5)).members([6])


@pytest.mark.parametrize(
    ("losses", "failed"),
    [
        ([[1, np.nan, np.nan, np.nan], [np.inf, np.nan, np.nan, np.nan]], True),
        ([[1, np.nan, np.nan, np.nan], [1, 1, np.nan, np.nan]], False),  # the second seed completed its first epoch
        ([[1, np.nan, np.nan, np.nan], [np.nan, 1, 1, 1]], False),  # the second seed skipped only its first update
        ([[1, 1, 1, 1], [1, 1, 1, 1]], False),
    ],
)
def test_a_fit_has_failed_if_every_seed_diverged_in_the_first_epoch(losses, failed) -> None:
    history = training.StepMetrics(np.array(losses, float), *[None] * (len(training.StepMetrics._fields) - 1))
    assert training.Fit(None, np.zeros((2, 2)), history, 0.0).failed is failed


def test_a_trainer_counts_its_parameters() -> None:
    model = ReadoutModel(VanillaRNN(3, 4), 2)
    trainer = training.Trainer(model, 1, training.Adam(0.1), None)
    assert trainer.parameters == 3 * 4 + 4 * 4 + 4 + 4 * 2 + 2
