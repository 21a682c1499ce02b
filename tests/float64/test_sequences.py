"""Lengths, resets and direction, for every cell and layer: a batch equals its episodes, each run alone.

One reference serves all. A sequence is cut off at its length and split into episodes at its resets; every episode is
unrolled alone, without options, and outputs, final state and all gradients of the batch must equal the combined ones.
Padding holds NaN, infinities and random resets.
"""

import functools
import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rnn_jax import (
    Scan,
    noise,
    unroll,
)
from rnn_jax.engines import Associative, Checkpointed, Engine, Hoisted, decisions
from tests.float64.layer_table import (
    LAYERS,
    T,
    each,
    every_carried_layer,
    every_linear_layer,
    every_noisy_layer,
    layers,
)

property_test = settings(
    max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Way(NamedTuple):
    """Options that a program is compiled for."""

    batch_shape: tuple[int, ...]
    reverse: bool
    engine: Engine


@pytest.fixture(autouse=True)
def short_segments(monkeypatch):
    """Makes `Hoisted` recompute segments of two steps, so that short sequences have several and a rest."""
    monkeypatch.setattr(decisions, "SEGMENT", 2)


WAYS = [
    Way((), False, Checkpointed()),
    Way((4,), True, Hoisted(keep=True)),
    Way((2, 2), True, Hoisted(keep=False)),
    Way((2, 2), False, Scan(unroll=3)),
]


PARALLEL_WAYS = [Way((4,), False, Associative()), Way((2, 2), True, Associative())]


class Case(NamedTuple):
    """One batch, in NumPy."""

    xs: np.ndarray
    state: object
    lengths: np.ndarray
    resets: np.ndarray
    weights: object  # of the loss, like (final state, ys)


@functools.partial(jax.jit, static_argnums=(1, 2))
def initial_state(params, layer, batch_shape):
    return layer.initial_state(params, batch_shape)


def floats(leaf):
    return jnp.issubdtype(leaf.dtype, jnp.inexact)


def draw(rng, like):
    """Draws normal numbers for the leaf `like`, both parts of complex ones; zeros for integers."""
    both = rng.normal(size=like.shape) + 1j * rng.normal(size=like.shape)
    return np.asarray((both if jnp.iscomplexobj(like) else both.real) if floats(like) else np.zeros(like.shape))


@functools.cache
def params_of(layer):
    """Draws arbitrary parameters: compiling a layer's `init` would take longer than the test."""
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: 0.5 * draw(rng, leaf), jax.eval_shape(layer.init, jax.random.key(0)))


def make_case(layer, batch_shape, lengths, resets, seed, steps=T):
    rng = np.random.default_rng(seed)
    params = params_of(layer)

    state = jax.tree.map(
        lambda like: np.asarray(like + 0.5 * draw(rng, like), like.dtype), initial_state(params, layer, batch_shape)
    )
    xs = rng.normal(size=(steps, *batch_shape, layer.input_size))
    outputs = jax.eval_shape(lambda p, xs, s: unroll(layer, p, xs, s, key=None), params, xs, state)
    weights = jax.tree.map(lambda leaf: draw(rng, leaf), outputs)
    lengths, resets = np.reshape(lengths, batch_shape), np.reshape(resets, (steps, *batch_shape))
    padding = np.arange(steps).reshape((steps,) + (1,) * len(batch_shape)) >= lengths[None]
    xs[padding] = rng.choice([np.nan, np.inf, -np.inf, 1e300], size=xs[padding].shape)
    return Case(xs, state, lengths, resets, weights)


@functools.partial(jax.jit, static_argnames=("layer", "reverse", "engine"))
def evaluate(layer, params, xs, state, fresh, weights, lengths, resets, reverse, engine):
    """Returns final state, outputs and the gradients of their weighted sum by params, xs and state.

    `fresh`, a pytree like the state, selects components that start as the layer's own initial state, not as `state`.
    """

    def loss(params, xs, state):
        own = layer.initial_state(params, xs.shape[1:-1])
        start = jax.tree.map(jnp.where, fresh, own, state)
        results = unroll(
            layer, params, xs, start, lengths=lengths, resets=resets, reverse=reverse, engine=engine, key=None
        )
        terms = jax.tree.map(lambda r, w: jnp.sum((r * w).real) if floats(r) else 0.0, results, weights)
        return sum(jax.tree.leaves(terms)), results

    gradients, results = jax.grad(loss, argnums=(0, 1, 2), has_aux=True, allow_int=True)(params, xs, state)
    return results, gradients


def constant(tree, value):
    return jax.tree.map(lambda _: value, tree)


