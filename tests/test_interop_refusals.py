"""Conversions refuse wrong input by name. These tests need only the names of PyTorch and Keras."""

import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from rnn_jax import GRU, LSTM, GRUResetBefore, LinearRNN, VanillaRNN
from rnn_jax.cells.projected_lstm import ProjectedLSTM
from rnn_jax.interop import (
    from_flax_linen,
    from_flax_nnx,
    from_keras,
    from_pytorch,
    to_flax_linen,
    to_flax_nnx,
    to_keras,
    to_pytorch,
)
from rnn_jax.layers import Bidirectional, Residual, Stack, Zoneout


def make_params(layer):
    """Returns random parameters without zeros."""
    rng = np.random.default_rng(0)
    like = jax.eval_shape(layer.init, jax.random.key(0))
    return jax.tree.map(lambda leaf: jnp.asarray(rng.uniform(1, 2, leaf.shape), leaf.dtype), like)


def torch_names(layer):
    return dict(to_pytorch(layer, make_params(layer)))


def without(mapping, *names):
    return {name: value for name, value in mapping.items() if name not in names}


def test_one_message_lists_all_problems():
    layer = Stack([LSTM(3, 5), LSTM(5, 5)])
    state_dict = without(torch_names(layer), "weight_hh_l1", "bias_ih_l0")
    state_dict |= {"weight_ih_l0": np.ones((20, 4), np.float32), "weight_ih_l2": np.ones(3), "weight_hr_l0": np.ones(3)}
    message = (
        "from_pytorch: Stack(3, 5) expects bias_ih_l0 [20], which is missing; expects weight_hh_l1 [20, 5], which is "
        "missing; expects weight_ih_l0 [20, 3], got [20, 4]; does not expect weight_ih_l2, weight_hr_l0"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        from_pytorch(layer, state_dict)


@pytest.mark.parametrize(
    ("layer", "other", "message"),
    [
        (
            LSTM(3, 4),
            Stack([LSTM(3, 4), LSTM(4, 4)]),
            "does not expect weight_ih_l1, weight_hh_l1, bias_ih_l1, bias_hh_l1$",
        ),
        (Stack([LSTM(3, 4), LSTM(4, 4)]), LSTM(3, 4), r"expects weight_ih_l1 \[16, 4\], which is missing"),
        (LSTM(3, 4), Bidirectional(LSTM(3, 4)), "does not expect weight_ih_l0_reverse"),
        (Bidirectional(LSTM(3, 4)), LSTM(3, 4), r"expects weight_ih_l0_reverse \[16, 3\], which is missing"),
        (LSTM(3, 4), ProjectedLSTM(3, 4, proj_size=2), r"weight_hh_l0 \[16, 4\], got \[16, 2\]; .* weight_hr_l0"),
        (ProjectedLSTM(3, 4, proj_size=2), LSTM(3, 4), r"expects weight_hr_l0 \[2, 4\], which is missing"),
        (GRU(3, 4), LSTM(3, 4), r"expects weight_ih_l0 \[12, 3\], got \[16, 3\]"),
        (LSTM(4, 3), LSTM(3, 4), r"expects weight_ih_l0 \[12, 4\], got \[16, 3\]"),
    ],
)
def test_parameters_of_another_pytorch_module_are_refused(layer, other, message):
    with pytest.raises(ValueError, match=message):
        from_pytorch(layer, torch_names(other))


def test_half_of_the_biases_are_refused():
    layer = Bidirectional(GRU(3, 4))
    with pytest.raises(ValueError, match=r"expects bias_hh_l0_reverse \[12\], which is missing$"):
        from_pytorch(layer, without(torch_names(layer), "bias_hh_l0_reverse"))


def test_the_prefix_is_in_the_message():
    with pytest.raises(
        ValueError, match=r"expects a\.b\.weight_ih_l0 \[16, 3\], which is missing; .* a\.b\.bias_hh_l0x$"
    ):
        from_pytorch(LSTM(3, 4), {"a.b.bias_hh_l0x": np.ones(3), "weight_ih_l0": np.ones((16, 3))}, "a.b.")


def test_a_message_lists_at_most_ten_unexpected_names():
    with pytest.raises(ValueError, match=r"w0, w1, .* w9 and 90 more$"):
        from_pytorch(LSTM(3, 4), {f"w{n}": np.ones(1) for n in range(100)})


class MyLSTM(LSTM):
    """A subclass, which may compute something else."""


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (MyLSTM(3, 4), r"MyLSTM\(3, 4\) has no counterpart there; .* VanillaRNN \(nn.RNN\), LSTM \(nn.LSTM\)"),
        (GRUResetBefore(3, 4), r"GRUResetBefore\(3, 4\) has no counterpart"),
        (LinearRNN(3, 4), r"LinearRNN\(3, 4\) has no counterpart"),
        (Residual(LSTM(4, 4)), r"Residual\(4, 4\) has no counterpart"),
        (Zoneout(LSTM(4, 4), 0.1), r"Zoneout\(4, 4\) has no counterpart"),
        (Stack([Stack([LSTM(3, 4)])]), r"Stack\(3, 4\) has no counterpart"),
        (Bidirectional(Stack([LSTM(3, 4)])), r"Stack\(3, 4\) has no counterpart"),
        (VanillaRNN(3, 4, jax.nn.sigmoid), "must be jnp.tanh or jax.nn.relu"),
        (ProjectedLSTM(3, 4, proj_size=4), "proj_size below its hidden_size, 4, got 4"),
        (Bidirectional(LSTM(3, 4), merge="sum"), "merge='sum' has no counterpart"),
        (
            Stack([LSTM(3, 4), LSTM(4, 5)]),
            r"alike, these are not: layer 0 nn.LSTM\(hidden_size=4\); layer 1 nn.LSTM\(hidden_size=5\)",
        ),
        (Stack([LSTM(3, 4), GRU(4, 4)]), r"layer 0 nn.LSTM\(hidden_size=4\); layer 1 nn.GRU\(hidden_size=4\)"),
        (Stack([VanillaRNN(3, 4), VanillaRNN(4, 4, jax.nn.relu)]), "nonlinearity='tanh'.*nonlinearity='relu'"),
        (Stack([LSTM(3, 4), ProjectedLSTM(4, 4, proj_size=2)]), r"layer 1 nn.LSTM\(hidden_size=4, proj_size=2\)"),
        (Stack([LSTM(3, 4), Bidirectional(LSTM(4, 4))]), r"layer 1 nn.LSTM\(hidden_size=4\) and nn.LSTM"),
        (Bidirectional(LSTM(3, 4), GRU(3, 4)), r"layer 0 nn.LSTM\(hidden_size=4\) and nn.GRU\(hidden_size=4\)"),
    ],
)
def test_layers_without_a_pytorch_counterpart_are_refused(layer, message):
    with pytest.raises(ValueError, match=message):
        from_pytorch(layer, {})
    with pytest.raises(ValueError, match=message):
        to_pytorch(layer, make_params(layer))


