"""The largest Lyapunov exponent by one tangent vector, and what it predicts of Newton's iterations."""

import math
import re

import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import CELLS, GRU, LRU, LinearRNN, Newton, VanillaRNN, diagnostics
from rnn_jax.diagnostics.parallel_in_time import predicted_iterations
from rnn_jax.initializers import Normal, ScaledIdentity
from tests.known_cells import UserCell, draw, made

pytestmark = pytest.mark.usefixtures("one_thread")


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


@pytest.mark.parametrize(("factor", "kappa"), [(0.5, 2), (1.0, 20), (2.0, 2**20 - 1)])
def test_residuals_are_amplified_by_the_sum_of_all_growth(factor, kappa):
    cell = LinearRNN(2, 3, ScaledIdentity(factor))
    result = diagnostics.parallelizability(cell, made(cell), draw(20, 2))
    assert result.exponent == pytest.approx(math.log(factor), abs=1e-6)
    assert result.amplification == pytest.approx(kappa, rel=1e-4)
    assert (result.measured, result.looped) == (1, 0)  # a linear recurrence is solved at once, whatever its exponent


def test_predicted_iterations_are_a_memory_and_a_quadratic_end():
    assert predicted_iterations(10.0, 1000) == 15
    assert predicted_iterations(10.0, 1000, jnp.float64) == 16
    assert predicted_iterations(10.0, 12) == 12
    assert predicted_iterations(math.inf, 1000) == predicted_iterations(math.nan, 1000) == 1000


def test_a_contracting_network_is_parallel_over_time():
    cell = GRU(2, 4)
    result = diagnostics.parallelizability(cell, made(cell), draw(300, 2, 2))
    assert result.exponent < 0
    assert 1 < result.measured <= result.predicted <= 20
    assert result.looped == 0
    assert re.match(r"parallel over time: \d+ Newton iterations in place of 300 steps \(.* exponent -", result.verdict)


def test_a_chaotic_network_is_not_parallel_over_time():
    cell = VanillaRNN(2, 32, recurrent_init=Normal(3 / 32**0.5))
    engine = Newton(max_iterations=10)
    result = diagnostics.parallelizability(cell, made(cell), jnp.zeros((200, 2)), draw(32), engine=engine)
    assert result.exponent > 0
    assert (result.predicted, result.measured) == (200, 10)
    assert result.looped == 200
    assert result.verdict.startswith("not parallel over time: Newton left 200 of 200 steps to the loop")
    assert "use Hoisted()" in result.verdict


def test_a_network_whose_states_overflow_has_no_exponent():
    cell = LinearRNN(2, 3, ScaledIdentity(1e3))
    result = diagnostics.parallelizability(cell, made(cell), draw(20_000, 2))
    assert math.isnan(result.exponent)
    assert math.isnan(result.amplification)
    assert result.predicted == 20_000
    assert result.verdict == "not parallel over time: the states are not finite"


def test_a_short_sequence_is_no_gain():
    cell = GRU(2, 4)
    result = diagnostics.parallelizability(cell, made(cell), draw(6, 2))
    assert result.looped == 0
    assert "no shorter than 6 steps" in result.verdict


def test_no_steps_are_refused():
    cell = GRU(2, 4)
    with pytest.raises(ValueError, match="parallelizability: xs must have at least one step, got shape \\(0, 2\\)"):
        diagnostics.parallelizability(cell, made(cell), draw(0, 2))
