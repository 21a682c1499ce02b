"""Every cell, every layer around some, and user-defined ones, as parameters of the 64-bit tests of sequences."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest

from rnn_jax import (
    CELLS,
    GRU,
    LRU,
    LSTM,
    Bidirectional,
    Cell,
    Dropout,
    Encoded,
    GRUResetBefore,
    LearnedInitialState,
    LinearCell,
    LinearRNN,
    MinGRU,
    MinLSTM,
    RecurrentDropout,
    Residual,
    Stack,
    VanillaRNN,
    Zoneout,
)
from rnn_jax.cells.lstm import LSTMState
from rnn_jax.data import Embedding, OneHot
from rnn_jax.layers import griffin_block
from rnn_jax.linear import Diagonal


class CountedState(NamedTuple):
    h: jax.Array
    steps: jax.Array


class Counted(Cell):
    """A user's cell: a dict of parameters, integers in the state, outputs that are a pytree."""

    def init(self, key):
        return {"w": jax.random.normal(key, (self.input_size, self.hidden_size))}

    def initial_state(self, params, batch_shape=()):
        return CountedState(jnp.full((*batch_shape, self.hidden_size), 0.5), jnp.zeros(batch_shape, jnp.int32))

    def step(self, params, state, x):
        clock = jnp.cos(state.steps.astype(float))[..., None]
        return CountedState(jnp.tanh(0.7 * state.h + clock * (x @ params["w"])), state.steps + 1)

    def output(self, params, state, x):
        return {"h": state.h, "steps": state.steps, "energy": jnp.sum(x**2, axis=-1)}


class Memory(LinearCell):
    """A user's cell that is linear in its state: a pytree with integers, the same transition at all steps."""

    def init(self, key):
        return {"w": jax.random.normal(key, (self.input_size, self.hidden_size)), "decay": jnp.zeros(self.hidden_size)}

    def initial_state(self, params, batch_shape=()):
        return CountedState(jnp.full((*batch_shape, self.hidden_size), 0.5), jnp.zeros(batch_shape, jnp.int32))

    def linear(self, params, x):
        shared = (1,) * (x.ndim - 1)
        decay = jnp.reshape(jax.nn.sigmoid(params["decay"]), (*shared, self.hidden_size))
        transition = Diagonal(CountedState(decay, jnp.ones(shared, jnp.int32)))
        return transition, CountedState(x @ params["w"], jnp.ones(x.shape[:-1], jnp.int32))

    def output(self, params, state, x):
        return {"h": state.h, "steps": state.steps}


def layers(d, h):
    """Returns every cell of the registry, and every layer around some, nested."""
    return {name: make(d, h) for name, make in CELLS.items()} | {
        "own": Counted(d, h),
        "learned": LearnedInitialState(LSTM(d, h)),
        "learned own": LearnedInitialState(Counted(d, h)),
        "zoneout": Zoneout(LSTM(d, h), LSTMState(h=0.1, c=0.4)),
        "zoneout own": Zoneout(Counted(d, h), 0.3),
        "dropout": Dropout(RecurrentDropout(GRU(d, h), 0.3), 0.3),
        "recurrent dropout": RecurrentDropout(Zoneout(LearnedInitialState(LSTM(d, h)), 0.2), 0.4),
        "residual": Residual(LearnedInitialState(GRU(d, d))),
        "stack": Stack([LSTM(d, h), Residual(Dropout(LearnedInitialState(VanillaRNN(h, h)), 0.3))]),
        "stack, stepped": LearnedInitialState(Stack([GRU(d, h), Zoneout(Residual(GRUResetBefore(h, h)), 0.2)])),
        "bidirectional": Bidirectional(LSTM(d, h), GRUResetBefore(d, h + 1)),
        "bidirectional sum": Bidirectional(LearnedInitialState(GRU(d, h)), merge="sum"),
        "nested": Stack([Bidirectional(Stack([GRU(d, h), Bidirectional(VanillaRNN(h, 2))])), Zoneout(LSTM(8, h), 0.1)]),
        "residual bidirectional": Dropout(Residual(Bidirectional(VanillaRNN(d, d), merge="mean")), 0.5),
        "griffin block": griffin_block(d),
        "encoded": Encoded(Stack([Dropout(LearnedInitialState(GRU(2, h)), 0.3)]), Embedding(d, 2)),
        "encoded, stepped": Zoneout(Encoded(LSTM(d, h), OneHot(d)), 0.2),
    }


def linear_layers(d, h):
    """Returns the cells that are linear in their state, and layers around them."""
    return {name: make(d, h) for name, make in CELLS.items() if name in ("min_gru", "min_lstm", "lru", "linear")} | {
        "own": LearnedInitialState(Zoneout(Memory(d, h), 0.3)),
        "zoneout": Zoneout(LearnedInitialState(MinGRU(d, h)), 0.3),
        "zoneout dense": LearnedInitialState(Zoneout(LinearRNN(d, h), 0.3)),
        "zoneout complex": Zoneout(LearnedInitialState(LRU(d, h)), 0.2),
        "stack": Stack([LRU(d, h), Residual(Dropout(LearnedInitialState(LinearRNN(h, h)), 0.3))]),
        "bidirectional": Bidirectional(MinLSTM(d, h), Zoneout(LRU(d, h), 0.1)),
        "encoded": Zoneout(Encoded(LearnedInitialState(LRU(2, h)), Embedding(d, 2)), 0.2),
    }


T, D, H = 4, 3, 2
LINEAR_LAYERS = linear_layers(D, H)
LAYERS = layers(D, H)
# Layers that can be continued from segment to segment, and stepped.
CARRIED = {name: layer for name, layer in LAYERS.items() if "bidirectional" not in name and name != "nested"}
NOISY = {name: layer for name, layer in LAYERS.items() if any(w in repr(layer) for w in ("Dropout", "Zoneout"))}

# A cell and a user-defined one; then one of each kind of state, output and layer, and those that had bugs, marked
# extended. The others are many and marked slow.
REPRESENTATIVE = {"lstm", "own"}
EXTENDED = {
    "rnn", "gru_reset_before", "lstm_projected", "lru", "min_gru", "learned own", "zoneout own", "zoneout complex",
    "dropout", "recurrent dropout", "stack, stepped", "griffin block", "encoded", "bidirectional",
    "residual bidirectional",
}  # fmt: skip


def marks(name):
    if name in REPRESENTATIVE:
        return ()
    return pytest.mark.extended if name in EXTENDED else pytest.mark.slow


def each(layers, *more):
    """Returns the layers, with a test's further values for each, as parameters."""
    return [
        pytest.param(layer, *values, id=name, marks=marks(name))
        for (name, layer), *values in zip(layers.items(), *more, strict=True)
    ]


every_linear_layer = pytest.mark.parametrize("layer", each(LINEAR_LAYERS))
every_carried_layer = pytest.mark.parametrize("layer", each(CARRIED))
every_noisy_layer = pytest.mark.parametrize("layer", each(NOISY))