def count_flips(state, reverse):
    """Returns how often the sequence of each state component's cell is reversed; odd: it runs from the end."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: jax.tree_util.keystr(path).count("backward") + reverse, state
    )


def one_by_one(layer, params, case, way):
    """Returns the expected results of `evaluate`, from each episode run alone."""
    final, ys = jax.tree.map(np.zeros_like, case.weights)
    d_params = jax.tree.map(lambda leaf: np.zeros(leaf.shape), params)
    d_xs, d_state = np.zeros(case.xs.shape), jax.tree.map(np.zeros_like, final)
    flips = count_flips(case.state, way.reverse)
    for row in np.ndindex(way.batch_shape):
        length, resets = case.lengths[row], case.resets[:, *row]
        state, weights_final = (jax.tree.map(lambda leaf, r=row: leaf[r], t) for t in (case.state, case.weights[0]))
        if length == 0:
            for tree, own in ((final, state), (d_state, weights_final)):
                jax.tree.map(lambda leaf, value, r=row: leaf.__setitem__(r, value), tree, own)
            continue
        cuts = [0, *(t for t in range(1, length) if resets[t]), length]
        for begin, end in itertools.pairwise(cuts):
            first, last = begin == 0, end == length
            steps = slice(begin, end) if not way.reverse else slice(end - 1, begin - 1 if begin else None, -1)
            place = (steps, *row)
            # The given state enters at a cell's first step. A reset at step 0 replaces it in sequences that are not
            # reversed.
            fresh = jax.tree.map(
                lambda n, f=first, e=last, r=resets[0]: not e if n % 2 else not f or (n == 0 and bool(r)), flips
            )
            leaves = jax.tree.map(lambda n, f=first, e=last: f if n % 2 else e, flips)
            weights = jax.tree.map(lambda w, out: w * out, weights_final, leaves)
            weights_ys = jax.tree.map(lambda w, p=place: w[p], case.weights[1])
            (f, y), (dp, dx, ds) = evaluate(
                layer, params, case.xs[place], state, fresh, (weights, weights_ys), None, None, False, Scan()
            )
            jax.tree.map(lambda leaf, v, out, r=row: leaf.__setitem__(r, v) if out else None, final, f, leaves)
            jax.tree.map(lambda leaf, v, p=place: leaf.__setitem__(p, v), ys, y)
            d_params = jax.tree.map(np.add, d_params, dp)
            d_xs[place] += dx
            for leaf, v in zip(jax.tree.leaves(d_state), jax.tree.leaves(ds), strict=True):
                leaf[row] += 0 if v.dtype == jax.dtypes.float0 else v
    return (final, ys), (d_params, d_xs, d_state)


def assert_close(got, expected, tolerance=1e-10):
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    for (path, g), w in zip(jax.tree.leaves_with_path(got), jax.tree.leaves(expected), strict=True):
        if g.dtype != jax.dtypes.float0:
            name = jax.tree_util.keystr(path)
            np.testing.assert_allclose(
                g, w, rtol=tolerance, atol=tolerance * max(1, np.max(np.abs(w), initial=0)), err_msg=name
            )


def assert_equals_its_episodes(layer, case, way):
    params = params_of(layer)
    results, gradients = evaluate(
        layer, params, case.xs, case.state, constant(case.state, False), case.weights, case.lengths, case.resets,
        way.reverse, way.engine,
    )  # fmt: skip
    expected_results, expected_gradients = one_by_one(layer, params, case, way)
    assert_close(results, expected_results)
    assert_close(gradients, expected_gradients)
    # Padding: exactly zero.
    padding = np.arange(len(case.xs)).reshape((-1,) + (1,) * case.lengths.ndim) >= case.lengths[None]
    assert not np.any(np.asarray(gradients[1])[padding])
    assert not any(np.any(np.asarray(y)[padding]) for y in jax.tree.leaves(results[1]))


def flags(count):
    return st.lists(st.booleans(), min_size=count, max_size=count)


# Each layer runs in two ways, alternating: every way has half of the layers.
@pytest.mark.parametrize(
    ("layer", "ways"), each(LAYERS, [(WAYS[n % 4], WAYS[(n + 1) % 4]) for n in range(len(LAYERS))])
)
@property_test
@given(st.integers(0, 1), st.lists(st.integers(0, T), min_size=4, max_size=4), flags(4 * T), st.integers(0, 9))
def test_a_batch_equals_its_episodes_run_alone(layer, ways, which, lengths, resets, seed):
    way = ways[which]
    rows = int(np.prod(way.batch_shape))
    case = make_case(layer, way.batch_shape, lengths[:rows], resets[: rows * T], seed)
    assert_equals_its_episodes(layer, case, way)


@every_linear_layer
@property_test
@given(
    st.sampled_from(PARALLEL_WAYS), st.lists(st.integers(0, T), min_size=4, max_size=4), flags(4 * T), st.integers(0, 9)
)
def test_a_batch_in_parallel_equals_its_episodes_run_alone(layer, way, lengths, resets, seed):
    assert_equals_its_episodes(layer, make_case(layer, way.batch_shape, lengths, resets, seed), way)


@pytest.mark.slow
@settings(max_examples=8, deadline=None, derandomize=True)
@given(st.data())
def test_sizes_are_free(data):
    d, h, steps = (data.draw(st.integers(1, 5)) for _ in range(3))
    batch_shape = tuple(data.draw(st.lists(st.integers(1, 3), max_size=2)))
    rows = int(np.prod(batch_shape))
    by_name = layers(d, h)
    layer = by_name[data.draw(st.sampled_from(sorted(by_name)))]
    lengths = data.draw(st.lists(st.integers(0, steps), min_size=rows, max_size=rows))
    case = make_case(layer, batch_shape, lengths, data.draw(flags(rows * steps)), seed=0, steps=steps)
    assert_equals_its_episodes(layer, case, Way(batch_shape, data.draw(st.booleans()), Scan()))


@every_carried_layer
@property_test
@given(st.lists(st.integers(0, T), min_size=4, max_size=4), flags(4 * T), st.integers(0, 9))
def test_segments_equal_the_whole_sequence(layer, lengths, resets, seed):
    case, params, part = make_case(layer, (4,), lengths, resets, seed), params_of(layer), T // 2

    def run(begin, state, xs, resets):
        left = np.clip(case.lengths - begin, 0, len(xs))
        fresh, weights = constant(case.state, False), jax.tree.map(lambda w: w[:part], case.weights[1])
        arguments = (state, fresh, (case.weights[0], weights if len(xs) == part else case.weights[1]))
        return evaluate(layer, params, xs, *arguments, left, resets, False, Scan())[0]

    whole = run(0, case.state, case.xs, case.resets)
    middle, first = run(0, case.state, case.xs[:part], case.resets[:part])
    last, second = run(part, middle, case.xs[part:], case.resets[part:])
    assert_close((last, jax.tree.map(lambda a, b: jnp.concatenate([a, b]), first, second)), whole)


plainly = jax.jit(unroll, static_argnames="cell")


@every_carried_layer
@pytest.mark.parametrize("key", [pytest.param(None, marks=pytest.mark.slow), 7])
def test_stepping_equals_unrolling(layer, key):
    case, params = make_case(layer, (4,), [T] * 4, [False] * 4 * T, seed=0), params_of(layer)
    key = None if key is None else jax.random.key(key)
    xs = jnp.asarray(case.xs)
    final, ys = plainly(layer, params, xs, case.state, key=key)
    inputs = xs if key is None else noise.join(xs, layer.noise(params, key, xs.shape[:-1]))
    step = jax.jit(lambda state, x: layer.step(params, state, layer.project(params, x)))
    states = list(
        itertools.accumulate((jax.tree.map(lambda a, t=t: a[t], inputs) for t in range(T)), step, initial=case.state)
    )
    outputs = [
        layer.output(params, state, jax.tree.map(lambda a, t=t: a[t], inputs)) for t, state in enumerate(states[1:])
    ]
    assert_close((final, ys), (states[-1], jax.tree.map(lambda *leaves: jnp.stack(leaves), *outputs)))


@every_noisy_layer
def test_noise_is_drawn_by_the_key_alone(layer):
    case, params = make_case(layer, (4,), [T] * 4, [False] * 4 * T, seed=0), params_of(layer)
    run = functools.partial(plainly, layer, params, case.xs, case.state)
    first, again, other, evaluated = (run(key=key) for key in (*map(jax.random.key, (0, 0, 1)), None))
    assert_close(first, again, tolerance=0)
    for one, two in itertools.combinations((first, other, evaluated), 2):
        assert any(np.any(a != b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True))


@every_noisy_layer
@pytest.mark.parametrize("reverse", [pytest.param(False, marks=pytest.mark.slow), True])
def test_padding_reaches_nothing_under_noise(layer, reverse):
    case, params = make_case(layer, (4,), [0, 1, 3, T], [False] * 4 * T, seed=0), params_of(layer)

    @jax.jit
    def run(params, xs):
        results = unroll(layer, params, xs, lengths=case.lengths, reverse=reverse, key=jax.random.key(3))
        return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(results)), results

    gradient = jax.jit(jax.grad(run, argnums=(0, 1), has_aux=True))
    clean = np.where(np.isfinite(case.xs) & (np.abs(case.xs) < 100), case.xs, 0.0)
    assert not np.array_equal(clean, case.xs)
    assert_close(gradient(params, case.xs), gradient(params, clean), tolerance=0)
