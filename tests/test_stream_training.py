"""Training on streams: the state carried from segment to segment, epochs, evaluation, seeds, divergence."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rnn_jax
from rnn_jax import initializers, training
from rnn_jax.data import Embedding, Streams
from rnn_jax.models import LanguageModel
from rnn_jax.training import stream_source

SIZE, B, SEGMENT = 5, 3, 4
IDS = np.random.default_rng(0).integers(0, SIZE, 3 * 10 + 1)  # 10 targets a stream: segments of 4, 4 and 2
STREAMS = Streams.of(IDS, B, SEGMENT)
CELL = rnn_jax.GRU(2, 3, recurrent_init=initializers.Uniform())
MODEL = LanguageModel(Embedding(SIZE, 2), CELL)
TRAINER = training.Trainer(MODEL.network, B, training.SGD(0.5), training.ClipByNorm(0.3))
STILL = training.Trainer(MODEL.network, B, training.SGD(1e-12), None)


@functools.cache
def initial(trainer=TRAINER, seeds=1):
    keys = jax.random.split(jax.random.key(0), seeds)
    return training.start(trainer, STREAMS, training.init(trainer, keys))


def run(state, steps, trainer=TRAINER):
    return training.run(trainer, STREAMS, jax.tree.map(jnp.copy, state), steps)


@functools.cache
def first():
    """Two epochs of three segments."""
    return run(initial(), 6)


@functools.cache
def still():
    """The same with a learning rate so small that the parameters stay."""
    return run(initial(STILL), 6, STILL)


def one_seed(tree, seed):
    return jax.tree.map(lambda leaf: np.asarray(leaf[seed]), tree)


def key_data(state):
    return jax.tree.map(lambda x: jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x, state)


stream_loss = jax.jit(MODEL.loss)


def columns():
    """The streams, cut by hand: ids and targets [10, B]."""
    return np.stack([IDS[:-1].reshape(B, 10), IDS[1:].reshape(B, 10)], axis=-1).transpose(1, 0, 2)


@pytest.mark.extended
def test_every_step_is_clipped_sgd_on_a_segment_from_the_state_before_it():
    ids, targets = np.moveaxis(columns(), -1, 0)
    params, clip = one_seed(initial().training.params, 0), optax.clip_by_global_norm(0.3)

    @jax.jit
    def gradient(params, state, ids, targets):
        def segment_loss(params):
            return MODEL.loss(params, ids, targets, jax.lax.stop_gradient(state))[::-1]

        return jax.value_and_grad(segment_loss, has_aux=True)(params)

    losses = []
    for _ in range(2):
        state = jnp.zeros((B, 3))
        for start in (0, 4, 8):
            segment = slice(start, min(start + 4, 10))
            (loss, state), grads = gradient(params, state, ids[segment], targets[segment])
            grads, _ = clip.update(grads, clip.init(params))
            params = jax.tree.map(lambda p, g: p - 0.5 * g, params, grads)
            losses.append(loss)
    end, metrics = first()
    np.testing.assert_allclose(metrics.loss[0], losses, rtol=1e-5)
    assert set(np.unique(metrics.clipped)) == {False, True}
    jax.tree.map(lambda g, w: np.testing.assert_allclose(g[0], w, rtol=1e-4, atol=1e-6), end.training.params, params)


def test_two_calls_equal_one_bit_for_bit():
    middle, metrics_1 = run(initial(), 3)
    end, metrics_2 = run(middle, 3)
    whole, metrics = first()
    jax.tree.map(np.testing.assert_array_equal, key_data(end), key_data(whole))
    jax.tree.map(
        lambda a, b, w: np.testing.assert_array_equal(np.concatenate([a, b], 1), w), metrics_1, metrics_2, metrics
    )


def test_an_epoch_starts_from_the_initial_state_and_a_segment_does_not():
    _, metrics = still()
    losses = np.asarray(metrics.loss[0])
    np.testing.assert_allclose(losses[3:], losses[:3], rtol=1e-6)
    ids, targets = np.moveaxis(columns(), -1, 0)
    params = one_seed(initial(STILL).training.params, 0)
    cold = float(stream_loss(params, ids[4:8], targets[4:8])[1])
    assert abs(losses[1] - cold) > 1e-3


def test_evaluation_is_the_mean_over_every_target():
    state = initial(seeds=2)
    ids, targets = np.moveaxis(columns(), -1, 0)
    got = training.evaluate(MODEL.network, STREAMS, state.training.params)["loss"]
    for seed in range(2):
        _, expected = stream_loss(one_seed(state.training.params, seed), ids, targets)
        assert float(got[seed]) == pytest.approx(float(expected), rel=1e-6)


def test_the_losses_of_the_targets_are_in_the_order_of_the_sequence():
    params, ids = initial(seeds=2).training.params, IDS[:30]
    streams = Streams.of(ids, B, SEGMENT)  # the last stream has 9 targets
    losses = stream_source.target_losses(MODEL.network, streams, params)
    assert losses.shape == (2, 29)
    np.testing.assert_allclose(losses.mean(1), training.evaluate(MODEL.network, streams, params)["loss"], rtol=1e-6)
    for stream in np.split(np.arange(29), (10, 20)):
        _, logits = MODEL.apply(one_seed(params, 1), ids[stream][:, None])
        expected = -jax.nn.log_softmax(logits[:, 0])[np.arange(len(stream)), ids[stream + 1]]
        np.testing.assert_allclose(losses[1, stream], expected, rtol=1e-5)


@pytest.mark.extended
def test_seeds_in_one_program_equal_seeds_run_alone():
    all_seeds, metrics = run(initial(seeds=2), 6)
    for seed in range(2):
        alone = jax.tree.map(lambda leaf, s=seed: leaf[s : s + 1], initial(seeds=2))
        alone, metrics_alone = run(alone, 6)
        np.testing.assert_array_equal(metrics_alone.loss[0], metrics.loss[seed])
        jax.tree.map(np.testing.assert_array_equal, one_seed(key_data(alone), 0), one_seed(key_data(all_seeds), seed))


def test_a_run_that_diverges_keeps_what_it_had():
    state = initial()
    params = state.training.params
    spoilt = params._replace(readout=jax.tree.map(lambda leaf: leaf * jnp.nan, params.readout))
    before = state._replace(training=state.training._replace(params=spoilt))
    after, metrics = run(before, 6)
    assert after.training.diverged.tolist() == [True]
    assert after.training.step.tolist() == [0]
    jax.tree.map(np.testing.assert_array_equal, after.training.params.cell, params.cell)
    assert np.all(np.isnan(metrics.loss))


def test_dropout_draws_anew_in_every_segment():
    cell = rnn_jax.RecurrentDropout(CELL, 0.5)
    trainer = training.Trainer(LanguageModel(Embedding(SIZE, 2), cell).network, B, training.SGD(1e-12), None)
    _, metrics = run(initial(trainer), 6, trainer)
    losses = np.asarray(metrics.loss[0])
    assert np.all(np.abs(losses[3:] - losses[:3]) > 1e-6)


@pytest.mark.extended
def test_any_estimator_can_be_the_trainers():
    # RTRL carries its influence over segments: in an epoch's first it is BPTT, in the others it sees further back.
    trainer = dataclasses.replace(STILL, estimator=rnn_jax.RTRL())
    online, whole = run(initial(trainer), 6, trainer)[1], still()[1]
    np.testing.assert_allclose(online.loss, whole.loss, rtol=1e-5)
    norms, truncated = online.grad_norm[0], whole.grad_norm[0]
    np.testing.assert_allclose(norms[jnp.array([0, 3])], truncated[jnp.array([0, 3])], rtol=1e-4)
    assert np.all(abs(norms - truncated)[jnp.array([1, 2, 4, 5])] > 1e-5)


def test_equal_runs_are_compiled_once():
    state, _ = first()
    compiled = stream_source._run._cache_size()
    twin = training.Trainer(
        LanguageModel(Embedding(SIZE, 2), CELL).network, B, training.SGD(0.5), training.ClipByNorm(0.3)
    )
    training.run(twin, Streams.of(IDS[::-1], B, SEGMENT), jax.tree.map(jnp.copy, state), 6)
    assert stream_source._run._cache_size() == compiled
