"""Estimators in single precision: arguments they refuse, memory they need, training with them."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax
from rnn_jax import BPTT, RTRL, TBPTT, UORO, EProp, SnAp, testing, training
from rnn_jax.gradients import task_loss

EVERY = [BPTT(), TBPTT(4), TBPTT(4, 10), RTRL(), SnAp(1), EProp(), UORO()]
MODEL = rnn_jax.ReadoutModel(rnn_jax.LSTM(2, 4), 1)
TASK = rnn_jax.Adding(12)
FAST = {"xla_backend_optimization_level": 0}


def call(estimator, model, params, batch, key):
    carry = estimator.init(model.cell, params, batch.inputs, key=key)
    return estimator(model.cell, task_loss(model, TASK, batch), params, carry, batch.inputs, batch)


@pytest.mark.parametrize(
    "estimator",
    [BPTT(), *(pytest.param(e, marks=pytest.mark.extended) for e in (UORO(), TBPTT(4, 10), SnAp(1)))],
    ids=lambda e: type(e).__name__,
)
def test_task_loss_is_the_loss_of_the_task_and_seeds_can_be_vmapped(estimator):
    keys = jax.random.split(jax.random.key(0), 2)
    params = jax.vmap(MODEL.init)(keys)
    batch = TASK.sample(jax.random.key(1), 3)
    estimate = functools.partial(call, estimator, MODEL)
    compiled = jax.jit(jax.vmap(estimate, in_axes=(0, None, 0)), compiler_options=FAST)
    estimates = compiled(params, batch, keys)
    for seed in range(2):
        seed_params = jax.tree.map(lambda leaf, seed=seed: leaf[seed], params)
        value, gradient, _ = jax.jit(estimate, compiler_options=FAST)(seed_params, batch, keys[seed])
        np.testing.assert_allclose(value, TASK.loss(MODEL.apply(seed_params, batch.inputs)[1], batch), rtol=1e-5)
        for actual, expected in zip(jax.tree.leaves(estimates.gradient), jax.tree.leaves(gradient), strict=True):
            np.testing.assert_allclose(actual[seed], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "estimator", [BPTT(), *(pytest.param(e, marks=pytest.mark.extended) for e in EVERY[1:])], ids=lambda e: str(e)
)
def test_an_estimator_fulfils_its_contract(estimator):
    testing.check_estimator(estimator, exact=isinstance(estimator, BPTT | RTRL))


def temporary_bytes(estimator, steps):
    task = rnn_jax.Adding(steps)
    key = jax.eval_shape(lambda: jax.random.key(0))
    params, batch = jax.eval_shape(MODEL.init, key), jax.eval_shape(lambda key: task.sample(key, 4), key)
    program = jax.jit(functools.partial(call, estimator, MODEL), compiler_options=FAST)
    memory = program.lower(params, batch, key).compile().memory_analysis()
    # Flags and copies of the inputs, [T, B, ...], grow with T for every estimator.
    return memory.temp_size_in_bytes - sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(batch))


@pytest.mark.extended
def test_only_bptt_needs_memory_for_the_whole_sequence():
    state_bytes = 4 * 4 * (2048 - 128) * 4 * 2  # h and c of every step, which BPTT needs at least
    assert temporary_bytes(BPTT(), 2048) - temporary_bytes(BPTT(), 128) > state_bytes
    for estimator in (TBPTT(4), TBPTT(4, 10), RTRL()):
        assert temporary_bytes(estimator, 2048) - temporary_bytes(estimator, 128) < state_bytes / 2, estimator


@pytest.mark.extended
def test_an_influence_has_the_documented_size():
    # P = 4 H (D + H + 1), S = 2 H; a batch of 3.
    cell = rnn_jax.LSTM(2, 16)
    model = rnn_jax.ReadoutModel(cell, 1)
    params = model.init(jax.random.key(0))
    xs = jnp.zeros((5, 3, 2))
    numbers = 4 * 16 * (2 + 16 + 1)

    def size(estimator):
        carry = jax.eval_shape(lambda key: estimator.init(cell, params, xs, key=key), jax.random.key(0))
        return sum(leaf.size for leaf in jax.tree.leaves(carry.influence)) / 3

    assert size(RTRL()) == 32 * numbers
    assert size(UORO()) == 32 + numbers
    assert numbers <= size(SnAp(1)) <= 4 * numbers
    assert numbers <= size(EProp()) <= 4 * numbers


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TBPTT(0), "TBPTT: segment_length must be a positive integer, got 0"),
        (lambda: TBPTT(2.0), "TBPTT: segment_length must be a positive integer, got 2.0"),
        (lambda: TBPTT(8, 0), "TBPTT: window must be a positive integer, got 0"),
        (lambda: TBPTT(8, 5), "TBPTT: window must be at least segment_length = 8, got 5: the losses of a segment's"),
        (lambda: SnAp(0), "SnAp: steps must be a positive integer, got 0"),
        (
            lambda: call(TBPTT(13), MODEL, *_arguments(MODEL), None),
            "segment_length = 13 is longer than the sequence, which",
        ),
        (lambda: call(UORO(), MODEL, *_arguments(MODEL), None), "UORO is random: init needs a key"),
    ],
)
def test_wrong_numbers_are_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        make()


@functools.cache
def _arguments(model):
    return jax.jit(model.init)(jax.random.key(0)), TASK.sample(jax.random.key(1), 3)


@pytest.mark.parametrize("estimator", EVERY[1:], ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("nested", [False, True], ids=["alone", "in a stack"])
def test_a_bidirectional_layer_is_refused(estimator, nested):
    layer = rnn_jax.Bidirectional(rnn_jax.GRU(2, 3))
    layer = rnn_jax.Stack([layer, rnn_jax.GRU(6, 2)]) if nested else layer
    model = rnn_jax.ReadoutModel(layer, 1)
    params, batch = _arguments(model)
    name = type(layer).__name__
    message = (
        f"EProp: cell must be a SplitCell, .* got {name}"
        if isinstance(estimator, EProp)
        else f"{type(estimator).__name__} goes from step to step, which {name} cannot"
    )
    with pytest.raises(TypeError, match=message):
        call(estimator, model, params, batch, jax.random.key(2))


def test_eprop_needs_a_split_cell():
    model = rnn_jax.ReadoutModel(rnn_jax.GRUResetBefore(2, 3), 1)
    with pytest.raises(TypeError, match=r"EProp: cell must be a SplitCell, .* got GRUResetBefore"):
        call(EProp(), model, *_arguments(model), None)


@pytest.mark.parametrize("estimator", [BPTT(), TBPTT(4), RTRL()], ids=lambda e: type(e).__name__)
def test_sequences_are_checked_as_in_unroll(estimator):
    params, batch = _arguments(MODEL)
    key = jax.random.key(0)
    with pytest.raises(ValueError, match=r"the last axis of xs must be LSTM.input_size = 2, got shape \(12, 3, 5\)"):
        call(estimator, MODEL, params, batch._replace(inputs=jnp.zeros((12, 3, 5))), key)
    carry = estimator.init(MODEL.cell, params, batch.inputs, key=key)
    loss = task_loss(MODEL, TASK, batch)
    with pytest.raises(ValueError, match="lengths must be from 0 to T = 12, got 13"):
        estimator(MODEL.cell, loss, params, carry, batch.inputs, batch, lengths=np.array([1, 2, 13]))
    with pytest.raises(ValueError, match="unroll: state for LSTM"):
        estimator.init(MODEL.cell, params, batch.inputs, jnp.zeros((3, 4)), key)


@pytest.mark.extended
def test_lengths_work_outside_jit():
    params, batch = _arguments(MODEL)
    loss = task_loss(MODEL, TASK, batch)
    estimator = TBPTT(5)  # the last of 12 steps are a segment of 2, beyond the end of every sequence
    carry = estimator.init(MODEL.cell, params, batch.inputs)
    estimate = estimator(MODEL.cell, loss, params, carry, batch.inputs, batch, lengths=np.array([0, 3, 9]))
    _, ys = MODEL.apply(params, batch.inputs, lengths=np.array([0, 3, 9]))
    np.testing.assert_allclose(estimate.value, TASK.loss(ys, batch), rtol=1e-5)


@pytest.mark.extended
def test_a_trainer_uses_the_estimator_it_is_arguments():
    estimator = TBPTT(4, 12)
    task = rnn_jax.Adding(12)
    exact = training.Trainer(MODEL, 4, training.Adam(1e-2), None)
    keys = jax.random.split(jax.random.key(0), 2)
    states = [
        training.run(trainer, task, training.start(trainer, task, training.init(trainer, keys)), 3)
        for trainer in (exact, *(dataclasses.replace(exact, estimator=e) for e in (estimator, TBPTT(2))))
    ]
    losses = [np.asarray(metrics.loss) for _, metrics in states]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
    norms = [np.asarray(metrics.grad_norm) for _, metrics in states]
    assert np.max(np.abs(norms[2] - norms[0])) > 1e-3
