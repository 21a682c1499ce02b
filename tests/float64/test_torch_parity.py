"""PyTorch's recurrent layers on the same weights: outputs, states, and the gradient of everything that has one."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import GRU, LSTM, VanillaRNN, unroll
from rnn_jax.cells.gru import GRUParams
from rnn_jax.cells.lstm import LSTMParams, LSTMState
from rnn_jax.cells.vanilla import VanillaParams

torch = pytest.importorskip("torch", reason="torch is not installed")

STEPS, BATCH, INPUTS, HIDDEN = 7, 3, 4, 5


def to_params(cell, w_ih, w_hh, b_ih, b_hh):
    """Converts PyTorch's weights [gates * H, in] and two biases to ours: the sum, except for b_hn inside the reset."""
    if isinstance(cell, GRU):
        gates, candidate = slice(0, 2 * HIDDEN), slice(2 * HIDDEN, None)
        return GRUParams(w_ih.T, w_hh.T, np.concatenate([b_ih[gates] + b_hh[gates], b_ih[candidate]]), b_hh[candidate])
    params = LSTMParams if isinstance(cell, LSTM) else VanillaParams
    return params(w_ih.T, w_hh.T, b_ih + b_hh)


def bias_gradients(cell, gradients):
    """Returns the expected gradients of PyTorch's b_ih and b_hh, from those of ours."""
    if isinstance(cell, GRU):
        return gradients.b, np.concatenate([gradients.b[: 2 * HIDDEN], gradients.b_hn])
    return gradients.b, gradients.b


LAYERS = {
    "tanh": (VanillaRNN(INPUTS, HIDDEN), lambda: torch.nn.RNN(INPUTS, HIDDEN, nonlinearity="tanh")),
    "relu": (VanillaRNN(INPUTS, HIDDEN, jax.nn.relu), lambda: torch.nn.RNN(INPUTS, HIDDEN, nonlinearity="relu")),
    "lstm": (LSTM(INPUTS, HIDDEN), lambda: torch.nn.LSTM(INPUTS, HIDDEN)),
    "gru": (GRU(INPUTS, HIDDEN), lambda: torch.nn.GRU(INPUTS, HIDDEN)),
}


@pytest.mark.parametrize(("cell", "make_layer"), LAYERS.values(), ids=LAYERS)
def test_equals_torch(cell, make_layer):
    rng = np.random.default_rng(0)
    layer = make_layer().double()
    weights = (layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0, layer.bias_hh_l0)
    with torch.no_grad():
        for weight in weights:
            weight.copy_(torch.from_numpy(rng.normal(size=tuple(weight.shape)) / HIDDEN**0.5))
    params = jax.tree.map(jnp.asarray, to_params(cell, *(weight.detach().numpy() for weight in weights)))

    components = 2 if isinstance(cell, LSTM) else 1
    xs, cotangent = rng.normal(size=(STEPS, BATCH, INPUTS)), rng.normal(size=(STEPS, BATCH, HIDDEN))
    initial, final_cotangent = (rng.normal(size=(components, BATCH, HIDDEN)) for _ in range(2))

    # PyTorch: a state is [layers, B, H], for the LSTM a pair of them.
    their_xs = torch.tensor(xs, requires_grad=True)
    their_initial = [torch.tensor(component, requires_grad=True) for component in initial]
    layer_state = tuple(component[None] for component in their_initial)
    their_ys, their_final = layer(their_xs, layer_state if components == 2 else layer_state[0])
    their_final = [component[0] for component in (their_final if components == 2 else (their_final,))]
    loss = (their_ys * torch.tensor(cotangent)).sum()
    for component, weight in zip(their_final, final_cotangent, strict=True):
        loss = loss + (component * torch.tensor(weight)).sum()
    loss.backward()

    # This library.
    @functools.partial(jax.grad, argnums=(0, 1, 2), has_aux=True)
    def run(params, xs, initial):
        state = LSTMState(*initial) if components == 2 else initial[0]
        final, ys = unroll(cell, params, xs, state)
        final = list(final) if components == 2 else [final]
        loss = jnp.sum(ys * cotangent) + sum(jnp.sum(c * w) for c, w in zip(final, final_cotangent, strict=True))
        return loss, (ys, final)

    gradients, (ys, final) = jax.jit(run)(params, jnp.asarray(xs), [jnp.asarray(component) for component in initial])
    ours = {
        "ys": ys,
        "final": final,
        "w_ih": gradients[0].w_i.T,
        "w_hh": gradients[0].w_h.T,
        "biases": bias_gradients(cell, gradients[0]),
        "xs": gradients[1],
        "initial": gradients[2],
    }
    theirs = {
        "ys": their_ys.detach().numpy(),
        "final": [component.detach().numpy() for component in their_final],
        "w_ih": layer.weight_ih_l0.grad.numpy(),
        "w_hh": layer.weight_hh_l0.grad.numpy(),
        "biases": (layer.bias_ih_l0.grad.numpy(), layer.bias_hh_l0.grad.numpy()),
        "xs": their_xs.grad.numpy(),
        "initial": [component.grad.numpy() for component in their_initial],
    }
    chex.assert_trees_all_close(ours, theirs, rtol=1e-10, atol=1e-10)
