"""Parameters to and from other libraries: round trips, Flax's cells, and what is refused.

PyTorch and Keras themselves are in tests/float64; here their names are enough.
"""

import re

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx, traverse_util
from hypothesis import given, settings
from hypothesis import strategies as st

from rnn_jax import GRU, LSTM, GRUResetBefore, VanillaRNN, unroll
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
from rnn_jax.layers import Bidirectional, Dropout, RecurrentDropout, Residual, Stack, Zoneout

STEPS, BATCH, INPUTS, HIDDEN = 5, 3, 3, 4


def draw_params(layer, seed=0):
    """Parameters with no number twice, so that no two of them can be exchanged unseen."""
    rng = np.random.default_rng(seed)
    like = jax.eval_shape(layer.init, jax.random.key(0))
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), jnp.float32), like)


def without_inner_bias(params):
    """NNX's GRU has none."""
    return params._replace(b_hn=jnp.zeros_like(params.b_hn)) if hasattr(params, "b_hn") else params


# Round trips: ours -> theirs -> ours is exact.

SIZES = st.integers(1, 4)
FORMATS = {
    "keras": (from_keras, to_keras, (VanillaRNN, LSTM, GRU, GRUResetBefore)),
    "linen": (from_flax_linen, to_flax_linen, (VanillaRNN, LSTM, GRU)),
    "nnx": (from_flax_nnx, to_flax_nnx, (VanillaRNN, LSTM, GRU)),
    "nnx-lstm-cell": (from_flax_nnx, lambda *args: to_flax_nnx(*args, optimized=False), (VanillaRNN, LSTM, GRU)),
}


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=6, deadline=None, derandomize=True)
@given(data=st.data(), inputs=SIZES, hidden=SIZES)
def test_round_trip_is_exact(name, data, inputs, hidden):
    load, save, cells = FORMATS[name]
    cell = data.draw(st.sampled_from(cells))(inputs, hidden)
    params = draw_params(cell)
    params = without_inner_bias(params) if load is from_flax_nnx else params
    chex.assert_trees_all_equal(load(cell, save(cell, params)), params)


@st.composite
def pytorch_layers(draw):
    """What a module of PyTorch can be."""
    hidden = draw(st.integers(2, 4))
    kinds = [lambda d: VanillaRNN(d, hidden), lambda d: LSTM(d, hidden), lambda d: GRU(d, hidden)]
    make = draw(st.sampled_from([*kinds, lambda d: ProjectedLSTM(d, hidden, proj_size=hidden - 1)]))
    both, layers, features = draw(st.booleans()), [], draw(SIZES)
    for _ in range(draw(st.integers(1, 3))):
        layers.append(Bidirectional(make(features)) if both else make(features))
        features = layers[-1].output_size
    return layers[0] if len(layers) == 1 else Stack(layers)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(layer=pytorch_layers(), prefix=st.sampled_from(["", "rnn.", "encoder.0.rnn."]))
def test_pytorch_round_trip_is_exact_beside_other_weights(layer, prefix):
    params = draw_params(layer)
    state_dict = {f"{prefix}{name}": array for name, array in to_pytorch(layer, params).items()}
    others = {"head.weight": np.ones((2, 2)), "encoder.1.rnn.weight_ih_l0": np.ones((2, 2))} if prefix else {}
    chex.assert_trees_all_equal(from_pytorch(layer, state_dict | others, prefix), params)


def test_pytorch_names_stand_in_its_order():
    layer = Stack([Bidirectional(ProjectedLSTM(features, HIDDEN, proj_size=2)) for features in (3, 4)])
    places = ["l0", "l0_reverse", "l1", "l1_reverse"]
    keys = ["weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"]
    state_dict = to_pytorch(layer, draw_params(layer))
    assert list(state_dict) == [f"{key}_{place}" for place in places for key in keys]
    assert state_dict["weight_ih_l1_reverse"].shape == (16, 4)
    assert state_dict["weight_hh_l1_reverse"].shape == (16, 2)


