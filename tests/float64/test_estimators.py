"""Estimators of the gradient: exact ones against BPTT, approximations against their definitions, UORO on average."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import flatten_util

from rnn_jax import CELLS, GRU, LSTM, Dropout, LearnedInitialState, Scan, SplitCell, Stack, VanillaRNN, unroll
from rnn_jax.coordinates import ravel
from rnn_jax.gradients import BPTT, RTRL, TBPTT, UORO, EProp, SnAp
from rnn_jax.models.readout import ReadoutParams

T, B, D, H = 11, 2, 3, 4
STACK = Stack([GRU(D, 3), LearnedInitialState(LSTM(3, 2))])
EVERY = {name: make(D, H) for name, make in CELLS.items()} | {"stack": STACK}
LENGTHS = jnp.array([T, 6])
RESETS = jnp.zeros((T, B), bool).at[4, 0].set(True).at[3, 1].set(True)
RAGGED = {"lengths": LENGTHS, "resets": RESETS}


def loss(readout, ys, targets):
    """A sum over steps in which every output and every step has its own weight."""
    return jnp.sum(jnp.sin(ys @ readout["v"]) * targets)


@functools.cache
def problem(cell):
    rng = np.random.default_rng(0)
    params = jax.jit(cell.init)(jax.random.key(0))
    params = jax.tree.map(lambda leaf: leaf + 0.3 * jnp.asarray(rng.normal(size=leaf.shape)), params)
    readout = {"v": jnp.asarray(rng.normal(size=(cell.output_size, 1)))}
    xs, targets = (jnp.asarray(rng.normal(size=(T, B, n))) for n in (D, 1))
    # Targets exist beyond a sequence's end as well: outputs are zero there, and so is their loss.
    return ReadoutParams(params, readout), xs, targets


@functools.partial(jax.jit, static_argnames=("estimator", "cell", "segments"))
def run(estimator, cell, params, xs, targets, lengths=None, resets=None, state=None, key=None, segments=(T,)):
    """Returns value and gradient, summed over segments of these lengths, and the last carry."""
    carry = estimator.init(cell, params, xs[: segments[0]], state, key)
    value, gradient, start = 0.0, jax.tree.map(jnp.zeros_like, params), 0
    for steps in segments:
        at = slice(start, start + steps)
        flags = {"lengths": None if lengths is None else jnp.clip(lengths - start, 0, steps)}
        flags["resets"] = None if resets is None else resets[at]
        estimate = estimator(cell, loss, params, carry, xs[at], targets[at], **flags)
        value, carry, start = value + estimate.value, estimate.carry, start + steps
        gradient = jax.tree.map(jnp.add, gradient, estimate.gradient)
    return value, gradient, carry


def assert_close(actual, expected, tolerance=1e-9):
    """The tolerance is relative to the largest number of each array."""
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, e, rtol=0, atol=tolerance * max(1.0, float(np.max(np.abs(e), initial=0))))


@functools.cache
def exact(cell, ragged):
    return run(BPTT(Scan()), cell, *problem(cell), **(RAGGED if ragged else {}))[:2]


MARKS = {"lstm": (), "lru": ()} | dict.fromkeys(["rnn", "gru_reset_before", "stack"], pytest.mark.extended)


@pytest.mark.parametrize("name", [pytest.param(n, marks=MARKS.get(n, pytest.mark.slow)) for n in EVERY])
def test_rtrl_equals_bptt(name):
    cell = EVERY[name]
    assert_close(run(RTRL(), cell, *problem(cell), **RAGGED)[:2], exact(cell, True))


@pytest.mark.parametrize(
    "estimator",
    [RTRL(), TBPTT(3, T), *(pytest.param(e, marks=pytest.mark.slow) for e in (SnAp(1), SnAp(2), EProp(), TBPTT(2)))],
    ids=str,
)
def test_segments_give_the_gradient_of_the_whole_sequence(estimator):
    cell = EVERY["lstm"]
    # TBPTT must see the same windows: its short segment is the first one if windows overlap, else the last one.
    segments = (5, 6) if estimator == TBPTT(3, T) else (4, 7)
    whole = run(estimator, cell, *problem(cell), **RAGGED)
    np.testing.assert_allclose(whole[0], exact(cell, True)[0], rtol=1e-9)  # the loss is exact, not an estimate
    assert_close(run(estimator, cell, *problem(cell), **RAGGED, segments=segments)[:2], whole[:2])


@pytest.mark.extended
def test_bptt_uses_any_engine_and_cuts_the_gradient_between_segments():
    cell = STACK
    assert_close(run(BPTT(), cell, *problem(cell), **RAGGED)[:2], exact(cell, True))
    actual = run(BPTT(), cell, *problem(cell), segments=(4, 7))[:2]
    assert_close(actual, stop_gradient_reference(cell, [(0, 4, 0), (4, 11, 4)]))


@pytest.mark.extended
@pytest.mark.parametrize(
    ("name", "segment_length"),
    [
        ("stack", 3),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in (("lstm", 1), ("gru_reset_before", 4), ("stack", T))),
    ],
)
def test_a_window_of_the_whole_sequence_equals_bptt(name, segment_length):
    cell = EVERY[name]
    assert_close(run(TBPTT(segment_length, T), cell, *problem(cell), **RAGGED)[:2], exact(cell, True))


def stop_gradient_reference(cell, segments):
    """For each (start, end, cut): the losses of steps start..end, with an explicit stop_gradient before step `cut`."""
    params, xs, targets = problem(cell)

    def segment_loss(params, start, end, cut):
        state = None
        if cut:
            state, _ = unroll(cell, params.cell, xs[:cut], engine=Scan())
            state = jax.lax.stop_gradient(state)
        _, ys = unroll(cell, params.cell, xs[cut:end], state, engine=Scan())
        return loss(params.readout, ys[start - cut :], targets[start:end])

    @jax.jit
    def total(params):
        value_and_gradient = 0.0, jax.tree.map(jnp.zeros_like, params)
        for segment in segments:
            more = jax.value_and_grad(segment_loss)(params, *segment)
            value_and_gradient = jax.tree.map(jnp.add, value_and_gradient, more)
        return value_and_gradient

    return total(params)


@pytest.mark.parametrize("cell", [EVERY["gru"], pytest.param(STACK, marks=pytest.mark.extended)], ids=["gru", "stack"])
def test_truncation_is_an_explicit_stop_gradient(cell):
    expected = stop_gradient_reference(cell, [(0, 3, 0), (3, 6, 3), (6, 9, 6), (9, 11, 9)])
    assert_close(run(TBPTT(3), cell, *problem(cell))[:2], expected)
    untruncated = flatten_util.ravel_pytree(exact(cell, False)[1])[0]
    assert np.max(np.abs(flatten_util.ravel_pytree(expected[1])[0] - untruncated)) > 0.01


@pytest.mark.extended
def test_overlapping_windows_are_an_explicit_stop_gradient():
    cell = STACK
    # k = 3, w = 7: of 11 steps the first segment has 2.
    expected = stop_gradient_reference(cell, [(0, 2, 0), (2, 5, 0), (5, 8, 1), (8, 11, 4)])
    assert_close(run(TBPTT(3, 7), cell, *problem(cell))[:2], expected)


def test_all_segments_are_one_compiled_loop():
    cell = EVERY["lstm"]
    params, _, _ = problem(cell)

    def size(steps, estimator):
        xs, targets = jnp.zeros((steps, B, D)), jnp.zeros((steps, B, 1))
        jaxpr = jax.make_jaxpr(lambda p: run(estimator, cell, p, xs, targets, segments=(steps,)))(params)
        return str(jaxpr).count("tanh")

    for estimator in (TBPTT(5), TBPTT(5, 8)):
        assert size(10, estimator) == size(500, estimator)


@pytest.mark.extended
def test_a_given_state_is_the_initial_one_and_gets_no_gradient():
    cell = LearnedInitialState(VanillaRNN(D, H))
    params, xs, targets = problem(cell)
    state = jnp.full((B, H), 0.3)
    for estimator in (BPTT(), RTRL(), TBPTT(3, T), TBPTT(4), SnAp(2)):
        value, gradient, _ = run(estimator, cell, params, xs, targets, state=state)
        expected = run(BPTT(Scan()), cell, params, xs, targets, state=state)
        np.testing.assert_allclose(value, expected[0], rtol=1e-12)
        assert not np.any(flatten_util.ravel_pytree(gradient.cell.state)[0])
        if estimator != TBPTT(4):
            assert_close(gradient, expected[1])


# Approximations against their definitions with dense matrices


def dense(cell, jacobian, kept):
    """sum_t dL_t/ds_t M_t with M_t = kept * (D M + F) in a Python loop; `jacobian` computes D from (theta, s, x)."""
    params, xs, targets = problem(cell)
    theta, back = flatten_util.ravel_pytree(params.cell)

    @jax.jit
    def one(state, influence, x, target):
        s, unravel = ravel(state)
        step = lambda theta, s: ravel(cell.step(back(theta), unravel(s), cell.project(back(theta), x)))[0]  # noqa: E731
        d_theta, after = jax.jacrev(step)(theta, s), step(theta, s)
        influence = kept * (jacobian(back, unravel, theta, s, x) @ influence + d_theta)
        read = lambda s: loss(params.readout, cell.output(params.cell, unravel(s), x), target)  # noqa: E731
        return unravel(after), influence, jax.grad(read)(after) @ influence

    gradient = jnp.zeros_like(theta)
    for row in range(B):
        state = cell.initial_state(params.cell)
        influence = jnp.zeros((ravel(state)[0].size, theta.size))
        for t in range(T):
            state, influence, more = one(state, influence, xs[t, row], targets[t, row])
            gradient += more
    return back(gradient)


def full_jacobian(cell):
    return lambda back, unravel, theta, s, x: jax.jacrev(
        lambda s: ravel(cell.step(back(theta), unravel(s), cell.project(back(theta), x)))[0]
    )(s)


def own_unit(cell, gates, components):
    """Booleans [S, P]: the parameter belongs to the unit. w_i, w_h and b have `gates` blocks of H columns."""
    params, _, _ = problem(cell)
    units = jax.tree.map(lambda leaf: jnp.broadcast_to(jnp.tile(jnp.arange(H), gates), leaf.shape), params.cell)
    parameter_units = flatten_util.ravel_pytree(units)[0]
    return jnp.tile(jnp.arange(H), components)[:, None] == parameter_units[None]


@pytest.mark.extended
def test_snap_1_of_an_lstm_keeps_the_influence_within_a_unit():
    cell = EVERY["lstm"]
    # The output gate's weights do not reach c within one step: they are zero in F, and D maps h to c by W_h only.
    kept = own_unit(cell, 4, 2)
    params, _, _ = problem(cell)
    output = jax.tree.map(lambda leaf: jnp.broadcast_to(jnp.arange(4 * H) >= 3 * H, leaf.shape), params.cell)
    is_c = jnp.repeat(jnp.array([name == "c" for name in cell.initial_state(params.cell)._fields]), H)
    kept &= ~(is_c[:, None] & flatten_util.ravel_pytree(output)[0][None])
    gradient = run(SnAp(1), cell, *problem(cell))[1].cell
    assert_close(gradient, dense(cell, full_jacobian(cell), kept))
    assert np.max(np.abs(gradient.w_h - exact(cell, False)[1].cell.w_h)) > 1e-3


@pytest.mark.extended
@pytest.mark.parametrize("name", ["gru", *(pytest.param(name, marks=pytest.mark.slow) for name in ("lru", "stack"))])
def test_snap_2_of_a_dense_layer_equals_rtrl(name):
    assert_close(run(SnAp(2), EVERY[name], *problem(EVERY[name]), **RAGGED)[:2], exact(EVERY[name], True))


@pytest.mark.extended
def test_snap_1_is_exact_if_units_do_not_interact():
    assert_close(run(SnAp(1), EVERY["min_gru"], *problem(EVERY["min_gru"]))[:2], exact(EVERY["min_gru"], False))


@dataclasses.dataclass(frozen=True)
class Leaky(SplitCell):
    """h_t = (1 - a) h_{t-1} + a tanh(x_t W_i + h_{t-1} W_h), the network for which RFLO is defined."""

    a: float = 0.3

    def init(self, key):
        shapes = {"w_i": (self.input_size, self.hidden_size), "w_h": (self.hidden_size, self.hidden_size)}
        return {name: 0.5 * jax.random.normal(key, shape) for name, shape in shapes.items()}

    def initial_state(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, self.hidden_size))

    def project(self, params, x):
        return x @ params["w_i"]

    def recurrent(self, params, state):
        return state @ params["w_h"]

    def activate(self, params, state, drive, r):
        return (1 - self.a) * state + self.a * jnp.tanh(drive + r)


@pytest.mark.extended
def test_eprop_of_a_leaky_network_equals_rflo():
    # Murray 2019, equations 4 and 5: p_t = (1 - a) p_{t-1} + a tanh'(u_t) h_{t-1}, one trace per weight, with the
    # readout's weights as feedback.
    cell = Leaky(D, H)
    params, xs, targets = problem(cell)
    w_i, w_h, v = (np.asarray(w) for w in (params.cell["w_i"], params.cell["w_h"], params.readout["v"]))
    h, expected = np.zeros((B, H)), {"w_i": 0, "w_h": 0}
    traces = {"w_i": np.zeros((B, D, H)), "w_h": np.zeros((B, H, H))}
    for x, target in zip(np.asarray(xs), np.asarray(targets), strict=True):
        u = x @ w_i + h @ w_h
        slope = 1 - np.tanh(u) ** 2
        for name, source in (("w_i", x), ("w_h", h)):
            traces[name] = (1 - cell.a) * traces[name] + cell.a * source[:, :, None] * slope[:, None, :]
        h = (1 - cell.a) * h + cell.a * np.tanh(u)
        signal = (np.cos(h @ v) * target) @ v.T
        expected = {name: expected[name] + np.sum(signal[:, None, :] * traces[name], axis=0) for name in expected}
    gradient = run(EProp(), cell, params, xs, targets)[1].cell
    assert_close(gradient, expected)
    assert np.max(np.abs(gradient["w_h"] - exact(cell, False)[1].cell["w_h"])) > 0.01


@pytest.mark.extended
def test_eprop_of_an_lstm_leaves_out_the_recurrent_product():
    cell = EVERY["lstm"]

    def inside(back, unravel, theta, s, x):
        params = back(theta)
        r = cell.recurrent(params, unravel(s))
        return jax.jacfwd(lambda s: ravel(cell.activate(params, unravel(s), cell.project(params, x), r))[0])(s)

    assert_close(run(EProp(), cell, *problem(cell))[1].cell, dense(cell, inside, 1.0))


# UORO


@functools.cache
def draws(count):
    """Estimates of the cell's gradient with `count` keys, [count, P], and the exact gradient [P]."""
    cell = LearnedInitialState(LSTM(D, H))
    params, xs, targets = problem(cell)
    xs, targets, resets = xs[:4], targets[:4], RESETS[:4]  # few steps, as the variance grows with their number

    @jax.jit
    def estimate(keys):
        gradient = lambda key: run(UORO(), cell, params, xs, targets, key=key, resets=resets)[1]  # noqa: E731
        return jax.lax.map(lambda k: flatten_util.ravel_pytree(gradient(k).cell)[0], keys, batch_size=64)

    expected = run(BPTT(Scan()), cell, params, xs, targets, resets=resets)[1]
    estimates = estimate(jax.random.split(jax.random.key(1), count))
    return np.asarray(estimates), np.asarray(flatten_util.ravel_pytree(expected.cell)[0])


