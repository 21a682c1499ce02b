"""Pascanu's Omega: closed forms, no NaN, and its effect in gradient descent."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import LSTM, VanillaRNN, diagnostics
from rnn_jax.initializers import Normal, Orthogonal, ScaledIdentity
from rnn_jax.models.readout import identity
from tests.known_cells import Product, UserCell, draw, made

pytestmark = pytest.mark.usefixtures("one_thread")


def last(ys):
    return jnp.sum(ys[-1] ** 2)


def value_and_gradient(cell, params, xs, loss):
    """Returns Omega and its gradient."""
    return jax.jit(jax.value_and_grad(lambda p: diagnostics.omega(cell, p, xs, loss)))(params)


def mean_ratio(cell, params, xs):
    """Returns the geometric mean over steps of the ratio of the gradient's norm at t - 1 to that at t."""
    gradients = jax.jit(lambda p: diagnostics.state_gradients(cell, p, xs, last))(params)
    norms = diagnostics.gradient_norms(gradients)["total"]
    return float(jnp.exp(jnp.mean(jnp.log(norms[0] / norms[-1])) / (len(xs) - 1)))


def test_omega_is_zero_if_the_norm_is_kept() -> None:
    cell = VanillaRNN(2, 6, identity, Orthogonal())
    value, gradient = value_and_gradient(cell, made(cell), draw(9, 3, 2), last)
    assert value < 1e-10
    assert all(np.abs(leaf).max() < 1e-4 for leaf in jax.tree.leaves(gradient))


def test_omega_of_a_scaled_rotation_counts_the_steps_with_a_gradient() -> None:
    cell = VanillaRNN(2, 6, identity, Orthogonal(0.7))
    params, xs = made(cell), draw(9, 3, 2)
    np.testing.assert_allclose(value_and_gradient(cell, params, xs, last)[0], 9 * 0.3**2, rtol=1e-4)
    # The loss reads no step after step 5, and of the second sequence none after step 2.
    steps = jnp.asarray([[5, 2, 5]])
    reads = (jnp.arange(1, 10)[:, None] == steps).astype(jnp.float32)[..., None]
    value, _ = value_and_gradient(cell, params, xs, lambda ys: jnp.sum(reads * ys**2))
    np.testing.assert_allclose(value, (5 + 2 + 5) / 3 * 0.3**2, rtol=1e-4)
    # The scale of the loss does not matter, and steps whose gradient underflows add nothing.
    tiny, _ = value_and_gradient(cell, params, xs, lambda ys: 1e-30 * last(ys))
    np.testing.assert_allclose(tiny, 9 * 0.3**2, rtol=1e-4)
    small = params._replace(w_h=1e-6 * params.w_h)
    assert 3.9 < value_and_gradient(cell, small, xs, lambda ys: 1e-15 * jnp.sum(ys[-1]))[0] < 5


@pytest.mark.parametrize("loss", [last, lambda ys: 0.0 * last(ys)], ids=["read", "unread"])
def test_omega_is_never_nan(loss) -> None:
    cell = VanillaRNN(2, 4, jax.nn.relu, ScaledIdentity(), Normal(0.1))
    for b in (0.5, -9.0):
        params = made(cell)._replace(b=jnp.full(4, b))
        value, gradient = value_and_gradient(cell, params, draw(9, 3, 2), loss)
        assert np.isfinite(value)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))

    # At step 4 alone all units are dead: it passes no gradient back and is the only step to add 1.
    class DeadStep(Product):
        def output(self, params, state, x):
            return state + jnp.sum(params)

    cell = DeadStep(4, 2)
    xs = jnp.where(jnp.arange(6)[:, None] == 3, 0, jnp.eye(2).reshape(1, 4))
    value, gradient = value_and_gradient(cell, made(cell), xs, lambda ys: jnp.sum(ys[-1]))
    assert (value, gradient) == (1, 0)


def test_descent_on_omega_stops_a_gradient_from_vanishing() -> None:
    cell = VanillaRNN(2, 12, recurrent_init=Orthogonal(0.6))
    params, xs = made(cell), draw(12, 4, 2)
    before = mean_ratio(cell, params, xs)

    @jax.jit
    def descend(params):
        def update(params, _):
            value, gradient = jax.value_and_grad(lambda p: diagnostics.omega(cell, p, xs, last))(params)
            return jax.tree.map(lambda p, g: p - 0.04 * g, params, gradient), value

        return jax.lax.scan(update, params, length=100)

    params, values = descend(params)
    assert before < 0.5
    assert abs(mean_ratio(cell, params, xs) - 1) < 0.1
    assert values[-1] < values[0] / 10


def test_omega_of_any_cell() -> None:
    for cell in (LSTM(2, 3), UserCell(2, 3)):
        params = made(cell)
        _, gradient = value_and_gradient(cell, params, draw(4, 3, 2), last)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
        assert any(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient))
