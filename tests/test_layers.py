"""Each layer by its definition; float64/test_sequences.py tests lengths, resets and noise for all of them."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax
from rnn_jax import (
    GRU,
    LSTM,
    Bidirectional,
    Cell,
    Dropout,
    Encoded,
    LearnedInitialState,
    RecurrentDropout,
    Residual,
    Stack,
    VanillaRNN,
    Zoneout,
    initializers,
    report,
    training,
)
from rnn_jax.cells.lstm import LSTMState
from rnn_jax.data import Embedding
from tests import registry

T, B, D, H = 5, 3, 4, 6

unroll = jax.jit(
    rnn_jax.unroll,
    static_argnames=("cell", "reverse", "engine"),
    compiler_options={"xla_backend_optimization_level": 0},
)


def inputs(width=D, steps=T, batch=B):
    return jnp.asarray(np.random.default_rng(0).normal(size=(steps, batch, width)), jnp.float32)


def close(got, expected):
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), got, expected)


class Echo(Cell):
    """y_t = x_t; nothing is remembered."""

    def init(self, key):
        return ()

    def initial_state(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, self.input_size))

    def step(self, params, state, x):
        return x


def identity(x):
    return x


def test_a_stack_feeds_each_layer_with_the_one_below():
    stack = Stack([LSTM(D, H), GRU(H, 5), VanillaRNN(5, 2)])
    params = stack.init(jax.random.key(0))
    final, ys = unroll(stack, params, inputs())
    expected, states = inputs(), []
    for layer, own in zip(stack.layers, params, strict=True):
        state, expected = unroll(layer, own, expected)
        states.append(state)
    close((final, ys), (tuple(states), expected))
    assert (stack.input_size, stack.hidden_size, stack.output_size) == (D, 2, 2)


def test_layers_of_a_stack_draw_different_weights():
    one, two = Stack([GRU(D, D), GRU(D, D)]).init(jax.random.key(0))
    assert np.all(one.w_h != two.w_h)


@pytest.mark.parametrize(
    ("merge", "combine"),
    [
        ("concat", lambda f, b: np.concatenate([f, b], axis=-1)),
        ("sum", lambda f, b: f + b),
        ("mean", lambda f, b: (f + b) / 2),
    ],
)
def test_bidirectional_reads_from_both_ends(merge, combine):
    layer = Bidirectional(LSTM(D, H), GRU(D, H), merge)
    params, xs = layer.init(jax.random.key(0)), inputs()
    final, ys = unroll(layer, params, xs)
    final_forward, forward = unroll(layer.forward, params.forward, xs)
    final_backward, backward = unroll(layer.backward, params.backward, xs[::-1])
    close((final.forward, final.backward), (final_forward, final_backward))
    close(ys, combine(forward, backward[::-1]))
    assert ys.shape[-1] == layer.output_size


def test_bidirectional_of_one_cell_has_two_sets_of_parameters():
    layer = Bidirectional(GRU(D, H))
    params = layer.init(jax.random.key(0))
    assert np.all(params.forward.w_h != params.backward.w_h)
    assert layer == Bidirectional(GRU(D, H))
    assert layer != Bidirectional(GRU(D, H), merge="sum")


def test_residual_adds_its_input():
    cell = GRU(D, D)
    params = cell.init(jax.random.key(0))
    final, ys = unroll(Residual(cell), params, inputs())
    wanted_final, expected = unroll(cell, params, inputs())
    close((final, ys), (wanted_final, inputs() + expected))


@pytest.mark.parametrize("variational", [False, True])
def test_dropout_drops_a_share_of_the_inputs_and_scales_the_rest(variational):
    rate, steps, batch, width = 0.3, 20, 50, 30
    layer = Dropout(Echo(width, width), rate, variational)
    xs = 1 + inputs(width, steps, batch) ** 2
    _, ys = unroll(layer, (), xs, key=jax.random.key(0))
    dropped = np.asarray(ys) == 0
    np.testing.assert_allclose(ys, np.where(dropped, 0, xs / (1 - rate)), rtol=1e-6)
    draws = batch * width * (1 if variational else steps)
    assert abs(dropped.mean() - rate) < 4 * np.sqrt(rate * (1 - rate) / draws)
    assert np.all(dropped == dropped[0]) == variational
    assert not np.all(dropped == dropped[:, :1])  # each sequence has its own mask


def test_segments_with_one_key_share_a_variational_mask():
    layer = Dropout(Echo(D, D), 0.5, variational=True)
    first, second = (unroll(layer, (), 1 + inputs() ** 2, key=jax.random.key(0))[1] for _ in range(2))
    np.testing.assert_array_equal(first == 0, second == 0)


def test_recurrent_dropout_has_one_mask_over_time_in_the_product():
    rate, width = 0.25, 400
    cell = RecurrentDropout(VanillaRNN(1, width, identity, recurrent_init=initializers.ScaledIdentity()), rate)
    params = cell.init(jax.random.key(0))
    state = jnp.ones((B, width))
    _, ys = unroll(cell, params, jnp.zeros((T, B, 1)), state, key=jax.random.key(1))
    kept = np.asarray(ys[0]) > 0
    # h_t = m h_{t-1} / (1 - rate): a unit dropped once stays dropped, one kept is scaled every time.
    np.testing.assert_allclose(ys, [np.where(kept, (1 - rate) ** -(t + 1.0), 0) for t in range(T)], rtol=1e-5)
    assert abs(kept.mean() - (1 - rate)) < 4 * np.sqrt(rate * (1 - rate) / kept.size)
    assert np.any(kept[0] != kept[1])


def test_recurrent_dropout_does_not_drop_the_state_that_a_gru_keeps():
    cell = RecurrentDropout(GRU(1, H, update_bias=100.0), 0.5)  # z = 1: the whole state is kept
    params, state = cell.init(jax.random.key(0)), jnp.ones((B, H))
    final, _ = unroll(cell, params, jnp.zeros((T, B, 1)), state, key=jax.random.key(1))
    np.testing.assert_array_equal(final, state)


def test_zoneout_in_evaluation_is_its_expectation():
    """Krueger et al. 2017, eq. 2-4: h is of the new c before c itself is zoned out."""
    cell = LSTM(D, H)
    params, x = cell.init(jax.random.key(0)), inputs()[0]
    state = LSTMState(jnp.full((B, H), 0.3), jnp.full((B, H), -0.7))
    z_h, z_c = 0.1, 0.4
    final, _ = unroll(Zoneout(cell, LSTMState(h=z_h, c=z_c)), params, x[None], state, key=None)
    i, f, g, o = np.split(np.asarray(x @ params.w_i + state.h @ params.w_h + params.b[None]), 4, axis=-1)
    sigmoid = jax.nn.sigmoid
    c = sigmoid(f) * state.c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    close(final, LSTMState(z_h * state.h + (1 - z_h) * h, z_c * state.c + (1 - z_c) * c))


def test_zoneout_draws_the_units_to_keep_at_every_step():
    rates, width, steps = LSTMState(h=0.1, c=0.6), 50, 30
    cell = Zoneout(LSTM(D, width), rates)
    params = cell.init(jax.random.key(0))
    noise = cell.noise(params, jax.random.key(1), (steps, B))
    masks, _ = noise
    for mask, rate in zip(masks, rates, strict=True):
        assert mask.shape == (steps, B, width)
        assert abs(np.mean(mask) - rate) < 4 * np.sqrt(rate * (1 - rate) / mask.size)
        assert np.any(mask[0] != mask[1])
        assert np.any(mask[:, 0] != mask[:, 1])
    # One step: a unit keeps its value if the mask is set, else it has that of a step without zoneout.
    state = LSTMState(jnp.full((B, width), 0.3), jnp.full((B, width), -0.7))
    final, _ = unroll(cell, params, inputs()[:1], state, key=jax.random.key(2))
    stepped, _ = unroll(cell.cell, params, inputs()[:1], state)
    for old, new, got, rate in zip(state, stepped, final, rates, strict=True):
        kept = np.asarray(got == old)
        np.testing.assert_allclose(got, np.where(kept, old, new), rtol=1e-6)
        assert abs(kept.mean() - rate) < 4 * np.sqrt(rate * (1 - rate) / kept.size)


def read_by_a_step(cell, params):
    """Returns for each float of the state whether a step reads it, or keeps it for the output alone (SRU's gate)."""
    leaves, structure = jax.tree.flatten(cell.initial_state(params, (B,)))
    drive = cell.project(params, jnp.zeros((B, D)))
    jaxpr = jax.make_jaxpr(lambda *s: cell.step(params, jax.tree.unflatten(structure, s), drive))(*leaves).jaxpr
    used = {id(variable) for eqn in jaxpr.eqns for variable in eqn.invars}
    floats = [variable for variable in jaxpr.invars if jnp.issubdtype(variable.aval.dtype, jnp.inexact)]
    return [id(variable) in used for variable in floats]


@pytest.mark.parametrize("cell", registry.cells(D, H))
def test_every_cell_can_learn_its_initial_state(cell):
    cell = LearnedInitialState(cell)
    # Off the initial values: sLSTM's recurrent weights begin at zero.
    params = jax.tree.map(lambda p: p + 0.1, cell.init(jax.random.key(0)))
    params = params._replace(state=cell.init(jax.random.key(0)).state)
    close(cell.initial_state(params, (B,)), cell.cell.initial_state(params.cell, (B,)))
    params = params._replace(state=jax.tree.map(lambda s: s + 0.5, params.state))
    own = cell.cell.initial_state(params.cell, (B,))
    given = jax.tree.map(lambda s: jnp.full_like(s, 0.5 + 0.5j if jnp.iscomplexobj(s) else 0.5), own)
    close(unroll(cell, params, inputs()), unroll(cell.cell, params.cell, inputs(), given))
    loss = jax.jit(jax.grad(lambda p: jnp.sum(rnn_jax.unroll(cell, p, inputs())[1] ** 2)))
    grads = jax.tree.leaves(loss(params).state)
    assert all(np.all(np.isfinite(g)) for g in grads)
    assert [bool(np.any(g != 0)) for g in grads] == read_by_a_step(cell.cell, params.cell)


LAYERS = {
    "stack": Stack([LSTM(D, H), Dropout(GRU(H, H), 0.2)]),
    "bidirectional": Bidirectional(LSTM(D, H)),
    "residual": Residual(VanillaRNN(D, D)),
    "dropout": Dropout(GRU(D, H), 0.5, variational=True),
    "recurrent dropout": RecurrentDropout(GRU(D, H), 0.5),
    "zoneout": Zoneout(LSTM(D, H), LSTMState(0.1, 0.2)),
    "learned": LearnedInitialState(LSTM(D, H)),
    "encoded": Encoded(GRU(3, H), Embedding(D, 3)),
}
every_layer = pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)


