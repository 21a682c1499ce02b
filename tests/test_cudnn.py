"""The engine on cuDNN without a GPU: `jax.experimental.rnn` has a reference, which takes the weights that cuDNN takes.

That cuDNN itself gives these results is for `test_gpu.py`, on a GPU.
"""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import rnn
from jaxlib import gpu_rnn

import rnn_jax
from rnn_jax import LSTM, CuDNN, Scan, masking, targets, unroll
from rnn_jax.engines import cudnn
from rnn_jax.testing import cells as contract
from rnn_jax.testing import engines

CELL = LSTM(3, 4)
T, B = contract.STEPS, contract.ROWS


@pytest.fixture
def reference(monkeypatch):
    """Puts JAX's reference in the place of cuDNN; returns the list of precisions that it was called with."""
    precisions = []

    def run(x, h, c, weights, lengths, *sizes):
        return rnn.lstm_ref(x, h, c, *rnn.unpack_lstm_weights(weights, *sizes), lengths, *sizes[:3], 0.0, False)

    def lstm_fwd(x, h, c, weights, lengths, *rest):
        (*sizes, dropout, bidirectional, precision) = rest
        assert (*sizes[2:], dropout, bidirectional) == (1, 0.0, False)
        precisions.append(precision)
        results = run(x, h, c, weights, lengths, *sizes, bidirectional)
        return results, (x, h, c, weights, lengths, results[0], jnp.zeros(5))

    def lstm_bwd(input_size, hidden_size, layers, dropout, bidirectional, precision, residuals, gradients):
        precisions.append(precision)
        *arrays, lengths, _, _ = residuals
        _, pull = jax.vjp(lambda *a: run(*a, lengths, input_size, hidden_size, layers, bidirectional), *arrays)
        return (*pull(gradients), jnp.zeros_like(lengths))

    monkeypatch.setattr(rnn, "lstm_fwd", lstm_fwd)
    monkeypatch.setattr(rnn, "lstm_bwd", lstm_bwd)
    monkeypatch.setattr(cudnn, "_require_gpu", lambda: None)
    return precisions


@pytest.mark.extended
@pytest.mark.usefixtures("reference")
@pytest.mark.parametrize(
    "check",
    [*(each for each in contract.UNROLL if each is not contract.resets), *contract.STEPPING, engines.states],
    ids=lambda check: check.__name__,
)
def test_contract(check):
    check(CELL, CuDNN())


def loss(engine, params, xs, state, lengths):
    """Returns a sum over the final state and all states, h and c, in which each entry has a different weight."""
    if lengths is None:
        results = engine(CELL, params, state, xs)
    else:
        flagged = masking.Flagged(xs, masking.before_end(jnp.asarray(lengths), T), None)
        results = engine(masking.Masked(CELL), params, state, flagged)
    leaves = jax.tree.leaves(results)
    return sum(jnp.sum(jnp.sin(jnp.arange(leaf.size)).reshape(leaf.shape) * leaf) for leaf in leaves)


@pytest.mark.usefixtures("reference")
@pytest.mark.parametrize(
    ("batch", "lengths"),
    [
        ((B,), [0, 1, 6, 3, 5, 2]),
        *(pytest.param(*case, marks=pytest.mark.extended) for case in [((), None), ((), 4), ((B,), None)]),
        pytest.param((2, 3), [[0, 1, 6], [3, 5, 2]], marks=pytest.mark.extended),
    ],
)
def test_all_states_and_gradients_equal_scan(batch, lengths):
    arguments = contract.moved_params(CELL), contract.inputs(CELL, T, *batch), contract.moved_state(CELL, *batch)
    run = contract.compiled(jax.value_and_grad(loss, argnums=(1, 2, 3)))
    got, expected = (run(engine, *arguments, lengths) for engine in (CuDNN(), Scan()))
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


