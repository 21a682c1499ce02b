"""Transitions against dense matrices: applied, composed, transposed, and with a share of the state kept."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax.linear import Dense, Diagonal, DiagonalPlusRankOne

T, B, V, K = 2, 3, 4, 5
LEADING = (T, B)


def draw(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def transitions(seed, rows):
    """One transition of each type, for states [T, B, V, K] whose rows it treats alike (1), or each differently (V)."""
    return {
        "diagonal": Diagonal(draw(seed, *LEADING, rows, K)),
        "dense": Dense(draw(seed, *LEADING, rows, K, K)),
        "rank one": DiagonalPlusRankOne(*draw(seed, 3, *LEADING, rows, K)),
        "rank one, scalar": DiagonalPlusRankOne(draw(seed, *LEADING, rows, 1), *draw(seed + 1, 2, *LEADING, rows, K)),
    }


def matrices(transition):
    """Returns the matrix of each row, from what the transition makes of unit vectors: s_j = sum_i s_i w_ij."""
    units = jnp.broadcast_to(jnp.eye(K)[:, None, None, None, :], (K, *LEADING, V, K))
    return np.moveaxis(np.asarray(jnp.stack([transition.apply(unit) for unit in units])), 0, -2)


cases = pytest.mark.parametrize(
    ("name", "rows"), [(name, rows) for name in transitions(0, 1) for rows in (1, V)], ids=str
)
STATE = draw(9, *LEADING, V, K)


def test_the_type_of_rank_one_is_the_matrix_it_names():
    transition = transitions(0, V)["rank one"]
    expected = transition.u[..., :, None] * transition.v[..., None, :]
    expected = expected + jnp.stack([jnp.diag(row) for row in transition.a.reshape(-1, K)]).reshape(expected.shape)
    np.testing.assert_allclose(matrices(transition), expected, atol=1e-14)
    np.testing.assert_allclose(transition.dense().w, expected, atol=1e-14)


@cases
def test_composition_is_the_product_of_matrices(name, rows):
    first, second = (transitions(seed, rows)[name] for seed in range(2))
    np.testing.assert_allclose(matrices(second.after(first)), matrices(first) @ matrices(second), atol=1e-13)


@cases
def test_the_adjoint_is_the_transposed_matrix(name, rows):
    transition = transitions(0, rows)[name]
    np.testing.assert_allclose(matrices(transition.transpose()), np.swapaxes(matrices(transition), -1, -2), atol=1e-14)
    (by_jax,) = jax.vjp(transition.apply, STATE)[1](draw(8, *STATE.shape))
    np.testing.assert_allclose(transition.transpose().apply(draw(8, *STATE.shape)), by_jax, atol=1e-13)


@cases
@pytest.mark.parametrize("shares", [0.3, (B, 1, 1), (T, B, 1, 1), (T, B, V, K)], ids=str)
def test_a_share_of_the_state_is_kept(name, rows, shares):
    transition = transitions(0, rows)[name]
    if shares == (B, 1, 1):  # as lengths do
        shares = jnp.broadcast_to(jnp.array([True, False, True])[:, None, None], (T, B, 1, 1))
    elif not isinstance(shares, float):
        shares = jax.nn.sigmoid(draw(7, *shares))
    expected = STATE * shares + transition.apply(STATE) * (1 - shares)
    np.testing.assert_allclose(transition.keep(shares).apply(STATE), expected, atol=1e-14)
