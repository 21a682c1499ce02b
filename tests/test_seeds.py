"""Many seeds in one program, over devices."""

import functools
import re
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import machine
from rnn_jax.seeds import in_groups, over_seeds, place


def weighted(one_seed, shared, scale):
    return {"sum": jnp.dot(one_seed["x"], shared) * scale, "key": jax.random.fold_in(one_seed["key"], 1)}


@pytest.mark.parametrize("seeds", [*(pytest.param(n, marks=pytest.mark.extended) for n in (1, 3)), 2, 4])
@pytest.mark.parametrize("transform", [lambda f: f, lambda f: jax.jit(f, static_argnums=0)], ids=["eager", "jit"])
def test_it_equals_vmap_over_as_many_devices_as_divide_the_seeds(seeds, transform):
    keys = jax.random.split(jax.random.key(0), seeds)
    per_seed = {"x": jax.vmap(lambda key: jax.random.normal(key, 5))(keys), "key": keys}
    arguments = per_seed, jnp.arange(5.0), jnp.array(2.0)
    got, expected = transform(over_seeds)(weighted, *arguments), jax.vmap(weighted, (0, None, None))(*arguments)
    np.testing.assert_allclose(got["sum"], expected["sum"], rtol=1e-6)
    np.testing.assert_array_equal(jax.random.key_data(got["key"]), jax.random.key_data(expected["key"]))
    assert len(got["sum"].sharding.device_set) == (1 if seeds % 2 else 2)
    assert got["sum"].sharding == transform(over_seeds)(weighted, got | per_seed, *arguments[1:])["sum"].sharding


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="elsewhere seeds are one batch")
def test_on_a_cpu_no_product_combines_seeds():
    per_seed, w = {"x": jnp.ones((4, 5)), "key": jax.random.split(jax.random.key(0), 4)}, jnp.ones((5, 6))
    program = str(jax.make_jaxpr(functools.partial(over_seeds, weighted))(per_seed, w, jnp.array(2.0)))
    assert re.findall(r"f32\[([\d,]+)\] = dot_general", program) == ["6"]


@pytest.mark.parametrize("transform", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_empty_arrays_are_made_on_the_devices_and_not_passed_to_them(transform):
    def shapes(one_seed, shared):
        return {"sum": one_seed["x"] + jnp.sum(one_seed["none"]), "both": (one_seed["none"] + 1, shared)}

    per_seed, shared = {"x": jnp.arange(4.0), "none": jnp.zeros((4, 0, 3), jnp.bfloat16)}, jnp.zeros((2, 0), int)
    program = jax.make_jaxpr(functools.partial(over_seeds, shapes))(per_seed, shared)
    (mapped,) = [equation for equation in program.eqns if equation.primitive.name == "shard_map"]
    assert [variable.aval.shape for variable in mapped.invars] == [(4,)]
    got = transform(functools.partial(over_seeds, shapes))(per_seed, shared)
    expected = jax.vmap(shapes, (0, None))(per_seed, shared)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), got) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), expected
    )
    np.testing.assert_array_equal(got["sum"], expected["sum"])


def test_it_is_differentiable():
    xs, w = jnp.arange(6.0).reshape(2, 3), jnp.ones(3)

    def loss(w, mapped):
        return jnp.sum(mapped(lambda x, w: jnp.sin(x) @ w, xs, w) ** 2)

    got = jax.grad(lambda w: loss(w, over_seeds))(w)
    expected = jax.grad(lambda w: loss(w, lambda f, xs, w: jax.vmap(f, (0, None))(xs, w)))(w)
    np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="elsewhere seeds are one batch")
@pytest.mark.parametrize(("seeds", "cores", "each"), [(9, 4, 3), (3, 2, 3), (5, 8, 1), (3, 1, 3)])
def test_the_number_of_groups_divides_the_seeds_and_is_at_most_the_cores(seeds, cores, each, monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda: cores)
    per_seed = place(
        {"x": jnp.arange(2.0 * seeds).reshape(seeds, 2), "key": jax.random.split(jax.random.key(0), seeds)}
    )
    threads, traced = set(), []

    @jax.jit
    def compiled(group):
        traced.append(len(group["x"]))
        return {"x": 2 * group["x"], "key": group["key"]}

    def function(group):
        threads.add(threading.get_ident())
        return compiled(group)

    got = in_groups(function, per_seed)
    np.testing.assert_array_equal(got["x"], 2 * per_seed["x"])
    np.testing.assert_array_equal(jax.random.key_data(got["key"]), jax.random.key_data(per_seed["key"]))
    assert traced == [each]  # one program, compiled once
    assert (len(threads) == 1) == (each == seeds)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="elsewhere seeds are one batch")
def test_an_error_in_a_group_is_raised(monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda: 3)
    with pytest.raises(RuntimeError, match="the second"):
        in_groups(_fails_at_one, place(jnp.arange(3)))


def _fails_at_one(group):
    if group[0] == 1:
        raise RuntimeError("the second")
    return group