@every_layer
def test_equal_layers_share_one_trace(layer):
    traces = []

    @functools.partial(jax.jit, static_argnames="layer")
    def traced(layer, params, xs, key):
        traces.append(layer)
        return rnn_jax.unroll(layer, params, xs, key=key)

    params = layer.init(jax.random.key(0))
    twin = dataclasses.replace(layer)
    assert twin is not layer
    for one in (layer, twin):
        traced(one, params, inputs(), jax.random.key(0))
    assert len(traces) == 1


@every_layer
def test_layers_are_written_to_a_config(layer):
    plain = report.plain(layer)
    assert plain["type"] == f"{type(layer).__module__}:{type(layer).__qualname__}"
    assert set(plain) == {"type"} | {field.name for field in dataclasses.fields(layer) if field.repr}


def test_layers_that_differ_in_initialisers_share_a_program():
    chrono, plain = (Stack([Residual(LSTM(D, D, bias)), GRU(D, H)]) for bias in (initializers.Chrono(9), 1.0))
    assert chrono != plain
    assert initializers.without_initializers(chrono) == initializers.without_initializers(plain)


@pytest.mark.extended
def test_seeds_are_vmapped_over_a_layer():
    layer = Stack([Bidirectional(LSTM(D, H)), Dropout(LearnedInitialState(GRU(2 * H, H)), 0.5)])
    keys, lengths = jax.random.split(jax.random.key(0), 3), jnp.array([[5, 0, 2], [1, 1, 1], [3, 4, 5]])
    params = jax.vmap(layer.init)(keys)

    def run(params, lengths, key):
        return rnn_jax.unroll(layer, params, inputs(), lengths=lengths, key=key)

    together = jax.jit(jax.vmap(run))(params, lengths, keys)
    for seed in range(3):
        alone = jax.jit(run)(jax.tree.map(lambda p, s=seed: p[s], params), lengths[seed], keys[seed])
        close(jax.tree.map(lambda leaf, s=seed: leaf[s], together), alone)


