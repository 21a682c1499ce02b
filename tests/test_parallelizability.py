"""The largest Lyapunov exponent by one tangent vector, and what it predicts of Newton's iterations."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import CELLS, LRU, LinearRNN, VanillaRNN, diagnostics
from tests.known_cells import UserCell, draw, made

pytestmark = pytest.mark.usefixtures("one_thread", "unoptimized")


def scaled(cell, gain):
    """Parameters of a cell, the recurrent weights times a gain."""
    params = made(cell)
    return params._replace(w_h=gain * params.w_h)


@pytest.mark.parametrize(
    ("cell", "gain"),
    [(VanillaRNN(2, 6), 1.0), pytest.param(CELLS["lstm"](2, 4), 3.0, marks=pytest.mark.extended)],
)
def test_one_tangent_vector_gives_the_first_exponent_of_the_spectrum(cell, gain):
    params, xs = scaled(cell, gain), draw(400, 2, 2)
    spectrum = diagnostics.lyapunov_spectrum(cell, params, xs, 100)
    largest = diagnostics.largest_lyapunov_exponent(cell, params, xs, 100)
    assert largest.shape == (2,)
    np.testing.assert_allclose(largest, spectrum[:, 0], atol=2e-3)


def test_the_largest_exponent_of_complex_units_is_that_of_the_slowest():
    cell = LRU(2, 5)
    params = made(cell)
    expected = float(np.max(-np.exp(params.nu)))
    np.testing.assert_allclose(
        diagnostics.largest_lyapunov_exponent(cell, params, jnp.zeros((300, 2)), 200), expected, atol=5e-3
    )


def test_integers_and_batch_axes_are_no_direction():
    cell = UserCell(2, 3)
    exponents = diagnostics.largest_lyapunov_exponent(cell, made(cell), draw(40, 2, 3, 2), 10)
    assert exponents.shape == (2, 3)
    assert np.isfinite(exponents).all()


def test_a_network_that_forgets_at_once_has_no_finite_exponent():
    cell = LinearRNN(2, 3)
    params = scaled(cell, 0.0)
    assert float(diagnostics.largest_lyapunov_exponent(cell, params, draw(5, 2), 1)) == -math.inf


@pytest.mark.parametrize("warmup", [5, -1])
def test_a_warmup_that_leaves_no_step_is_refused(warmup):
    cell = VanillaRNN(2, 3)
    with pytest.raises(ValueError, match="largest_lyapunov_exponent: warmup must be"):
        diagnostics.largest_lyapunov_exponent(cell, made(cell), draw(5, 2), warmup)
