"""The language model: its encoders, its loss, the state it carries, and its use as a network."""

import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax
from rnn_jax import gradients, initializers
from rnn_jax.data import Embedding, OneHot
from rnn_jax.gradients.estimator import Estimate
from rnn_jax.models import Encoded, LanguageModel, ReadoutModel, nats_per_token

SIZE, T, B = 6, 5, 3
UNIFORM = initializers.Uniform()  # compiles faster than the orthogonal initialisation
LSTM = rnn_jax.LSTM(4, 3, recurrent_init=UNIFORM)
STACK = rnn_jax.Stack((rnn_jax.GRU(4, 3, recurrent_init=UNIFORM), rnn_jax.LSTM(3, 2, recurrent_init=UNIFORM)))
EMBEDDED = LanguageModel(Embedding(SIZE, 4), LSTM)
MODELS = [
    LanguageModel(Embedding(SIZE, 4), STACK),
    LanguageModel(OneHot(SIZE), rnn_jax.LRU(SIZE, 4)),  # its output also reads the input
]
every_model = pytest.mark.parametrize("model", MODELS, ids=repr)
IDS = np.random.default_rng(0).integers(0, SIZE, (T, B))
TARGETS = np.random.default_rng(1).integers(0, SIZE, (T, B))


@functools.cache
def init(model):
    return jax.jit(model.init)(jax.random.key(0))


apply = jax.jit(LanguageModel.apply, static_argnames="self")
loss_fn = jax.jit(LanguageModel.loss, static_argnames="self")
step = jax.jit(LanguageModel.step, static_argnames="self")


def assert_close(got, expected, rtol=1e-5):
    jax.tree.map(lambda g, w: np.testing.assert_allclose(g, w, rtol=rtol, atol=1e-6), got, expected)


@every_model
def test_model_equals_encoder_cell_and_dense_readout(model):
    params = init(model)
    state, logits = apply(model, params, IDS)
    expected_state, hs = jax.jit(
        lambda p: rnn_jax.unroll(model.cell, p.cell, model.encoder.features**0.5 * model.encoder.apply(p.encoder, IDS))
    )(params.cell)
    dense = params.readout["params"]
    assert logits.shape == (T, B, SIZE)
    assert_close(logits, hs @ dense["kernel"] + dense["bias"][None, None])
    assert_close(state, expected_state)


@every_model
def test_two_segments_equal_one(model):
    params = init(model)
    state, whole = apply(model, params, IDS)
    middle, first = apply(model, params, IDS[:2])
    end, second = apply(model, params, IDS[2:], middle)
    assert_close((end, jnp.concatenate([first, second])), (state, whole))


@every_model
def test_step_equals_a_step_of_apply(model):
    params = init(model)
    expected, logits = apply(model, params, IDS)
    state = model.network.cell.initial_state(params.cell, (B,))
    for t in range(T):
        state, got = step(model, params, state, IDS[t])
        assert_close(got, logits[t])
    assert_close(state, expected)


@every_model
def test_loss_is_the_mean_log_probability_within_the_lengths(model):
    params, lengths = init(model), np.array([5, 2, 0])
    _, logits = apply(model, params, IDS)
    exp = np.exp(np.asarray(logits, np.float64))
    each = -np.log(np.take_along_axis(exp / exp.sum(-1, keepdims=True), TARGETS[..., None], -1)[..., 0])
    assert float(loss_fn(model, params, IDS, TARGETS)[1]) == pytest.approx(each.mean(), rel=1e-5)
    inside = np.arange(T)[:, None] < lengths
    state, loss = loss_fn(model, params, IDS, TARGETS, lengths=lengths)
    assert float(loss) == pytest.approx(each[inside].mean(), rel=1e-5)
    assert_close(state, apply(model, params, IDS, lengths=lengths)[0])
    assert float(nats_per_token(logits, jnp.asarray(TARGETS), jnp.zeros((T, B)))) == 0


def test_resets_equal_separate_segments():
    model, resets = EMBEDDED, np.zeros((T, B), bool)
    resets[2] = True
    params = init(model)
    _, logits = apply(model, params, IDS, resets=resets)
    assert_close(logits[2:], apply(model, params, IDS[2:])[1])
    assert_close(logits[:2], apply(model, params, IDS[:2])[1])