@pytest.mark.parametrize(
    ("load", "save", "cell", "known"),
    [
        (from_keras, to_keras, MyLSTM(3, 4), r"GRUResetBefore \(GRU\(reset_after=False\)\)"),
        (from_flax_linen, to_flax_linen, GRUResetBefore(3, 4), r"GRU \(nn.GRUCell\)"),
        (from_flax_nnx, to_flax_nnx, GRUResetBefore(3, 4), r"LSTM \(nnx.OptimizedLSTMCell\)"),
        (from_keras, to_keras, Stack([LSTM(3, 4)]), r"LSTM \(LSTM\)"),
    ],
)
def test_cells_without_a_counterpart_elsewhere_are_refused(load, save, cell, known):
    message = rf"{type(cell).__name__}\(3, 4\) has no counterpart there; .*{known}"
    with pytest.raises(ValueError, match=f"{load.__name__}: {message}"):
        load(cell, {})
    with pytest.raises(ValueError, match=f"{save.__name__}: {message}"):
        save(cell, make_params(cell))


@pytest.mark.parametrize(
    ("load", "save", "name", "shape"),
    [
        (from_keras, to_keras, "recurrent_kernel", [4, 16]),
        (from_flax_linen, to_flax_linen, "hf.kernel", [4, 4]),
        (from_flax_nnx, to_flax_nnx, "dense_h.kernel", [4, 16]),
    ],
)
def test_wrong_names_and_shapes_are_refused(load, save, name, shape):
    cell = LSTM(3, 4)
    flat = traverse_util.flatten_dict(save(cell, make_params(cell)), sep=".")
    chex.assert_trees_all_equal(load(cell, flat), make_params(cell))  # flat names are accepted like nested ones
    expected = re.escape(f"expects {name} {shape}")
    with pytest.raises(ValueError, match=f"{expected}, which is missing"):
        load(cell, without(flat, name))
    with pytest.raises(ValueError, match=rf"{expected}, got \[2\]"):
        load(cell, flat | {name: np.ones(2, np.float32)})
    with pytest.raises(ValueError, match="does not expect extra"):
        load(cell, flat | {"extra": np.ones(2)})


