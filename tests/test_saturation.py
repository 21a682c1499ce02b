"""Saturation: the nonlinearities it recognises, and the shares it counts."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import GRU, LSTM, Cell, LayerNormLSTM, PeepholeLSTM, VanillaRNN, diagnostics
from rnn_jax.initializers import ScaledIdentity
from tests.known_cells import UserCell, draw, made

pytestmark = pytest.mark.usefixtures("one_thread")

GATES = ["logistic", "logistic 2", "tanh", "logistic 3", "tanh 2"]


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        (VanillaRNN(2, 4), ["tanh"]),
        (VanillaRNN(2, 4, jax.nn.relu), ["max"]),
        (LSTM(2, 4), GATES),
        (LayerNormLSTM(2, 4), GATES),
        (PeepholeLSTM(2, 4), GATES),
        (GRU(2, 4), ["logistic", "logistic 2", "tanh"]),
        (UserCell(2, 4), ["tanh"]),  # its logistic is of a parameter
        (VanillaRNN(2, 4, jax.nn.softplus), []),
        (VanillaRNN(2, 4, jax.checkpoint(jnp.tanh)), ["tanh"]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Cell) else None,
)
def test_saturation_finds_every_nonlinearity(cell: Cell, names: list[str]) -> None:
    by_name = diagnostics.saturation(cell, made(cell), 3 * draw(5, 3, 2))
    assert list(by_name) == names
    assert all(0 <= share <= 1 for shares in by_name.values() for share in shares)


def test_saturation_counts_tanh() -> None:
    cell = VanillaRNN(2, 5)
    params, xs = made(cell)._replace(b=jnp.asarray([0.0, 9, -9, 2, 0])), 2 * draw(20, 3, 2)
    params = params._replace(w_h=0 * params.w_h)
    h = np.tanh(np.asarray(xs) @ np.asarray(params.w_i) + np.asarray(params.b)[None, None])
    shares = diagnostics.saturation(cell, params, xs)["tanh"]
    low, high = h <= -0.95, h >= 0.95
    assert 0 < low.mean() < high.mean() < 1
    np.testing.assert_allclose([shares.low, shares.high], [low.mean(), high.mean()], rtol=1e-5)
    np.testing.assert_allclose(shares.dead, 2 / 5)
    # A dead unit is at the same bound in all sequences and at all steps.
    flipping = jnp.asarray([[50.0, 0], [-50, 0]])[None]  # [T, B, D]
    sides = params._replace(w_i=jnp.ones((2, 5)), b=jnp.zeros(5))
    for xs in (flipping, jnp.swapaxes(flipping, 0, 1)):
        assert diagnostics.saturation(cell, sides, xs)["tanh"] == (0.5, 0.5, 0)


def test_saturation_counts_gates() -> None:
    cell = LSTM(2, 4)
    params = made(cell)._replace(b=jnp.repeat(jnp.asarray([-20.0, 20, 0, 0]), 4))  # input gate closed, forget gate open
    shares = diagnostics.saturation(cell, params, draw(10, 3, 2))
    assert shares["logistic"] == (0, 1, 1)
    assert shares["logistic 2"] == (1, 0, 1)
    assert shares["logistic 3"] == (0, 0, 0)


@pytest.mark.parametrize(
    "relu",
    [
        jax.nn.relu,
        functools.partial(jnp.maximum, 0.0),
        lambda x: jnp.maximum(x, jnp.zeros_like(x)),
        lambda x: jnp.clip(x, 0),
    ],
    ids=["relu", "maximum", "zeros", "clip"],
)
def test_saturation_counts_dead_relus(relu) -> None:
    cell = VanillaRNN(2, 4, relu, ScaledIdentity(0.0))
    params, xs = made(cell)._replace(b=jnp.asarray([-9.0, 0, 9, 0])), draw(30, 3, 2)
    zeros = np.asarray(xs) @ np.asarray(params.w_i) + np.asarray(params.b) <= 0
    shares = diagnostics.saturation(cell, params, xs)["max"]
    np.testing.assert_allclose(shares.low, zeros.mean(), rtol=1e-5)
    assert (shares.high, shares.dead) == (0, 0.25)


def test_saturation_with_any_number_of_batch_dimensions() -> None:
    cell = GRU(2, 4)
    params, xs = made(cell), 5 * draw(6, 2, 3, 2)
    expected = diagnostics.saturation(cell, params, xs.reshape(6, 6, 2))
    assert diagnostics.saturation(cell, params, xs) == expected
    assert diagnostics.saturation(cell, params, xs[:, 0, 0])["tanh"].low.shape == ()