def test_gradient_of_an_embedding_equals_that_of_looked_up_rows():
    model = EMBEDDED
    params = init(model)

    def looked_up(table):
        network = ReadoutModel(LSTM, SIZE)
        _, logits = network.apply(params._replace(cell=params.cell.cell), 2.0 * table[IDS])
        return nats_per_token(logits, jnp.asarray(TARGETS), jnp.ones((T, B)))

    got = jax.jit(jax.grad(lambda p: model.loss(p, IDS, TARGETS)[1]))(params).cell.encoder["params"]["embedding"]
    assert_close(got, jax.jit(jax.grad(looked_up))(params.cell.encoder["params"]["embedding"]))
    assert np.all(np.any(np.asarray(got)[np.unique(IDS)] != 0, axis=-1))


def test_noise_needs_a_key():
    gru, lstm = STACK.layers
    cells = (rnn_jax.RecurrentDropout(gru, 0.5), rnn_jax.Dropout(lstm, 0.5))
    model = LanguageModel(Embedding(SIZE, 4), rnn_jax.Stack(cells))
    plain = MODELS[0]
    params = init(plain)
    assert_close(apply(model, params, IDS, key=None)[1], apply(plain, params, IDS)[1])
    first, second = (apply(model, params, IDS, key=jax.random.key(k))[1] for k in (1, 2))
    assert np.any(first != second)


def test_estimators_take_its_network():
    # RTRL is exact: over two segments it equals BPTT over the whole sequence.
    model = EMBEDDED
    network, params = model.network, init(model)
    xs, targets = OneHot(SIZE).apply((), IDS), jnp.asarray(TARGETS)

    def loss(readout, hs, targets):
        logits = network.read(params._replace(readout=readout), hs)
        return nats_per_token(logits, targets, jnp.ones(targets.shape)) * targets.size

    def gradient(estimator, segments):
        carry, total = estimator.init(network.cell, params, xs), None
        for start, stop in segments:
            estimate: Estimate = estimator(network.cell, loss, params, carry, xs[start:stop], targets[start:stop])
            carry = estimate.carry
            total = estimate.gradient if total is None else jax.tree.map(jnp.add, total, estimate.gradient)
        return total

    online, whole = (
        jax.jit(functools.partial(gradient, *a))
        for a in ((gradients.RTRL(), [(0, 2), (2, T)]), (gradients.BPTT(), [(0, T)]))
    )
    assert_close(online(), whole(), rtol=1e-4)


def test_id_out_of_range_is_rejected_or_gives_nan():
    model = EMBEDDED
    params = init(model)
    with pytest.raises(ValueError, match=re.escape("ids must be in [0, 6), got 6")):
        model.apply(params, np.full((T, B), SIZE))
    ids = IDS.copy()
    ids[2, 1] = -1
    _, logits = apply(model, params, ids)
    wrong = np.isnan(logits).all(-1)
    assert wrong[2:, 1].all()
    assert wrong.sum() == T - 2


def test_equal_models_compare_by_value():
    twin = LanguageModel(Embedding(SIZE, 4), dataclasses.replace(LSTM))
    assert twin == EMBEDDED
    assert hash(twin) == hash(EMBEDDED)
    assert twin.network == EMBEDDED.network
    assert LanguageModel(Embedding(SIZE, 4), rnn_jax.GRU(4, 3)) != EMBEDDED
    assert (EMBEDDED.size, EMBEDDED.network.cell.input_size) == (SIZE, SIZE)


INVALID = [
    (lambda: LanguageModel(Embedding(SIZE, 5), LSTM), ValueError, "cell must read the 5 features of Embedding(size=6"),
    (lambda: LanguageModel(SIZE, LSTM), TypeError, "encoder must be a OneHot or an Embedding, got 6"),
    (lambda: LanguageModel(OneHot(SIZE), None), TypeError, "Encoded: cell must be a Cell, got None"),
    (lambda: LanguageModel(OneHot(0), LSTM), ValueError, "OneHot: size must be a positive integer, got 0"),
    (lambda: Encoded(LSTM, OneHot(5)), ValueError, "got LSTM of input_size 4"),
    (lambda: MODELS[0].apply(init(MODELS[0]), IDS * 1.0), TypeError, "ids must be integers, got float64"),
    (lambda: MODELS[0].loss(init(MODELS[0]), IDS, TARGETS[1:]), ValueError, "targets must be [5, 3], as ids, got"),
    (lambda: MODELS[0].loss(init(MODELS[0]), IDS, TARGETS + SIZE), ValueError, "targets must be in [0, 6), got"),
    (lambda: MODELS[0].loss(init(MODELS[0]), IDS, TARGETS * 1.0), TypeError, "targets must be integers, got float64"),
]


@pytest.mark.parametrize(("call", "error", "message"), INVALID, ids=[message for *_, message in INVALID])
def test_invalid_input_is_rejected_by_name(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()
