"""x W + b, with one feature and with more."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax.cells.projection import affine


def drawn(*shape, seed):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("features", [1, 3])
@pytest.mark.parametrize("batch", [(), (5,), (4, 5)], ids=str)
def test_value_and_gradients(features, batch):
    x, w, b, weight = drawn(*batch, features, seed=0), drawn(features, 6, seed=1), drawn(6, seed=2), drawn(6, seed=3)
    y, pull = jax.vjp(affine, x, w, b)
    np.testing.assert_allclose(y, x @ w + b, rtol=1e-5, atol=1e-6)
    grad_y = np.broadcast_to(weight, y.shape)
    rows, grad_rows = x.reshape(-1, features), grad_y.reshape(-1, 6)
    for got, expected in zip(
        pull(jnp.asarray(grad_y)), (grad_y @ w.T, rows.T @ grad_rows, grad_rows.sum(0)), strict=True
    ):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_a_single_feature_stays_a_product():
    program = jax.jit(affine).lower(drawn(8, 1, seed=0), drawn(1, 64, seed=1), drawn(64, seed=2)).compile()
    assert " dot(" in program.as_text()
