"""Norms and gradient clipping at sizes whose squares overflow or underflow."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rnn_jax import norms, training

ORDINARY = {"w": np.float32([[3.0, -1.0], [0.5, 2.0]]), "b": np.float32([1.0, -4.0])}
SIZES = [1e25, 1e20, 1.0, 1e-13, 1e-20, 1e-25, 1e-35]


def _sized(size: float) -> dict[str, jax.Array]:
    return jax.tree.map(lambda leaf: jnp.asarray(leaf * np.float32(size)), ORDINARY)


def _flat(tree: dict[str, jax.Array]) -> np.ndarray:
    return np.concatenate([np.ravel(np.asarray(leaf, np.float64)) for leaf in jax.tree.leaves(tree)])


@pytest.mark.parametrize("size", SIZES)
def test_norms_neither_overflow_nor_underflow(size: float) -> None:
    tree = _sized(size)
    total, each = jax.jit(norms.total_and_each)(tree)
    np.testing.assert_allclose(total, np.linalg.norm(_flat(tree)), rtol=1e-6)
    for name, leaf in tree.items():
        np.testing.assert_allclose(each[name], np.linalg.norm(np.asarray(leaf, np.float64)), rtol=1e-6)


def test_one_large_leaf_hides_no_small_one() -> None:
    total, each = norms.total_and_each({"large": jnp.full(3, 1e25), "small": jnp.full(4, 1e-25), "zero": jnp.zeros(2)})
    np.testing.assert_allclose([each["large"], each["small"], total], [3**0.5 * 1e25, 2e-25, 3**0.5 * 1e25], rtol=1e-6)
    assert each["zero"] == 0


@pytest.mark.parametrize("shape", [(), (1,), (2,), (1, 1), (3, 1)])
@pytest.mark.parametrize("value", [0.0, 1e-30, 1.0, 1e30])
def test_compiled_norms_of_few_values(shape: tuple[int, ...], value: float) -> None:
    leaf = jnp.full(shape, value)
    np.testing.assert_allclose(jax.jit(norms.norm)(leaf), value * leaf.size**0.5, rtol=1e-6)


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf, -jnp.inf])
def test_a_norm_with_a_value_that_is_not_finite_is_not_finite(bad: float) -> None:
    assert not jnp.isfinite(norms.norm(jnp.array([1.0, bad, 1e-30])))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_ordinary_norms_have_the_bits_of_optax(dtype: jnp.dtype) -> None:
    rng = np.random.default_rng(0)
    tree = {"w": jnp.asarray(rng.normal(size=(4, 60, 7)), dtype), "b": jnp.asarray(rng.normal(size=(4, 9)), dtype)}
    for over_seeds in (jax.vmap, lambda f: lambda tree: jax.lax.map(f, tree)):
        expected = jax.jit(over_seeds(lambda t: (optax.tree.norm(t), jax.tree.map(jnp.linalg.norm, t))))(tree)
        for one, other in zip(
            jax.tree.leaves(jax.jit(over_seeds(norms.total_and_each))(tree)), jax.tree.leaves(expected), strict=True
        ):
            assert one.dtype == other.dtype
            assert np.asarray(one).tobytes() == np.asarray(other).tobytes()


@pytest.mark.parametrize("size", SIZES)
def test_clipping_by_norm_keeps_the_direction_at_any_size(size: float) -> None:
    gradient, limit = _sized(size), min(1.0, size)
    clip = training.ClipByNorm(limit).transformation
    clipped, _ = jax.jit(clip.update)(gradient, clip.init(gradient))
    direction = _flat(gradient) / np.linalg.norm(_flat(gradient))
    np.testing.assert_allclose(_flat(clipped), limit * direction, rtol=1e-6)


@pytest.mark.parametrize("size", [1e37, 1e25, 1e20, 1.0])
@pytest.mark.parametrize("weight", [1.0, 1e20])
def test_clipping_adaptively_keeps_the_direction_of_each_unit_at_any_size(size: float, weight: float) -> None:
    gradient, params = _sized(size), jax.tree.map(lambda leaf: jnp.asarray(leaf * np.float32(weight)), ORDINARY)
    clip = training.ClipAdaptively(0.01).transformation
    clipped, _ = jax.jit(clip.update)(gradient, clip.init(params), params)
    for name, leaf in gradient.items():
        g, p = np.asarray(leaf, np.float64), np.asarray(params[name], np.float64)
        largest = 0.01 * np.linalg.norm(p, axis=0)
        factor = np.minimum(1, largest / np.linalg.norm(g, axis=0))
        np.testing.assert_allclose(clipped[name], factor * g, rtol=1e-6)


def test_ordinary_clipping_has_the_bits_of_optax() -> None:
    rng = np.random.default_rng(0)
    gradient, params = ({"w": jnp.asarray(rng.normal(size=(30, 7)), jnp.float32)} for _ in range(2))
    for ours, theirs in (
        (training.ClipByNorm(0.3), optax.clip_by_global_norm(0.3)),
        (training.ClipAdaptively(0.1), optax.adaptive_grad_clip(0.1)),
    ):
        one, other = (
            jax.jit(clip.update)(gradient, clip.init(params), params)[0] for clip in (ours.transformation, theirs)
        )
        assert np.asarray(one["w"]).tobytes() == np.asarray(other["w"]).tobytes()