@pytest.mark.extended
@pytest.mark.usefixtures("reference")
def test_training_of_several_seeds_equals_that_by_scan():
    """Seeds are vmapped on a GPU; here the program is that of a CPU, so the step is vmapped by hand."""
    params = [contract.moved_params(CELL, seed) for seed in range(2)]
    both = jax.tree.map(lambda *leaves: jnp.stack(leaves), *params)
    state, xs = contract.moved_state(CELL, B), contract.inputs(CELL, T, B)
    lengths = jnp.arange(B) + 1

    def gradient(engine):
        return jax.jit(jax.vmap(lambda p: jax.grad(lambda p: loss(engine, p, xs, state, lengths))(p)))(both)

    for a, b in zip(gradient(CuDNN()), gradient(Scan()), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (None, "HIGH"),
        ("highest", "HIGHEST"),
        pytest.param("default", "HIGH", marks=pytest.mark.extended),
        pytest.param("tensorfloat32", "HIGH", marks=pytest.mark.extended),
        pytest.param("float32", "HIGHEST", marks=pytest.mark.extended),
    ],
)
def test_products_have_the_precision_of_jax(reference, setting, expected):
    params, xs = contract.moved_params(CELL), contract.inputs(CELL, T, B)
    with jax.default_matmul_precision(setting):
        jax.eval_shape(jax.grad(lambda p: jnp.sum(unroll(CELL, p, xs, engine=CuDNN())[1])), params)
    assert [precision.name for precision in reference] == [expected] * 2


# What is refused, each by a sentence.


def solve(cell, dtype="float32", **options):
    params = jax.tree.map(lambda p: p.astype(dtype), contract.moved_params(cell))
    return unroll(cell, params, contract.inputs(cell, T, B).astype(dtype), engine=CuDNN(), key=None, **options)


@pytest.mark.parametrize(
    "cell",
    [rnn_jax.GRU(3, 4), rnn_jax.PeepholeLSTM(3, 4), rnn_jax.MixedPrecision(CELL), rnn_jax.LearnedInitialState(CELL)],
    ids=lambda cell: type(cell).__name__,
)
@pytest.mark.parametrize("lengths", [None, np.arange(B)])
def test_another_cell_is_refused(cell, lengths):
    with pytest.raises(TypeError, match=rf"^CuDNN: cell must be an LSTM, got {type(cell).__name__}; use Hoisted$"):
        solve(cell, lengths=lengths)


def test_resets_and_other_dtypes_are_refused():
    with pytest.raises(TypeError, match=r"^CuDNN: sequences must have no resets, got some; use Hoisted$"):
        solve(CELL, resets=np.zeros((T, B), bool))
    with pytest.raises(TypeError, match=r"^CuDNN: parameters and inputs must be float32, got bfloat16; use Hoisted$"):
        solve(CELL, "bfloat16")


@pytest.mark.usefixtures("reference")
def test_forward_mode_is_refused():
    with pytest.raises(TypeError, match=r"^CuDNN: differentiation must be in reverse mode .*; use engine=Scan\(\)"):
        jax.jvp(lambda xs: unroll(CELL, contract.moved_params(CELL), xs, engine=CuDNN())[1], *[(jnp.ones((T, 3)),)] * 2)


@pytest.mark.skipif(jax.default_backend() == "gpu", reason="there is a GPU")
def test_a_machine_without_a_gpu_is_refused():
    message = "^CuDNN: this machine must have an NVIDIA GPU, also to compile, got cpu; use Hoisted$"
    with pytest.raises(RuntimeError, match=message):
        solve(CELL)


@pytest.mark.compiled
@pytest.mark.parametrize("lengths", [None, jax.ShapeDtypeStruct((32,), jnp.int32)], ids=["whole", "lengths"])
def test_compiles_for_an_h200_if_the_sizes_of_the_buffers_are_given(lengths, monkeypatch):
    """Both passes are one call of cuDNN each, and no product recomputes the cell states that nobody reads."""
    try:
        targets.find("h200")
    except ImportError as error:
        pytest.skip(str(error))
    monkeypatch.setattr(cudnn, "_require_gpu", lambda: None)
    monkeypatch.setattr(gpu_rnn, "compute_rnn_workspace_reserve_space_sizes", lambda *sizes: (2**20, 2**20))
    cell, xs = LSTM(16, 128), jax.ShapeDtypeStruct((100, 32, 16), jnp.float32)
    params = jax.eval_shape(cell.init, jax.random.key(0))

    def loss(params, xs, lengths):
        return jnp.sum(unroll(cell, params, xs, lengths=lengths, engine=CuDNN())[1] ** 2)

    text = targets.compile_for(jax.grad(loss), params, xs, lengths, target="h200").as_text()
    assert sorted(re.findall(r'custom_call_target="([^"]+)"', text)) == ["cudnn_rnn_bwd_ffi", "cudnn_rnn_ffi"]
    assert not re.search(r" (while|dot)\(", text)
