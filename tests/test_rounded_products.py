"""Products of bfloat16 in a function: which are replaced, and their derivatives by definition."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax.bfloat16 import in_bfloat16
from tests.test_mixed_precision import BFLOAT16, NEAR, distance, inputs, products, rounded


@jax.custom_jvp
def with_user_defined_derivative(x, w):
    return x @ w


with_user_defined_derivative.defjvps(lambda dx, _, x, w: dx @ w, lambda dw, _, x, w: x @ dw)

WAYS = {
    "jit": lambda x, w: jax.jit(jnp.matmul)(x, w),
    "scan": lambda x, w: jax.lax.scan(lambda h, _: (h @ w, None), x, length=2)[0],
    "while": lambda x, w: jax.lax.fori_loop(0, 2, lambda _, h: h @ w, x),
    "cond": lambda x, w: jax.lax.cond(x[0, 0] > 0, lambda: x @ w, lambda: x @ w.T),
    "checkpoint": lambda x, w: jax.checkpoint(jnp.matmul)(x, w),
    "twice": lambda x, w: in_bfloat16(jnp.matmul)(x, w),
    "highest": lambda x, w: jnp.matmul(x, w, precision="highest"),
    "transposed": lambda x, w: (x.T @ w).T,
}


@pytest.mark.parametrize("function", WAYS.values(), ids=WAYS)
def test_products_are_replaced_inside_control_flow(function):
    x, w = inputs(3, 3), inputs(3, 3) + 1
    assert set(products(in_bfloat16(function), x, w)) == {BFLOAT16}
    assert distance(in_bfloat16(function)(x, w), function(x, w)) < NEAR
    assert distance(jax.jit(in_bfloat16(function))(x, w), function(x, w)) < NEAR


def test_products_that_are_not_replaced():
    x = inputs(3, 3)
    assert set(products(in_bfloat16(with_user_defined_derivative), x, x)) == {("f32",) * 3}
    assert set(products(in_bfloat16(jnp.matmul), x, 1j * x)) == {("complex<f32>",) * 3}
    assert set(products(in_bfloat16(jnp.matmul), x.astype(int), x.astype(int))) == {("i32",) * 3}


PRODUCTS = [
    "ij,jk->ik", "ji,jk->ik", "ij,kj->ki", "ji,kj->ki", "j,jk->k", "ij,j->i", "i,j->ij", "bij,bjk->bik", "bji,kbj->kbi",
    "jbi,kjb->kbi", "tbi,tbk->ki", "itb,btk->ik", "tib,bt->i", "ab,ab->",
]  # fmt: skip


@pytest.mark.parametrize(
    "letters", [pytest.param(p, marks=pytest.mark.extended if n % 3 else ()) for n, p in enumerate(PRODUCTS)]
)
def test_a_product_and_its_derivatives_by_their_definition(letters):
    size = {"i": 5, "j": 9, "k": 2, "b": 3, "t": 4, "a": 2}
    x_axes, y_axes, z_axes = re.split(",|->", letters)
    rng = np.random.default_rng(0)
    x, y, dx, dy, dz = (
        jnp.asarray(rng.normal(size=[size[a] for a in axes]), jnp.float32)
        for axes in (x_axes, y_axes, x_axes, y_axes, z_axes)
    )
    product = jax.jit(in_bfloat16(functools.partial(jnp.einsum, letters)))

    @jax.jit
    def pulled(z):
        return jax.vjp(product, x, y)[1](z)

    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5)
    x_, y_, dx_, dy_, dz_ = map(rounded, (x, y, dx, dy, dz))
    z = np.einsum(letters, x_, y_)
    close(product(x, y), z)
    close(jax.jvp(product, (x, y), (dx, dy))[1], np.einsum(letters, dx_, y_) + np.einsum(letters, x_, dy_))
    for got, expected in zip(
        pulled(dz),
        (np.einsum(f"{z_axes},{y_axes}->{x_axes}", dz_, y_), np.einsum(f"{z_axes},{x_axes}->{y_axes}", dz_, x_)),
        strict=True,
    ):
        assert got.dtype == jnp.float32
        close(got, expected)
    # A batch along a new axis of either operand equals its elements, each alone.
    close(jax.vmap(product, (None, -1))(x, jnp.stack([y, dy], -1)), [z, np.einsum(letters, x_, dy_)])
    close(jax.vmap(product, (0, 0))(jnp.stack([x, dx]), jnp.stack([y, dy])), [z, np.einsum(letters, dx_, dy_)])
