"""Layers between recurrences: modules of flax for each step, short convolutions, gates, and the papers' blocks."""

import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax
from rnn_jax import GRU, LRU, Gated, PerStep, Residual, ShortConvolution, Stack, layers, report
from rnn_jax.testing import check_layer


class Counting(nn.Module):
    """A module with a state of its own, as a batch normalisation has."""

    @nn.compact
    def __call__(self, x):
        self.variable("count", "calls", lambda: jnp.zeros(()))
        return nn.Dense(2)(x)


T, B, D, H = 7, 3, 4, 6
XS = np.random.default_rng(0).normal(size=(T, B, D)).astype(np.float32)
unroll = jax.jit(
    rnn_jax.unroll, static_argnames=("cell", "engine"), compiler_options={"xla_backend_optimization_level": 0}
)


def close(got, expected):
    np.testing.assert_allclose(got, expected, rtol=2e-5, atol=1e-6)


def test_a_module_of_flax_sees_each_step_alone():
    layer, module = PerStep(D, nn.Dense, H, use_bias=False), nn.Dense(H, use_bias=False)
    params = layer.init(jax.random.key(0))
    assert (layer.input_size, layer.output_size) == (D, H)
    final, ys = unroll(layer, params, XS)
    assert final == ()
    close(ys, module.apply(params, XS))
    assert layer == PerStep(D, nn.Dense, H, use_bias=False) != PerStep(D, nn.Dense, H)
    assert hash(layer) == hash(PerStep(D, nn.Dense, H, use_bias=False))
    assert repr(layer) == "PerStep(4, Dense, 6, use_bias=False)"
    assert json.dumps(report.plain(layer)) != json.dumps(report.plain(PerStep(D, nn.Dense, H)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PerStep(D, Counting), "Counting must have parameters alone .*'count', 'params'"),
        (lambda: PerStep(D, nn.Dropout, 0.5), "Dropout cannot be used on 4 features"),
        (lambda: PerStep(D, nn.Dense), r"Dense cannot be used on 4 features: .*missing .* 'features'"),
        (lambda: PerStep(D, nn.Dense, [3]), "PerStep: arguments must be hashable"),
        (lambda: PerStep(D, nn.Dense(H)), "PerStep: make must be .* got an object of class Dense; write PerStep"),
        (lambda: PerStep(D, 3), "PerStep: make must be .* got an object of class int"),
        (lambda: PerStep(D, nn.SelfAttention, 2), "SelfAttention cannot be used on 4 features"),
        (lambda: PerStep(D, nn.Conv, D, (3,)), "Conv cannot be used on 4 features"),
        (lambda: PerStep(D, GRU, D, H), "GRU cannot be used on 4 features"),
    ],
)
def test_what_is_no_module_of_single_steps_is_refused(make, message):
    with pytest.raises(TypeError, match=message):
        make()


def test_blocks_refuse_sizes_by_name():
    with pytest.raises(ValueError, match="griffin_block: units must be a positive integer, got 0"):
        layers.griffin_block(D, units=0)
    with pytest.raises(ValueError, match="mlp_block: expansion must be a positive integer, got 0"):
        layers.mlp_block(D, expansion=0)


def test_a_short_convolution_is_numpys():
    layer = ShortConvolution(D, 3)
    params = layer.init(jax.random.key(0))._replace(b=jnp.arange(1.0, 5.0))
    assert np.max(np.abs(params.w)) <= 3**-0.5
    final, ys = unroll(layer, params, XS)
    for row in range(B):
        for f in range(D):
            # np.convolve turns the kernel round: its last entry meets the oldest input.
            expected = np.convolve(XS[:, row, f], params.w[::-1, f])[:T] + params.b[f]
            close(ys[:, row, f], expected)
    close(final, np.swapaxes(XS[-3:], 0, 1))


def test_a_gate_multiplies():
    layer = Gated(GRU(D, H), jnp.tanh)
    params = layer.init(jax.random.key(0))._replace(b=jnp.arange(1.0, 7.0))
    _, inner = unroll(layer.cell, params.cell, XS)
    close(unroll(layer, params, XS)[1], np.tanh(XS @ np.asarray(params.w) + np.asarray(params.b)) * inner)


def rms(x, params):
    return x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-6) * params["params"]["scale"]


def dense(x, params):
    return np.asarray(x) @ params["kernel"] + params["bias"]


def mlp(x, params):
    norm, network = params
    n, p = rms(x, norm), network["params"]
    return x + dense(np.asarray(nn.gelu(dense(n, p["Dense_0"]))) * dense(n, p["Dense_1"]), p["Dense_2"])


def moved(layer):
    """Returns parameters, arrays of NumPy, off their initial values, as biases of zero would hide mistakes."""
    rng = np.random.default_rng(1)
    params = layer.init(jax.random.key(0))
    return jax.tree.map(lambda leaf: np.asarray(leaf + rng.normal(0, 0.2, leaf.shape), np.float32), params)


def test_the_block_of_s5_is_its_equation():
    block = layers.glu_block(D, LRU)
    norm, cell, glu = params = moved(block)
    x = np.asarray(XS)
    n = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    y = nn.gelu(unroll(LRU(D, D), cell, n * norm["params"]["scale"] + norm["params"]["bias"])[1])
    close(unroll(block, params, XS)[1], x + y * jax.nn.sigmoid(dense(y, glu["params"]["Dense_0"])))


def test_the_block_of_griffin_is_its_equation():
    block = layers.griffin_block(D, GRU)
    (norm, gated, out), after = params = moved(block)
    n = rms(np.asarray(XS), norm)
    assert gated.w.shape == (D, 5)  # 4/3 of the width, rounded
    inside, convolution, cell = gated.cell
    branch = unroll(ShortConvolution(5), convolution, dense(n, inside["params"]))[1]
    branch = unroll(GRU(5, 5), cell, branch)[1]
    x = XS + dense(nn.gelu(n @ gated.w + gated.b) * branch, out["params"])
    close(unroll(block, params, XS)[1], mlp(x, after))


def test_the_block_of_min_gru_is_its_equation():
    block = layers.convolution_block(D, GRU)
    (norm, convolution, cell), after = params = moved(block)
    branch = unroll(ShortConvolution(D), convolution, rms(np.asarray(XS), norm))[1]
    close(unroll(block, params, XS)[1], mlp(XS + np.asarray(unroll(GRU(D, D), cell, branch)[1]), after))


DEEP = Stack([PerStep(D, nn.Dense, H), *[layers.griffin_block(H)] * 2, layers.glu_block(H), PerStep(H, nn.Dense, 2)])


@pytest.mark.parametrize(
    "layer",
    [
        pytest.param(ShortConvolution(D), id="convolution"),
        pytest.param(Residual(PerStep(D, nn.LayerNorm)), id="per step", marks=pytest.mark.extended),
        pytest.param(Gated(GRU(D, H)), id="gated", marks=pytest.mark.extended),
        pytest.param(DEEP, id="deep", marks=pytest.mark.extended),
    ],
)
def test_a_layer_fulfils_the_contract(layer):
    check_layer(layer)


@pytest.mark.extended
def test_a_deep_stack_of_linear_recurrences_is_solved_in_parallel():
    params = jax.jit(DEEP.init)(jax.random.key(0))
    expected = unroll(DEEP, params, XS)[1]
    close(unroll(DEEP, params, XS, engine=rnn_jax.Associative())[1], expected)
    assert expected.shape == (T, B, 2)
