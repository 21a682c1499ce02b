"""Keras', Haiku's and Flax's layers on the same weights: outputs, states and every gradient.

All run on JAX, so a peer is a function of *our* parameters: they are rearranged inside the differentiated function, and
gradients have our arrangement.
"""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import GRU, LSTM, GRUResetBefore, unroll
from rnn_jax.cells.lstm import LSTMState

INPUTS, HIDDEN = 3, 4


@pytest.fixture
def haiku():
    return pytest.importorskip("haiku", reason="dm-haiku is not installed")


def blocks(x, order):
    """Returns the gates of our stack in another order."""
    gates = jnp.split(x, len(order), axis=-1)
    return jnp.concatenate([gates[i] for i in order], axis=-1)


def assert_peer_equals_ours(peer, problem, weigh):
    """`peer(params, xs, state) -> (final state, ys)` in our parameters and states equals `unroll`, gradients too."""

    def values_and_gradients(run):
        def loss(params, xs, state):
            final_state, ys = run(params, xs, state)
            return weigh(final_state, ys), (final_state, ys)

        evaluate = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True))
        return evaluate(problem.params, problem.xs, problem.state)

    ours = values_and_gradients(lambda *args: unroll(problem.cell, *args))
    # The peers rely on rank promotion, which the tests forbid.
    with jax.numpy_rank_promotion("allow"):
        theirs = values_and_gradients(peer)
    chex.assert_trees_all_close(ours, theirs, rtol=1e-10, atol=1e-10)


def keras_gru(keras, weights, **options):
    """Keras' GRU as a function of our parameters; `weights` gives its kernel, recurrent kernel and bias."""
    # Keras' own tanh computes in 32 bit for every dtype of the layer, so it is replaced: the formula is compared.
    options |= {"return_sequences": True, "return_state": True, "dtype": "float64", "activation": jnp.tanh}
    layer = keras.layers.GRU(HIDDEN, **options)
    with jax.numpy_rank_promotion("allow"):
        layer.build((None, None, INPUTS))

    def peer(params, xs, state):
        (ys, final_state), _ = layer.stateless_call(
            weights(params), layer.non_trainable_variables, jnp.swapaxes(xs, 0, 1), initial_state=state
        )
        return final_state, jnp.swapaxes(ys, 0, 1)

    return peer


KERAS_ORDER = (1, 0, 2)  # ours r z n, theirs z r n


def test_keras_gru_reset_before(keras, make_problem, weigh):
    def weights(params):
        return [blocks(x, KERAS_ORDER) for x in (params.w_i, params.w_h, params.b)]

    problem = make_problem(GRUResetBefore(INPUTS, HIDDEN))
    assert_peer_equals_ours(keras_gru(keras, weights, reset_after=False), problem, weigh)


def test_keras_gru_reset_after(keras, make_problem, weigh):
    def weights(params):
        # Keras has a recurrent bias at every gate. Ours is the sum of both, except for the candidate's.
        share = jnp.asarray(np.random.default_rng(2).normal(size=2 * HIDDEN))
        recurrent = jnp.concatenate([share, params.b_hn])
        from_input = params.b - jnp.concatenate([share, jnp.zeros(HIDDEN)])
        bias = jnp.stack([blocks(from_input, KERAS_ORDER), blocks(recurrent, KERAS_ORDER)])
        return [blocks(params.w_i, KERAS_ORDER), blocks(params.w_h, KERAS_ORDER), bias]

    problem = make_problem(GRU(INPUTS, HIDDEN))
    assert_peer_equals_ours(keras_gru(keras, weights, reset_after=True), problem, weigh)


def test_haiku_lstm(haiku, make_problem, weigh):
    def run(xs, state):
        core = haiku.LSTM(HIDDEN, name="core")
        ys, final_state = haiku.dynamic_unroll(core, xs, haiku.LSTMState(hidden=state.h, cell=state.c))
        return LSTMState(h=final_state.hidden, c=final_state.cell), ys

    def peer(params, xs, state):
        order = (0, 2, 1, 3)  # ours i f g o, theirs i g f o
        # Haiku adds 1 inside the forget gate's sigmoid.
        added = jnp.repeat(jnp.array([0.0, 0.0, 1.0, 0.0]), HIDDEN)
        w = blocks(jnp.concatenate([params.w_i, params.w_h]), order)
        return haiku.transform(run).apply(
            {"core/linear": {"w": w, "b": blocks(params.b, order) - added}}, None, xs, state
        )

    assert_peer_equals_ours(peer, make_problem(LSTM(INPUTS, HIDDEN)), weigh)


def test_flax_lstm(make_problem, weigh):
    def peer(params, xs, state):
        w_i, w_h, b = (jnp.split(x, 4, axis=-1) for x in params)
        weights = {f"i{gate}": {"kernel": w_i[n]} for n, gate in enumerate("ifgo")}
        weights |= {f"h{gate}": {"kernel": w_h[n], "bias": b[n]} for n, gate in enumerate("ifgo")}
        layer = nn.RNN(nn.LSTMCell(HIDDEN, param_dtype=jnp.float64), time_major=True, return_carry=True)
        (c, h), ys = layer.apply({"params": {"cell": weights}}, xs, initial_carry=(state.c, state.h))
        return LSTMState(h=h, c=c), ys

    assert_peer_equals_ours(peer, make_problem(LSTM(INPUTS, HIDDEN)), weigh)


def test_flax_gru(make_problem, weigh):
    def peer(params, xs, state):
        w_i, w_h, b = (jnp.split(x, 3, axis=-1) for x in (params.w_i, params.w_h, params.b))
        weights = {f"i{gate}": {"kernel": w_i[n], "bias": b[n]} for n, gate in enumerate("rzn")}
        weights |= {f"h{gate}": {"kernel": w_h[n]} for n, gate in enumerate("rzn")}
        weights["hn"]["bias"] = params.b_hn
        layer = nn.RNN(nn.GRUCell(HIDDEN, param_dtype=jnp.float64), time_major=True, return_carry=True)
        return layer.apply({"params": {"cell": weights}}, xs, initial_carry=state)

    assert_peer_equals_ours(peer, make_problem(GRU(INPUTS, HIDDEN)), weigh)
