"""Compiled programs that draw weights."""

import jax
import numpy as np
import pytest

import rnn_jax
from rnn_jax import initializers
from tests.known_cells import made

SIZE = 16


def stacked(key):
    return initializers.stack_gates(initializers.Orthogonal(), key, 3, (SIZE, SIZE))


@pytest.mark.parametrize("seeds", [None, 4])
def test_qr_decompositions_are_of_one_matrix(seeds):
    # jaxlib 0.10.2 computes a batch in other threads of the program, and blocks one of them meanwhile.
    keys = jax.random.key(0) if seeds is None else jax.random.split(jax.random.key(0), seeds)
    draw = jax.jit(stacked if seeds is None else jax.vmap(stacked))
    calls = [
        line for line in draw.trace(keys).lower(lowering_platforms=("cpu",)).as_text().splitlines() if "geqrf" in line
    ]
    assert calls
    for call in calls:
        assert f"(tensor<{SIZE}x{SIZE}xf32>)" in call


def test_gates_and_seeds_are_drawn_as_if_alone():
    keys = jax.random.split(jax.random.key(1), 2)
    together = jax.vmap(stacked)(keys)
    for key, weights in zip(keys, together, strict=True):
        np.testing.assert_array_equal(weights, stacked(key))
        for gate, block in zip(jax.random.split(key, 3), np.split(weights, 3, axis=1), strict=True):
            np.testing.assert_array_equal(block, initializers.Orthogonal()(gate, (SIZE, SIZE)))
            np.testing.assert_allclose(block @ block.T, np.eye(SIZE), atol=1e-5)


def test_a_second_cell_is_drawn_without_compiling(caplog):
    cell = rnn_jax.LSTM(3, 4)
    cell.init(jax.random.key(0))
    with jax.log_compiles():
        cell.init(jax.random.key(1))
    assert "Compiling" not in caplog.text


def test_a_gain_scales_the_recurrent_weights_alone():
    for cell, recurrent in ((rnn_jax.GRU(2, 4), {"w_h"}), (rnn_jax.CoRNN(2, 4), {"w_y", "w_z"})):
        params = made(cell)
        scaled = initializers.scale_recurrent(cell, params, 2.0)
        changed = {k for k, v in scaled._asdict().items() if np.any(np.asarray(v) != np.asarray(getattr(params, k)))}
        assert changed == recurrent
        assert all(np.array_equal(getattr(scaled, name), 2 * getattr(params, name)) for name in recurrent)


def test_a_gain_of_a_cell_without_a_recurrent_product_is_refused():
    cell = rnn_jax.MinGRU(2, 4)
    with pytest.raises(TypeError, match="cell must be a SplitCell, which has a recurrent product, got MinGRU"):
        initializers.scale_recurrent(cell, made(cell), 2.0)