@pytest.mark.extended
def test_training_draws_noise_and_evaluation_does_not():
    task, keys = rnn_jax.Adding(5), jax.random.split(jax.random.key(0), 2)
    losses, metrics = [], []
    for cell in (GRU(2, H), Dropout(GRU(2, H), 0.5), RecurrentDropout(GRU(2, H), 0.5)):
        model = rnn_jax.ReadoutModel(cell, 1)
        trainer = training.Trainer(model, 4, training.Adam(1e-3), training.ClipByNorm(1.0))
        state = training.init(trainer, keys)
        metrics.append(training.evaluate(model, task, state.params, jax.random.key(1), 1280)["loss"])
        losses.append(np.asarray(training.run(trainer, task, training.start(trainer, task, state), 2)[1].loss))
    plain, dropped, recurrent = losses
    assert np.all(np.isfinite(losses))
    assert np.all(plain != dropped)
    assert np.all(plain != recurrent)
    np.testing.assert_array_equal(metrics[0], metrics[1])
    np.testing.assert_array_equal(metrics[0], metrics[2])


@pytest.mark.parametrize(
    "layer",
    [
        pytest.param(LAYERS["bidirectional"], id="bidirectional"),
        pytest.param(Stack([GRU(D, H), Bidirectional(GRU(H, 2))]), id="nested", marks=pytest.mark.extended),
    ],
)
def test_a_readout_works_over_any_layer(layer):
    model = rnn_jax.ReadoutModel(layer, 3)
    params = model.init(jax.random.key(0))
    lengths = jnp.array([5, 0, 2])
    _, ys = jax.jit(lambda p, xs: model.apply(p, xs, lengths=lengths))(params, inputs())
    _, hs = unroll(layer, params.cell, inputs(), lengths=lengths)
    dense = params.readout["params"]
    close(ys, hs @ dense["kernel"] + dense["bias"][None, None])