def test_conversion_is_traced_and_differentiated():
    cell = GRU(INPUTS, HIDDEN)
    state_dict = to_pytorch(cell, draw_params(cell))

    def loss(state_dict):
        there_and_back = from_pytorch(cell, to_pytorch(cell, from_pytorch(cell, state_dict)))
        return sum(jnp.sum(leaf) for leaf in there_and_back)

    gradients = jax.jit(jax.grad(loss))(state_dict)
    chex.assert_trees_all_equal(gradients, jax.tree.map(jnp.ones_like, state_dict))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_keeps_the_dtype_also_of_biases_that_were_absent(dtype):
    cell = GRU(INPUTS, HIDDEN)
    state_dict = {"weight_ih_l0": jnp.ones((12, 3), dtype), "weight_hh_l0": jnp.ones((12, 4), dtype)}
    params = from_pytorch(cell, state_dict)
    assert {leaf.dtype for leaf in params} == {jnp.dtype(dtype)}
    assert not jnp.any(params.b)
    assert not jnp.any(params.b_hn)
    assert {leaf.dtype for leaf in to_pytorch(cell, params).values()} == {jnp.dtype(dtype)}


def test_arrays_are_copies():
    weights = {name: np.array(array) for name, array in to_keras(LSTM(2, 2), draw_params(LSTM(2, 2))).items()}
    params = from_keras(LSTM(2, 2), weights)
    before = jax.tree.map(np.array, params)
    for array in weights.values():
        array[...] = 0
    chex.assert_trees_all_equal(params, before)


@pytest.mark.parametrize("wrap", [lambda cell: Dropout(cell, 0.5), lambda cell: RecurrentDropout(cell, 0.5)])
def test_dropout_is_looked_through(wrap):
    cell = LSTM(INPUTS, HIDDEN)
    params = draw_params(cell)
    for load, save in ((f[0], f[1]) for f in FORMATS.values()):
        chex.assert_trees_all_equal(load(wrap(cell), save(wrap(cell), params)), params)
    plain = Stack([Bidirectional(cell), Bidirectional(LSTM(2 * HIDDEN, HIDDEN))])
    wrapped = Dropout(Stack([Bidirectional(wrap(cell)), Dropout(Bidirectional(LSTM(2 * HIDDEN, HIDDEN)), 0.1)]), 0.1)
    params = draw_params(plain)
    chex.assert_trees_all_equal(to_pytorch(wrapped, params), to_pytorch(plain, params))
    chex.assert_trees_all_equal(from_pytorch(wrapped, to_pytorch(plain, params)), params)


# Flax's own cells, as its initialisers leave them but for biases, over sequences of different lengths.

LENGTHS = jnp.array([5, 1, 3])
VALID = np.arange(STEPS)[:, None, None] < np.asarray(LENGTHS)[:, None]


def scattered(tree):
    rng = np.random.default_rng(2)
    return jax.tree.map(lambda leaf: leaf + jnp.asarray(0.3 * rng.normal(size=leaf.shape), leaf.dtype), tree)


