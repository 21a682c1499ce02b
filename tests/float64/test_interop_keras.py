"""Converted Keras layers give the same outputs, final states and gradients (by Keras' names), also under masks."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import GRU, LSTM, GRUResetBefore, VanillaRNN, unroll
from rnn_jax.cells.lstm import LSTMState
from rnn_jax.interop import from_keras, to_keras

STEPS, INPUTS, HIDDEN = 5, 3, 4
LENGTHS = np.array([5, 1, 3, 0])

CELLS = {
    "SimpleRNN": (VanillaRNN(INPUTS, HIDDEN), {}),
    "LSTM": (LSTM(INPUTS, HIDDEN), {}),
    "GRU": (GRU(INPUTS, HIDDEN), {"reset_after": True}),
    "GRU-before": (GRUResetBefore(INPUTS, HIDDEN), {"reset_after": False}),
}


@pytest.fixture
def make_layer(keras):
    """A function from a name of `CELLS` and options to a built layer with nonzero biases."""

    def make(name, **options):
        # Keras' tanh computes in 32 bits for any dtype of the layer; jnp.tanh makes the comparison exact.
        options |= {"return_sequences": True, "return_state": True, "dtype": "float64", "activation": jnp.tanh}
        layer = getattr(keras.layers, name.partition("-")[0])(HIDDEN, **CELLS[name][1], **options)
        with jax.numpy_rank_promotion("allow"):  # Keras relies on rank promotion, which the tests forbid
            layer.build((None, None, INPUTS))
        rng = np.random.default_rng(1)
        layer.set_weights([rng.normal(size=w.shape) / HIDDEN**0.5 for w in layer.weights])
        return layer

    return make


def by_name(layer):
    return {w.name: w for w in layer.weights}


@pytest.mark.parametrize("zero_output", [True, False])
@pytest.mark.parametrize("name", CELLS)
def test_outputs_states_and_gradients_equal_masked_keras(make_layer, weigh, name, zero_output):
    layer, cell = make_layer(name, zero_output_for_mask=zero_output), CELLS[name][0]
    rng = np.random.default_rng(0)
    xs = jnp.asarray(rng.normal(size=(STEPS, len(LENGTHS), INPUTS)))
    state = [jnp.asarray(rng.normal(size=(len(LENGTHS), HIDDEN))) for _ in range(2 if name == "LSTM" else 1)]
    valid = np.arange(STEPS)[:, None] < LENGTHS

    def theirs(weights, xs, state):
        trainable = [weights[w.name] for w in layer.trainable_variables]
        with jax.numpy_rank_promotion("allow"):
            (ys, *final), _ = layer.stateless_call(
                trainable,
                layer.non_trainable_variables,
                jnp.swapaxes(xs, 0, 1),
                mask=jnp.asarray(valid.T),
                initial_state=state,
            )
        return jnp.swapaxes(ys, 0, 1), final

    def ours(weights, xs, state):
        initial = LSTMState(*state) if len(state) == 2 else state[0]
        final, ys = unroll(cell, from_keras(cell, weights), xs, initial, lengths=LENGTHS)
        final = list(final) if len(state) == 2 else [final]
        # At masked steps Keras' output is h of the last state or, with zero_output_for_mask, zero as here.
        return ys if zero_output else jnp.where(valid[..., None], ys, final[0][None]), final

    def evaluate(run):
        def loss(*args):
            results = run(*args)
            return weigh(results), results

        weights = {name: jnp.asarray(w) for name, w in by_name(layer).items()}
        return jax.jit(jax.grad(loss, argnums=(0, 1, 2), has_aux=True))(weights, xs, state)

    chex.assert_trees_all_close(evaluate(ours), evaluate(theirs), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", CELLS)
def test_conversion_to_keras_and_back_is_exact(make_layer, name):
    layer, cell = make_layer(name), CELLS[name][0]
    params = from_keras(cell, by_name(layer))
    layer.set_weights([np.zeros(w.shape) for w in layer.weights])
    layer.set_weights(list(to_keras(cell, params).values()))
    chex.assert_trees_all_equal(from_keras(cell, by_name(layer)), params)


@pytest.mark.parametrize("name", CELLS)
def test_conversion_from_keras_and_back_is_the_same_function(make_layer, name):
    layer, cell = make_layer(name), CELLS[name][0]
    xs = np.random.default_rng(0).normal(size=(2, STEPS, INPUTS))
    with jax.numpy_rank_promotion("allow"):
        before = layer(xs)
        layer.set_weights(list(to_keras(cell, from_keras(cell, by_name(layer))).values()))
        chex.assert_trees_all_close(before, layer(xs), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", CELLS)
def test_keras_without_biases_gives_the_same_outputs(make_layer, name):
    layer, cell = make_layer(name, use_bias=False), CELLS[name][0]
    xs = np.random.default_rng(0).normal(size=(2, STEPS, INPUTS))
    with jax.numpy_rank_promotion("allow"):
        theirs, *_ = layer(xs)
    _, ours = unroll(cell, from_keras(cell, by_name(layer)), jnp.swapaxes(xs, 0, 1))
    chex.assert_trees_all_close(jnp.swapaxes(ours, 0, 1), theirs, rtol=1e-10, atol=1e-10)