@pytest.mark.extended
def test_uoro_is_unbiased_and_its_mean_converges_at_one_over_root_n():
    estimates, expected = draws(16384)

    def error(n):
        """Root mean square error of a mean over n keys."""
        means = estimates.reshape(-1, n, len(expected)).mean(1)
        return np.sqrt(np.mean(np.sum((means - expected[None]) ** 2, axis=-1)))

    assert 0.85 < error(4) / error(64) / 4 < 1.15
    # The squared error of the mean over all keys, divided by its expectation, is about 1; it varies, as most of the
    # noise lies in a few directions.
    variance = np.sum(estimates.var(0)) / len(estimates)
    assert np.sum((estimates.mean(0) - expected) ** 2) / variance < 3
    # A single estimate has a relative error of 6.
    assert np.linalg.norm(estimates.mean(0) - expected) < 0.1 * np.linalg.norm(expected)


def test_uoro_has_the_exact_value_and_readout_gradient_and_a_random_cell_gradient():
    cell = EVERY["gru"]
    first, second = (run(UORO(), cell, *problem(cell), key=jax.random.key(k)) for k in (1, 2))
    for value, gradient, _ in (first, second):
        np.testing.assert_allclose(value, exact(cell, False)[0], rtol=1e-12)
        assert_close(gradient.readout, exact(cell, False)[1].readout)
    assert np.max(np.abs(first[1].cell.w_h - second[1].cell.w_h)) > 1e-3


