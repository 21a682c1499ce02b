"""Forecasters: formulas of the heads, NumPy oracles of both kinds of forecast, padding, draws; the delay line."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import rnn_jax
from rnn_jax import GRU, LSTM, Bidirectional, Stack, VanillaRNN, engines
from rnn_jax.layers import DelayLine
from rnn_jax.models import Forecaster, Gaussian, Quantiles, forecast_targets

T, B, F, H = 7, 3, 2, 4
LEVELS = (0.1, 0.5, 0.8)


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def made(cell=None, head=Gaussian(), horizon=1, seed=0):  # noqa: B008
    model = Forecaster(cell or VanillaRNN(F, H), head, horizon)
    params = model.init(jax.random.key(seed))
    return model, jax.tree.map(lambda leaf: leaf + 0.3 * draw(*leaf.shape, seed=5), params)


def numpy_outputs(model, params, xs):
    """Outputs [T, B, horizon, F, outputs] of a vanilla network, step by step."""
    w_i, w_h, b = (np.asarray(p, float) for p in params.cell)
    kernel, bias = (np.asarray(params.readout["params"][name], float) for name in ("kernel", "bias"))
    h, rows = np.zeros((xs.shape[1], H)), []
    for x in np.asarray(xs, float):
        h = np.tanh(x @ w_i + h @ w_h + b)
        rows.append((h @ kernel + bias).reshape(xs.shape[1], model.horizon, F, model.head.outputs))
    return np.stack(rows)


def test_gaussian_equals_scipys():
    head, outputs, y = Gaussian(), draw(5, 6, 2), draw(5, 6, seed=1)
    expected = scipy.stats.norm(np.asarray(outputs[..., 0]), np.exp(0.5 * np.asarray(outputs[..., 1])))
    np.testing.assert_allclose(head.loss(outputs, y), -expected.logpdf(np.asarray(y)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(head.quantile(outputs, jnp.array(0.9)), expected.ppf(0.9), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(head.center(outputs), outputs[..., 0])
    samples = np.asarray(head.sample(jnp.broadcast_to(outputs[0, 0], (20_000, 2)), jax.random.key(0)))
    deviation = math.exp(0.5 * outputs[0, 0, 1])
    assert abs(samples.mean() - outputs[0, 0, 0]) < 5 * deviation / math.sqrt(len(samples))
    assert samples.std() == pytest.approx(deviation, rel=0.03)


def test_a_gaussians_variance_has_a_floor():
    head = Gaussian(least=0.1)
    outputs = jnp.array([0.0, -100.0])
    assert head.loss(outputs, jnp.array(0.0)) == pytest.approx(0.5 * math.log(2 * math.pi) + math.log(0.1), rel=1e-5)
    grads = jax.grad(lambda o: head.loss(o, jnp.array(3.0)))(outputs)
    assert np.all(np.isfinite(grads))


def test_quantiles_have_the_pinball_loss():
    head, outputs, y = Quantiles(LEVELS), np.asarray(draw(5, 3)), np.asarray(draw(5, seed=1))
    expected = np.zeros(5)
    for i, each in enumerate(outputs):
        for q, p in zip(each, LEVELS, strict=True):
            expected[i] += (p * (y[i] - q) if y[i] >= q else (1 - p) * (q - y[i])) / 3
    np.testing.assert_allclose(head.loss(jnp.asarray(outputs), jnp.asarray(y)), expected, rtol=1e-5)
    ordered = np.sort(outputs, axis=1)
    np.testing.assert_array_equal(head.center(jnp.asarray(outputs)), ordered[:, 1])
    got = head.quantile(jnp.asarray(outputs), jnp.array(0.3))
    np.testing.assert_allclose(got, (ordered[:, 0] + ordered[:, 1]) / 2, rtol=1e-5)
    drawn = np.asarray(head.sample(jnp.broadcast_to(jnp.asarray(outputs[0]), (4000, 3)), jax.random.key(0)))
    assert (drawn.min(), drawn.max()) == pytest.approx((ordered[0, 0], ordered[0, -1]), abs=1e-6)
    assert np.mean(drawn <= ordered[0, 1]) == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize("levels", [(0.5, 0.1), (0.1, 0.9), (0.5, 1.0), (0.5, 0.5), (0.0, 0.5)])
def test_invalid_levels_are_rejected(levels):
    with pytest.raises(ValueError, match="Quantiles: "):
        Quantiles(levels)


def test_invalid_forecasters_are_rejected():
    with pytest.raises(TypeError, match="head must be a Gaussian or Quantiles, got 'gaussian'"):
        Forecaster(GRU(1, 2), "gaussian")
    with pytest.raises(ValueError, match="horizon must be a positive integer, got 0"):
        Forecaster(GRU(1, 2), Gaussian(), 0)
    with pytest.raises(TypeError, match="levels must be a tuple"):
        Quantiles([0.5])


@pytest.mark.parametrize(("head", "horizon"), [(Gaussian(), 1), (Quantiles(LEVELS), 3)])
def test_outputs_and_loss_equal_numpys(head, horizon):
    model, params = made(head=head, horizon=horizon)
    series = draw(T + horizon, B, F)
    targets = forecast_targets(series, horizon)
    for t, h in ((0, 1), (3, horizon), (T - 1, 1)):
        np.testing.assert_array_equal(targets[t, :, h - 1], series[t + h])
    outputs = numpy_outputs(model, params, series[:T])
    np.testing.assert_allclose(model.apply(params, series[:T])[1], outputs, rtol=1e-4, atol=1e-5)
    weights = np.random.default_rng(1).integers(0, 3, (T, B, horizon)).astype(np.float32)
    each = np.asarray(head.loss(jnp.asarray(outputs), targets)).mean(axis=-1)
    _, got = model.loss(params, series[:T], targets, weights=weights)
    assert got == pytest.approx(np.sum(each * weights) / weights.sum(), rel=1e-4)
    assert model.loss(params, series[:T], targets)[1] == pytest.approx(each.mean(), rel=1e-4)


def test_feeding_back_the_mean_equals_numpys():
    model, params = made()
    history = draw(T, B, F)
    xs = np.asarray(history, float)
    for _ in range(4):
        xs = np.concatenate([xs, numpy_outputs(model, params, xs)[-1:, :, 0, :, 0]])
    forecast = model.forecast(params, history, 4, None, intervals=(0.8,))
    np.testing.assert_allclose(forecast.mean, xs[T:], rtol=1e-4, atol=1e-5)
    outputs = numpy_outputs(model, params, xs)[-2, :, 0]
    upper = outputs[..., 0] + np.exp(0.5 * outputs[..., 1]) * scipy.stats.norm.ppf(0.9)
    np.testing.assert_allclose(forecast.upper[0, -1], upper, rtol=1e-4, atol=1e-5)
    assert forecast.lower.shape == (1, 4, B, F)
    assert np.all(forecast.lower[0] < forecast.mean)


def test_direct_forecast_is_read_at_the_last_step():
    model, params = made(head=Quantiles((0.1, 0.5, 0.9)), horizon=3)
    history = draw(T, B, F)
    ordered = np.sort(numpy_outputs(model, params, history)[-1], axis=-1)  # [B, 3, F, 3]
    forecast = model.forecast(params, history, 2, None, intervals=(0.8,))
    for got, i in ((forecast.lower[0], 0), (forecast.mean, 1), (forecast.upper[0], 2)):
        np.testing.assert_allclose(got, np.moveaxis(ordered[:, :2, :, i], 1, 0), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="horizon must be at most the model's 3, got 4"):
        model.forecast(params, history, 4, None)
    with pytest.raises(ValueError, match="a model of 3 steps at once draws no paths"):
        model.sample(params, history, 2, jax.random.key(0), 5)


def test_paths_are_fed_back():
    """The second step of a path has the distribution predicted after reading its first."""
    model, params = made()
    history = draw(T, 1, F)
    paths = np.asarray(model.sample(params, history, 2, jax.random.key(1), 4000))
    assert paths.shape == (2, 4000, 1, F)
    first = numpy_outputs(model, params, history)[-1, 0, 0]
    np.testing.assert_allclose(paths[0, :, 0].mean(axis=0), first[:, 0], atol=0.1)
    xs = np.concatenate([np.repeat(np.asarray(history), 4000, axis=1), paths[0, :, 0][None]])
    second = numpy_outputs(model, params, xs)[-1, :, 0]
    standard = (paths[1, :, 0] - second[..., 0]) / np.exp(0.5 * second[..., 1])
    assert np.all(np.abs(standard.mean(axis=0)) < 5 / math.sqrt(4000))
    np.testing.assert_allclose(standard.std(axis=0), 1, atol=0.05)
    assert np.all(np.abs(np.corrcoef(standard.T)[0, 1]) < 5 / math.sqrt(4000))


def test_intervals_are_quantiles_of_the_paths():
    model, params = made()
    history, key = draw(T, B, F), jax.random.key(2)
    paths = np.asarray(model.sample(params, history, 3, key, 50))
    forecast = model.forecast(params, history, 3, key, intervals=(0.5, 0.9), paths=50)
    np.testing.assert_allclose(forecast.mean, paths.mean(axis=1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(forecast.lower[1], np.quantile(paths, 0.05, axis=1), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(forecast.upper[0], np.quantile(paths, 0.75, axis=1), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "cell",
    [LSTM(F, H), pytest.param(DelayLine(Stack((GRU(F, H), LSTM(H, H))), 3), marks=pytest.mark.extended)],
    ids=str,
)
def test_padding_and_other_sequences_have_no_effect(cell):
    model, params = made(cell)
    series, lengths = draw(T + 1, B, F), np.array([T, 4, 0])
    targets = forecast_targets(series, 1)

    @jax.jit
    def loss_and_grads(params, xs, targets):
        return jax.value_and_grad(lambda p: model.loss(p, xs, targets, lengths=lengths)[1])(params)

    beyond = np.arange(T)[:, None] >= lengths
    nan = jnp.where(beyond[..., None], jnp.nan, series[:T])
    nan_targets = jnp.where(beyond[..., None, None], jnp.nan, targets)
    value, grads = loss_and_grads(params, series[:T], targets)
    again, grads_again = loss_and_grads(params, nan, nan_targets)
    assert value == again
    for one, other in zip(jax.tree.leaves(grads), jax.tree.leaves(grads_again), strict=True):
        assert np.all(np.isfinite(one))
        np.testing.assert_array_equal(one, other)
    # The loss of the batch is the mean of those of single sequences, weighted by their lengths.
    alone = [
        float(model.loss(params, series[:n, i : i + 1], targets[:n, i : i + 1])[1]) for i, n in enumerate(lengths[:2])
    ]
    assert value == pytest.approx((T * alone[0] + 4 * alone[1]) / (T + 4), rel=1e-5)
    other = series.at[:, 1:].set(7.0)
    first = [model.apply(params, xs[:T])[1][:, 0] for xs in (series, other)]
    np.testing.assert_array_equal(*first)
    mean = [model.forecast(params, xs, 3, None).mean[:, 0] for xs in (series, other)]
    np.testing.assert_allclose(*mean, rtol=1e-6)


def test_wrong_shapes_are_rejected_by_name():
    model, params = made()
    series = draw(T + 1, B, F)
    with pytest.raises(
        ValueError, match=r"targets must be \[T, \*batch, H, F\] = \[7, 3, 1, 2\], got shape \[7, 3, 2\]"
    ):
        model.loss(params, series[:T], series[1:])
    with pytest.raises(ValueError, match=r"weights must be \[T, \*batch, H\] = \[7, 3, 1\], got shape \[7, 3\]"):
        model.loss(params, series[:T], forecast_targets(series, 1), weights=jnp.ones((T, B)))
    with pytest.raises(ValueError, match="horizon must be a positive integer, got 0"):
        model.forecast(params, series, 0, None)
    with pytest.raises(ValueError, match=r"an interval must be in \(0, 1\), got 1.5"):
        model.forecast(params, series, 2, None, intervals=(1.5,))
    with pytest.raises(ValueError, match="history must hold at least one step"):
        model.forecast(params, series[:0], 2, None)
    with pytest.raises(ValueError, match="more than horizon = 9 steps, got 8"):
        forecast_targets(series, 9)


def test_cells_that_cannot_be_stepped_are_rejected():
    model = Forecaster(Bidirectional(GRU(F, H)), Gaussian())
    params = model.init(jax.random.key(0))
    with pytest.raises(Exception, match="step"):
        model.forecast(params, draw(T, B, F), 2, None)


def test_equal_models_share_a_compiled_program():
    model, params = made(VanillaRNN(F, 5))
    history = draw(T, B, F)
    from rnn_jax.models import forecaster

    model.sample(params, history, 2, jax.random.key(0), 4)
    before = forecaster._sample._cache_size()
    twin = Forecaster(VanillaRNN(F, 5), Gaussian())
    twin.sample(params, history, 2, jax.random.key(1), 4)
    assert forecaster._sample._cache_size() == before


@pytest.mark.parametrize(
    "inner",
    [GRU(F, H), *(pytest.param(c, marks=pytest.mark.extended) for c in (LSTM(F, H), rnn_jax.LRU(F, H)))],
    ids=str,
)
def test_a_delay_line_keeps_the_last_inputs(inner):
    cell, xs = DelayLine(inner, 3), draw(T, B, F)
    params = cell.init(jax.random.key(0))
    final, ys = rnn_jax.unroll(cell, params, xs)
    _, hs = rnn_jax.unroll(inner, params, xs)
    padded = np.concatenate([np.zeros((2, B, F)), xs])
    expected = np.concatenate([hs, padded[2:], padded[1:-1], padded[:-2]], axis=-1)
    np.testing.assert_allclose(ys, expected, rtol=1e-6, atol=1e-7)  # two programs, rounded differently
    assert ys.shape[-1] == cell.output_size
    halves = rnn_jax.unroll(cell, params, xs[:4])
    again = rnn_jax.unroll(cell, params, xs[4:], halves[0])
    np.testing.assert_allclose(np.concatenate([halves[1], again[1]]), ys, rtol=1e-5, atol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), again[0], final)
    _, plain = rnn_jax.unroll(cell, params, xs, engine=engines.Scan())
    np.testing.assert_allclose(plain, ys, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="taps must be a positive integer, got 0"):
        DelayLine(inner, 0)