def jitted(function):
    """What runs once is not worth optimizing."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


def ours_as_flax(cell, params, xs):
    """Final state as Flax has it, (c, h), and the outputs."""
    final, ys = jitted(lambda p, x: unroll(cell, p, x, lengths=LENGTHS))(params, xs)
    return ((final.c, final.h) if isinstance(cell, LSTM) else final), ys


def assert_same_run(ours, theirs):
    """Flax does not say what outputs in the padding are; ours are zero."""
    (our_final, our_ys), (their_final, their_ys) = ours, theirs
    chex.assert_trees_all_close((our_final, our_ys), (their_final, their_ys * VALID), rtol=1e-5, atol=1e-6)


def run_linen(layer, xs):
    """Its variables, and final carry and outputs."""
    with jax.numpy_rank_promotion("allow"):
        variables = scattered(jitted(layer.init)(jax.random.key(0), xs))
        return variables, jitted(lambda v: layer.apply(v, xs, seq_lengths=LENGTHS))(variables)


def draw_xs():
    return jnp.asarray(np.random.default_rng(0).normal(size=(STEPS, BATCH, INPUTS)), jnp.float32)


@pytest.mark.parametrize(
    ("cell", "module"),
    [
        (VanillaRNN(INPUTS, HIDDEN), nn.SimpleCell(HIDDEN)),
        (VanillaRNN(INPUTS, HIDDEN, jax.nn.relu), nn.SimpleCell(HIDDEN, activation_fn=jax.nn.relu)),
        (LSTM(INPUTS, HIDDEN), nn.LSTMCell(HIDDEN)),
        (LSTM(INPUTS, HIDDEN), nn.OptimizedLSTMCell(HIDDEN)),
        (GRU(INPUTS, HIDDEN), nn.GRUCell(HIDDEN)),
    ],
    ids=["simple", "simple-relu", "lstm", "optimized-lstm", "gru"],
)
def test_flax_linen(cell, module):
    xs, layer = draw_xs(), nn.RNN(module, time_major=True, return_carry=True)
    variables, theirs = run_linen(layer, xs)
    weights = variables["params"]["cell"]
    params = from_flax_linen(cell, weights)
    assert_same_run(ours_as_flax(cell, params, xs), theirs)
    chex.assert_trees_all_equal(to_flax_linen(cell, params), weights)


def test_flax_linen_residual_is_an_identity_more():
    xs, cell = draw_xs(), VanillaRNN(INPUTS, HIDDEN)
    layer = nn.RNN(nn.SimpleCell(HIDDEN, residual=True), time_major=True, return_carry=True)
    variables, theirs = run_linen(layer, xs)
    params = from_flax_linen(cell, variables["params"]["cell"])
    assert_same_run(ours_as_flax(cell, params._replace(w_h=params.w_h + jnp.eye(HIDDEN)), xs), theirs)


@pytest.mark.parametrize(
    ("cell", "kind", "options"),
    [
        (VanillaRNN(INPUTS, HIDDEN), nnx.SimpleCell, {}),
        (LSTM(INPUTS, HIDDEN), nnx.LSTMCell, {"optimized": False}),
        (LSTM(INPUTS, HIDDEN), nnx.OptimizedLSTMCell, {}),
        (GRU(INPUTS, HIDDEN), nnx.GRUCell, {}),
    ],
    ids=["simple", "lstm", "optimized-lstm", "gru"],
)
def test_flax_nnx(cell, kind, options):
    xs = draw_xs()

    def run(module):
        with jax.numpy_rank_promotion("allow"):
            return nnx.RNN(module, time_major=True, return_carry=True)(xs, seq_lengths=LENGTHS)

    module = kind(INPUTS, HIDDEN, rngs=nnx.Rngs(0))
    state = nnx.state(module, nnx.Param)
    nnx.update(module, scattered(state))
    weights = nnx.to_pure_dict(nnx.state(module, nnx.Param))
    params = from_flax_nnx(cell, weights)
    theirs = run(module)
    assert_same_run(ours_as_flax(cell, params, xs), theirs)

    saved = to_flax_nnx(cell, params, **options)
    chex.assert_trees_all_equal(saved, weights)
    other = kind(INPUTS, HIDDEN, rngs=nnx.Rngs(1))
    nnx.update(other, saved)
    chex.assert_trees_all_equal(run(other), theirs)


# What is refused, by name.


def torch_names(layer):
    return dict(to_pytorch(layer, draw_params(layer)))


def without(mapping, *names):
    return {name: value for name, value in mapping.items() if name not in names}


def test_pytorch_one_message_tells_all():
    layer = Stack([LSTM(3, 5), LSTM(5, 5)])
    state_dict = without(torch_names(layer), "weight_hh_l1", "bias_ih_l0")
    state_dict |= {"weight_ih_l0": np.ones((20, 4), np.float32), "weight_ih_l2": np.ones(3), "weight_hr_l0": np.ones(3)}
    message = (
        "from_pytorch: Stack(3, 5) wants bias_ih_l0 [20], which is missing; wants weight_hh_l1 [20, 5], which is "
        "missing; wants weight_ih_l0 [20, 3], got [20, 4]; has no use for weight_ih_l2, weight_hr_l0"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        from_pytorch(layer, state_dict)


@pytest.mark.parametrize(
    ("layer", "of", "message"),
    [
        (LSTM(3, 4), Stack([LSTM(3, 4), LSTM(4, 4)]), "no use for weight_ih_l1, weight_hh_l1, bias_ih_l1, bias_hh_l1$"),
        (Stack([LSTM(3, 4), LSTM(4, 4)]), LSTM(3, 4), r"wants weight_ih_l1 \[16, 4\], which is missing"),
        (LSTM(3, 4), Bidirectional(LSTM(3, 4)), "no use for weight_ih_l0_reverse"),
        (Bidirectional(LSTM(3, 4)), LSTM(3, 4), r"wants weight_ih_l0_reverse \[16, 3\], which is missing"),
        (LSTM(3, 4), ProjectedLSTM(3, 4, proj_size=2), r"weight_hh_l0 \[16, 4\], got \[16, 2\]; .* weight_hr_l0"),
        (ProjectedLSTM(3, 4, proj_size=2), LSTM(3, 4), r"wants weight_hr_l0 \[2, 4\], which is missing"),
        (GRU(3, 4), LSTM(3, 4), r"wants weight_ih_l0 \[12, 3\], got \[16, 3\]"),
        (LSTM(4, 3), LSTM(3, 4), r"wants weight_ih_l0 \[12, 4\], got \[16, 3\]"),
    ],
)
def test_pytorch_refuses_another_module(layer, of, message):
    with pytest.raises(ValueError, match=message):
        from_pytorch(layer, torch_names(of))


def test_pytorch_refuses_half_of_the_biases():
    layer = Bidirectional(GRU(3, 4))
    with pytest.raises(ValueError, match=r"wants bias_hh_l0_reverse \[12\], which is missing$"):
        from_pytorch(layer, without(torch_names(layer), "bias_hh_l0_reverse"))


def test_pytorch_prefix_is_in_the_message():
    with pytest.raises(
        ValueError, match=r"wants a\.b\.weight_ih_l0 \[16, 3\], which is missing; .* a\.b\.bias_hh_l0x$"
    ):
        from_pytorch(LSTM(3, 4), {"a.b.bias_hh_l0x": np.ones(3), "weight_ih_l0": np.ones((16, 3))}, "a.b.")


def test_a_whole_models_names_are_not_all_listed():
    with pytest.raises(ValueError, match=r"w0, w1, .* w9 and 90 more$"):
        from_pytorch(LSTM(3, 4), {f"w{n}": np.ones(1) for n in range(100)})


class MyLSTM(LSTM):
    """A subclass may compute something else."""


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (MyLSTM(3, 4), r"MyLSTM\(3, 4\) has no counterpart there; .* VanillaRNN \(nn.RNN\), LSTM \(nn.LSTM\)"),
        (GRUResetBefore(3, 4), r"GRUResetBefore\(3, 4\) has no counterpart"),
        (Residual(LSTM(4, 4)), r"Residual\(4, 4\) has no counterpart"),
        (Zoneout(LSTM(4, 4), 0.1), r"Zoneout\(4, 4\) has no counterpart"),
        (Stack([Stack([LSTM(3, 4)])]), r"Stack\(3, 4\) has no counterpart"),
        (Bidirectional(Stack([LSTM(3, 4)])), r"Stack\(3, 4\) has no counterpart"),
        (VanillaRNN(3, 4, jax.nn.sigmoid), "jnp.tanh and jax.nn.relu"),
        (ProjectedLSTM(3, 4, proj_size=4), "proj_size below its hidden_size, not 4 of 4"),
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
def test_what_pytorch_does_not_have(layer, message):
    with pytest.raises(ValueError, match=message):
        from_pytorch(layer, {})
    with pytest.raises(ValueError, match=message):
        to_pytorch(layer, draw_params(layer))


@pytest.mark.parametrize(
    ("load", "save", "cell", "known"),
    [
        (from_keras, to_keras, MyLSTM(3, 4), r"GRUResetBefore \(GRU\(reset_after=False\)\)"),
        (from_flax_linen, to_flax_linen, GRUResetBefore(3, 4), r"GRU \(nn.GRUCell\)"),
        (from_flax_nnx, to_flax_nnx, GRUResetBefore(3, 4), r"LSTM \(nnx.OptimizedLSTMCell\)"),
        (from_keras, to_keras, Stack([LSTM(3, 4)]), r"LSTM \(LSTM\)"),
    ],
)
def test_what_the_others_do_not_have(load, save, cell, known):
    message = rf"{type(cell).__name__}\(3, 4\) has no counterpart there; .*{known}"
    with pytest.raises(ValueError, match=f"{load.__name__}: {message}"):
        load(cell, {})
    with pytest.raises(ValueError, match=f"{save.__name__}: {message}"):
        save(cell, draw_params(cell))


@pytest.mark.parametrize(
    ("load", "save", "name", "shape"),
    [
        (from_keras, to_keras, "recurrent_kernel", [4, 16]),
        (from_flax_linen, to_flax_linen, "hf.kernel", [4, 4]),
        (from_flax_nnx, to_flax_nnx, "dense_h.kernel", [4, 16]),
    ],
)
def test_others_refuse_names_and_shapes(load, save, name, shape):
    cell = LSTM(3, 4)
    flat = traverse_util.flatten_dict(save(cell, draw_params(cell)), sep=".")
    chex.assert_trees_all_equal(load(cell, flat), draw_params(cell))  # flat names are read as nested ones are
    wanted = re.escape(f"wants {name} {shape}")
    with pytest.raises(ValueError, match=f"{wanted}, which is missing"):
        load(cell, without(flat, name))
    with pytest.raises(ValueError, match=rf"{wanted}, got \[2\]"):
        load(cell, flat | {name: np.ones(2, np.float32)})
    with pytest.raises(ValueError, match="no use for extra"):
        load(cell, flat | {"extra": np.ones(2)})


def test_keras_gru_of_the_other_reset():
    weights = to_keras(GRU(3, 4), draw_params(GRU(3, 4)))
    with pytest.raises(ValueError, match=r"wants bias \[12\], got \[2, 12\]"):
        from_keras(GRUResetBefore(3, 4), weights)


def test_keras_list_of_weights():
    with pytest.raises(TypeError, match=r"got a list: pass \{w.name: w for w in layer.weights\}"):
        from_keras(LSTM(3, 4), [np.ones(3)])


@pytest.mark.parametrize("load", [from_pytorch, from_flax_linen, from_flax_nnx, from_keras])
def test_wants_a_mapping(load):
    with pytest.raises(TypeError, match=f"{load.__name__}.* wants a mapping of names to arrays, got tuple"):
        load(LSTM(3, 4), (np.ones(3),))


def test_nnx_gru_has_no_inner_bias():
    params = draw_params(GRU(3, 4))
    with pytest.raises(ValueError, match="b_hn is not zero"):
        to_flax_nnx(GRU(3, 4), params)


@pytest.mark.parametrize("save", [to_pytorch, to_keras, to_flax_linen, to_flax_nnx])
def test_refuses_params_of_another_cell(save):
    with pytest.raises(ValueError, match=rf"{save.__name__}: LSTM\(3, 4\) wants params.w_i \[3, 16\], got \[4, 12\]"):
        save(LSTM(3, 4), draw_params(LSTM(4, 3)))
    with pytest.raises(ValueError, match=rf"{save.__name__}: LSTM\(3, 4\) wants params .*LSTMParams.*GRUParams"):
        save(LSTM(3, 4), draw_params(GRU(3, 4)))


@pytest.mark.parametrize("value", [np.ones((16, 3), np.int32), np.ones((16, 3), np.complex64)])
def test_refuses_what_is_no_floating_point(value):
    state_dict = torch_names(LSTM(3, 4)) | {"weight_ih_l0": value}
    with pytest.raises(ValueError, match=f"wants weight_ih_l0 in floating point, got {value.dtype}"):
        from_pytorch(LSTM(3, 4), state_dict)


def test_torch_tensors_that_numpy_cannot_read():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    module = torch.nn.LSTM(3, 4)
    with pytest.raises(ValueError, match=r"cannot read weight_ih_l0: .*requires grad.* pass tensor.detach"):
        from_pytorch(LSTM(3, 4), dict(module.named_parameters()))
    with pytest.raises(ValueError, match=r"cannot read weight_ih_l0: .*BFloat16.* pass tensor.detach"):
        from_pytorch(LSTM(3, 4), module.bfloat16().state_dict())


def test_a_name_that_stands_for_two_arrays():
    with pytest.raises(ValueError, match=r"the name hi\.kernel stands for two"):
        from_flax_linen(LSTM(3, 4), {"hi.kernel": np.ones(1), "hi": {"kernel": np.ones(1)}})