# Noise


@pytest.mark.parametrize(
    "estimator",
    [BPTT(), RTRL(), *(pytest.param(e, marks=pytest.mark.slow) for e in (TBPTT(4), TBPTT(3, T), SnAp(1)))],
    ids=str,
)
def test_the_key_determines_the_noise_of_value_and_gradient(estimator):
    cell = Dropout(VanillaRNN(D, H), 0.5)
    params, xs, targets = problem(cell)
    values = [run(estimator, cell, params, xs, targets, key=jax.random.key(k))[:2] for k in (1, 1, 2)]
    assert_close(values[0], values[1], 0)
    assert values[0][0] != values[2][0]
    # The readout's gradient is exact, so it equals the slope only if value and gradient have the same noise.
    step = 1e-6

    def at(v):
        return run(estimator, cell, params._replace(readout={"v": v}), xs, targets, key=jax.random.key(1))[0]

    v = params.readout["v"]
    slope = (at(v.at[0, 0].add(step)) - at(v.at[0, 0].add(-step))) / (2 * step)
    np.testing.assert_allclose(values[0][1].readout["v"][0, 0], slope, rtol=1e-6)


@pytest.mark.extended
def test_a_window_of_the_whole_sequence_equals_bptt_with_the_same_noise():
    # Steps that are recomputed must have the noise that they had before.
    cell = Dropout(VanillaRNN(D, H), 0.5)
    params, xs, targets = problem(cell)
    actual = run(TBPTT(3, T), cell, params, xs, targets, key=jax.random.key(1))
    _, key = jax.random.split(jax.random.key(1))
    expected: Any = jax.value_and_grad(
        lambda p: loss(p.readout, unroll(cell, p.cell, xs, key=key, engine=Scan())[1], targets)
    )(params)
    assert_close(actual[:2], expected)