def test_weights_of_keras_gru_with_the_other_reset_are_refused():
    weights = to_keras(GRU(3, 4), make_params(GRU(3, 4)))
    with pytest.raises(ValueError, match=r"expects bias \[12\], got \[2, 12\]"):
        from_keras(GRUResetBefore(3, 4), weights)


def test_a_list_of_keras_weights_is_refused():
    with pytest.raises(TypeError, match=r"got a list: pass \{w.name: w for w in layer.weights\}"):
        from_keras(LSTM(3, 4), [np.ones(3)])


@pytest.mark.parametrize("load", [from_pytorch, from_flax_linen, from_flax_nnx, from_keras])
def test_anything_but_a_mapping_is_refused(load):
    with pytest.raises(TypeError, match=f"{load.__name__}.* expects a mapping of names to arrays, got tuple"):
        load(LSTM(3, 4), (np.ones(3),))


def test_nnx_gru_refuses_an_inner_bias():
    params = make_params(GRU(3, 4))
    with pytest.raises(ValueError, match="b_hn is not zero"):
        to_flax_nnx(GRU(3, 4), params)


@pytest.mark.parametrize("save", [to_pytorch, to_keras, to_flax_linen, to_flax_nnx])
def test_parameters_of_another_cell_are_refused(save):
    with pytest.raises(ValueError, match=rf"{save.__name__}: LSTM\(3, 4\) expects params.w_i \[3, 16\], got \[4, 12\]"):
        save(LSTM(3, 4), make_params(LSTM(4, 3)))
    with pytest.raises(ValueError, match=rf"{save.__name__}: LSTM\(3, 4\) expects params .*LSTMParams.*GRUParams"):
        save(LSTM(3, 4), make_params(GRU(3, 4)))


@pytest.mark.parametrize("value", [np.ones((16, 3), np.int32), np.ones((16, 3), np.complex64)])
def test_arrays_that_are_not_floating_point_are_refused(value):
    state_dict = torch_names(LSTM(3, 4)) | {"weight_ih_l0": value}
    with pytest.raises(ValueError, match=f"expects weight_ih_l0 in floating point, got {value.dtype}"):
        from_pytorch(LSTM(3, 4), state_dict)


@pytest.mark.peers
def test_torch_tensors_that_numpy_cannot_read_are_refused():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    module = torch.nn.LSTM(3, 4)
    with pytest.raises(ValueError, match=r"cannot read weight_ih_l0: .*requires grad.* pass tensor.detach"):
        from_pytorch(LSTM(3, 4), dict(module.named_parameters()))
    with pytest.raises(ValueError, match=r"cannot read weight_ih_l0: .*BFloat16.* pass tensor.detach"):
        from_pytorch(LSTM(3, 4), module.bfloat16().state_dict())


def test_a_name_of_two_arrays_is_refused():
    with pytest.raises(ValueError, match=r"the name hi\.kernel stands for two"):
        from_flax_linen(LSTM(3, 4), {"hi.kernel": np.ones(1), "hi": {"kernel": np.ones(1)}})
