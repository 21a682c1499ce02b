"""Mistakes of other libraries with sequences of different lengths, one test each."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax
from rnn_jax import GRU, LSTM, Bidirectional, Stack, trees, unroll
from tests import registry

T, B, D, H = 6, 4, 3, 5
LENGTHS = np.array([6, 1, 0, 3])
BIDIRECTIONAL = Stack([Bidirectional(LSTM(D, H)), GRU(2 * H, H)])
every_layer = pytest.mark.parametrize("layer", [*registry.cells(D, H), pytest.param(BIDIRECTIONAL, id="bidirectional")])


def inputs():
    return np.random.default_rng(0).normal(size=(T, B, D)).astype(np.float32)


def close(got, expected):
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), got, expected)


@every_layer
def test_length_zero_returns_the_given_state(layer):
    """flax's RNN takes the state at `seq_lengths - 1`: of a sequence of length 0 that is the last padded one."""
    params = layer.init(jax.random.key(0))
    start = layer.initial_state(params, (B,))
    state = jax.tree.map(lambda s: s + jnp.asarray(0.3 if jnp.issubdtype(s.dtype, jnp.inexact) else 3, s.dtype), start)
    final, ys = jax.jit(lambda state: unroll(layer, params, inputs(), state, lengths=jnp.zeros(B, int)))(state)
    jax.tree.map(np.testing.assert_array_equal, final, state)
    assert not np.any(ys)


def test_lengths_of_one_and_more_agree_with_flax():
    params = GRU(D, H).init(jax.random.key(0))
    w_i, w_h, b = (jnp.split(x, 3, axis=-1) for x in (params.w_i, params.w_h, params.b))
    weights = {f"i{gate}": {"kernel": w_i[n], "bias": b[n]} for n, gate in enumerate("rzn")}
    weights |= {f"h{gate}": {"kernel": w_h[n]} for n, gate in enumerate("rzn")}
    weights["hn"]["bias"] = params.b_hn
    with jax.numpy_rank_promotion("allow"):
        carry, _ = nn.RNN(nn.GRUCell(H), time_major=True, return_carry=True).apply(
            {"params": {"cell": weights}}, inputs(), seq_lengths=LENGTHS
        )
    final, _ = unroll(GRU(D, H), params, inputs(), lengths=LENGTHS)
    some = LENGTHS > 0
    close(final[some], carry[some])


@every_layer
def test_the_gradient_of_an_empty_sequence_is_zero_and_not_nan(layer):
    params = layer.init(jax.random.key(0))
    xs = np.full((T, B, D), np.nan, np.float32)

    @jax.jit
    @functools.partial(jax.grad, argnums=(0, 1, 2), allow_int=True)
    def gradients(params, xs, state):
        final, ys = unroll(layer, params, xs, state, lengths=jnp.zeros(B, int))
        return sum(jnp.sum(leaf.real) for leaf in trees.floats((final, ys)))

    grad_params, grad_xs, grad_state = gradients(params, xs, layer.initial_state(params, (B,)))
    assert not any(np.any(leaf) for leaf in jax.tree.leaves((grad_params, grad_xs)))
    assert all(np.all(leaf == 1) for leaf in trees.floats(grad_state))


def test_the_backward_direction_starts_at_the_end_of_the_sequence_not_of_the_padding():
    layer = Bidirectional(GRU(D, H))
    params, xs = layer.init(jax.random.key(0)), inputs()
    final, ys = unroll(layer, params, xs, lengths=LENGTHS)
    # Reversing the whole rectangle would run through the padding first.
    _, crossed = unroll(layer.forward, params.backward, xs[::-1])
    for row, length in enumerate(LENGTHS):
        alone_final, alone = unroll(layer.forward, params.backward, xs[:length, row][::-1])
        close(ys[:length, row, H:], alone[::-1])
        close(final.backward[row], alone_final)
        if 0 < length < T:
            assert np.max(np.abs(crossed[::-1][:length, row] - alone[::-1])) > 0.01


@every_layer
@pytest.mark.parametrize("reverse", [False, True])
def test_left_padded_data_is_right_padded_data_in_reverse_time(layer, reverse):
    """As documented in `unroll`: xs[::-1] with the other direction; reversed outputs are aligned to xs."""
    params, xs = layer.init(jax.random.key(0)), inputs()
    left = np.full_like(xs, np.nan)
    for row, length in enumerate(LENGTHS):
        left[T - length :, row] = xs[:length, row]

    @functools.partial(jax.jit, static_argnames="reverse")
    def run(xs, reverse):
        return unroll(layer, params, xs, lengths=LENGTHS, reverse=reverse)

    final, ys = run(left[::-1], reverse=not reverse)
    wanted_final, expected = run(xs, reverse=reverse)
    close(final, wanted_final)
    for row, length in enumerate(LENGTHS):
        close(ys[::-1][T - length :, row], expected[:length, row])
        assert not np.any(ys[::-1][: T - length, row])


@pytest.mark.parametrize("reverse", [False, True])
def test_other_lengths_do_not_recompile(reverse):
    traces = []
    layer = BIDIRECTIONAL
    params = layer.init(jax.random.key(0))

    @jax.jit
    def run(lengths, resets):
        traces.append(1)
        return unroll(layer, params, inputs(), lengths=lengths, resets=resets, reverse=reverse)

    rng = np.random.default_rng(1)
    for _ in range(3):
        run(rng.integers(0, T + 1, B), rng.random((T, B)) < 0.5)
    assert len(traces) == 1


def test_traced_lengths_out_of_range_are_the_nearest_in_range():
    cell = LSTM(D, H)
    params = cell.init(jax.random.key(0))
    for reverse in (False, True):
        run = jax.jit(lambda lengths, r=reverse: unroll(cell, params, inputs(), lengths=lengths, reverse=r))
        close(run(jnp.array([T + 3, 1, -2, 3])), run(jnp.asarray(LENGTHS)))


def final_state_bytes(layer, steps, run):
    """Temporary memory of a compiled `run(params, xs, lengths)`."""
    params = jax.eval_shape(layer.init, jax.random.key(0))
    xs = jax.ShapeDtypeStruct((steps, 32, 1), jnp.float32)
    lengths = jax.ShapeDtypeStruct((32,), jnp.int32)
    return jax.jit(run).lower(params, xs, lengths).compile().memory_analysis().temp_size_in_bytes


@pytest.mark.parametrize("cell", [LSTM(1, 64), GRU(1, 64), rnn_jax.VanillaRNN(1, 64)], ids=["lstm", "gru", "rnn"])
def test_final_states_under_lengths_do_not_need_all_states(cell):
    """flax stacks every carry to pick one; here the last is the right one."""
    steps = 400
    states = steps * 32 * 64 * 4  # bytes of [T, B, H]

    def plain(params, xs, lengths):
        return unroll(cell, params, xs)[0]

    def masked(params, xs, lengths):
        return unroll(cell, params, xs, lengths=lengths)[0]

    def picked(params, xs, lengths):
        hs = unroll(cell, params, xs)[1]
        return jnp.take_along_axis(hs, (lengths - 1)[None, :, None], axis=0)

    without, with_lengths, stacked = (final_state_bytes(cell, steps, run) for run in (plain, masked, picked))
    assert with_lengths < without + states / 10
    assert stacked > without + states / 2  # the test would detect it
