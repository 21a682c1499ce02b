"""Wrong input is refused: the message names the argument, the value it got and the expected one."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax
from rnn_jax import LinearCell, SplitCell, initializers, training
from rnn_jax.diagnostics import Perturbed
from rnn_jax.engines import Scan
from tests.refusals import refuses

T, B, D, H = 4, 2, 3, 5
RNN, LSTM = rnn_jax.VanillaRNN(D, H), rnn_jax.LSTM(D, H)


def unroll(cell, xs, state=None, **options):
    return rnn_jax.unroll(cell, cell.init(jax.random.key(0)), xs, state, **options)


@pytest.mark.parametrize(
    ("xs", "words"),
    [
        (jnp.zeros(D), ["xs must be [T, *batch, 3]", "at least 2 dimensions", "got shape (3,)"]),
        (jnp.zeros(()), ["xs must be [T, *batch, 3]", "got shape ()"]),
        (jnp.zeros((T, B, D + 1)), ["last axis of xs", "VanillaRNN.input_size = 3", "got shape (4, 2, 4)"]),
        (jnp.zeros((T, D, B)), ["last axis of xs", "VanillaRNN.input_size = 3", "got shape (4, 3, 2)"]),
        ((), ["xs holds no array"]),
        (None, ["xs holds no array"]),
    ],
)
def test_inputs_of_a_wrong_shape(xs, words):
    refuses(lambda: unroll(RNN, xs), ValueError, "unroll:", *words)


@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool", "complex64"])
def test_inputs_that_are_not_floating_point(dtype):
    xs = np.zeros((T, B, D), dtype)
    refuses(lambda: unroll(RNN, xs), TypeError, "unroll: xs must be floating point", f"got {dtype}", "one-hot")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_inputs_of_a_float_type_that_is_not_the_parameters(dtype):
    # JAX promotes them inside the step: the state keeps its type, so nothing is lost and nothing is refused.
    final_state, ys = unroll(RNN, jnp.zeros((T, B, D), dtype))
    assert final_state.dtype == ys.dtype == jnp.float32


@pytest.mark.parametrize(
    ("cell", "state", "words"),
    [
        (LSTM, jnp.zeros((B, H)), ["must have the structure", "LSTMState", "got PyTreeDef(*)"]),
        (RNN, (jnp.zeros((B, H)),), ["must have the structure PyTreeDef(*)", "got PyTreeDef((*,))"]),
        (RNN, jnp.zeros((B, H + 1)), ["the array must be float32[2, 5]", "got float32[2, 6]"]),
        (RNN, jnp.zeros(H), ["batch shape (2,)", "the array must be float32[2, 5]", "got float32[5]"]),
        (RNN, jnp.zeros((B + 1, H)), ["batch shape (2,)", "the array must be float32[2, 5]", "got float32[3, 5]"]),
        (RNN, jnp.zeros((1, H)), ["the array must be float32[2, 5]", "got float32[1, 5]"]),
        (RNN, jnp.zeros((B, H), jnp.bfloat16), ["the array must be float32[2, 5]", "got bfloat16[2, 5]"]),
        (RNN, jnp.zeros((B, H), int), ["the array must be float32[2, 5]", "got int32[2, 5]"]),
        (RNN, 0.0, ["the array must be float32[2, 5]", "got float32[]"]),
    ],
)
def test_states_of_a_wrong_kind(cell, state, words):
    name = type(cell).__name__
    refuses(lambda: unroll(cell, jnp.zeros((T, B, D)), state), ValueError, f"unroll: state for {name}", *words)


def test_the_message_names_the_part_of_a_state_that_is_wrong():
    state = rnn_jax.cells.lstm.LSTMState(h=jnp.zeros((B, H)), c=jnp.zeros((B, H - 1)))
    words = ["state for LSTM", ".c must be float32[2, 5]", "got float32[2, 4]"]
    refuses(lambda: unroll(LSTM, jnp.zeros((T, B, D)), state), ValueError, *words)


class Misstepping(rnn_jax.VanillaRNN):
    """A cell whose step does not return a state."""

    def step(self, params, state, drive):
        return self.spoil(super().step(params, state, drive))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda s: s[..., :-1], ["the array must be float32[2, 5]", "got float32[2, 4]"]),
        (lambda s: s[0], ["the array must be float32[2, 5]", "got float32[5]"]),
        (lambda s: s.astype(jnp.bfloat16), ["the array must be float32[2, 5]", "got bfloat16[2, 5]"]),
        (lambda s: (s, s), ["must have the structure PyTreeDef(*)", "got PyTreeDef((*, *))"]),
        (lambda s: None, ["must have the structure PyTreeDef(*)", "got PyTreeDef(None)"]),
    ],
    ids=["width", "rank", "dtype", "structure", "nothing"],
)
def test_a_step_that_returns_another_state(monkeypatch, spoil, words):
    monkeypatch.setattr(Misstepping, "spoil", staticmethod(spoil), raising=False)
    cell = Misstepping(D, H)
    refuses(lambda: unroll(cell, jnp.zeros((T, B, D))), ValueError, "unroll: state after a step of Misstepping", *words)


class Unfinished(rnn_jax.Cell):
    """A cell that defines nothing."""


class Stateless(Unfinished):
    def init(self, key):
        return jnp.zeros(H)


class Stepless(Stateless):
    def initial_state(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, H))


class Inactive(SplitCell, Stepless):
    def recurrent(self, params, state):
        return state


class Unproduced(SplitCell, Stepless):
    pass


class Untransitioned(LinearCell, Stepless):
    pass


@pytest.mark.parametrize(
    ("cell", "method"),
    [
        (Unfinished, "init(key)"),
        (Stateless, "initial_state(params, batch_shape)"),
        (Stepless, "step(params, state, drive), or derive from SplitCell or LinearCell"),
        (Inactive, "activate(params, state, drive, r)"),
        (Unproduced, "recurrent(params, state)"),
        (Untransitioned, "linear(params, drive)"),
    ],
)
def test_cells_without_a_required_method(cell, method):
    refuses(
        lambda: unroll(cell(D, H), jnp.zeros((T, B, D))), NotImplementedError, f"{cell.__name__} must define {method}"
    )


@pytest.mark.parametrize(
    "shape", [(T, B + 1, H), (T + 1, B, H), (T,), (T, H, B)], ids=["batch", "length", "rank", "order"]
)
def test_leaves_of_the_inputs_must_go_together(shape):
    refuses(
        lambda: unroll(Perturbed(RNN), (jnp.zeros((T, B, D)), jnp.zeros(shape))),
        ValueError,
        "unroll: every leaf of xs must start with [T, *batch] = (4, 2)",
        f"got shape {shape}",
    )


def sequences(lengths=None, resets=None, cell=RNN, jit=False):
    xs, params = jnp.zeros((T, B, D)), cell.init(jax.random.key(0))
    run = functools.partial(rnn_jax.unroll, cell, params, xs)
    return jax.jit(run)(lengths=lengths, resets=resets) if jit else run(lengths=lengths, resets=resets)


@pytest.mark.parametrize(
    ("lengths", "words"),
    [
        (np.array([1, 2, 3]), ["batch shape of xs, [2]", "got shape [3]"]),
        (np.array([[1, 2]]), ["batch shape of xs, [2]", "got shape [1, 2]"]),
        (3, ["batch shape of xs, [2]", "got shape []"]),
        ([1, T + 1], ["from 0 to T = 4, got 5"]),
        (jnp.array([-1, 2]), ["from 0 to T = 4, got -1"]),
    ],
)
def test_lengths_of_a_wrong_shape_or_value(lengths, words):
    refuses(lambda: sequences(lengths=lengths), ValueError, "unroll: lengths must", *words)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize(
    "layer", [RNN, rnn_jax.Stack([RNN]), rnn_jax.Bidirectional(RNN)], ids=["cell", "stack", "both"]
)
def test_lengths_and_resets_of_a_wrong_type(layer, jit):
    refuses(
        lambda: sequences(np.array([1.0, 2.0], np.float32), None, layer, jit),
        TypeError,
        "unroll: lengths must be integers, got float32",
    )
    flags = np.zeros((T, B), np.float32)
    refuses(
        lambda: sequences(None, flags, layer, jit), TypeError, "unroll: resets must be booleans, got float32", "!= 0"
    )


@pytest.mark.parametrize("shape", [(T,), (B, T), (T, B, 1), (T + 1, B)])
def test_resets_of_a_wrong_shape(shape):
    wants = ["unroll: resets must be [T, *batch] = [4, 2]", f"got shape {list(shape)}"]
    refuses(lambda: sequences(resets=np.zeros(shape, bool)), ValueError, *wants)


def make(name, *args, **options):
    return lambda: getattr(rnn_jax, name)(*args, **options)


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (make("Stack", []), ValueError, ["Stack: layers must hold at least one"]),
        (make("Stack", [RNN, "LSTM"]), TypeError, ["Stack: layers[1] must be a cell or layer", "'LSTM'"]),
        (make("Stack", [RNN, RNN]), ValueError, ["layers[1] must read the 5 features that layers[0] gives", "3"]),
        (make("Stack", [rnn_jax.Bidirectional(RNN), rnn_jax.GRU(H, H)]), ValueError, ["the 10 features", "got", "5"]),
        (make("Bidirectional", None), TypeError, ["Bidirectional: forward must be a cell or layer, got None"]),
        (make("Bidirectional", RNN, "GRU"), TypeError, ["Bidirectional: backward must be", "'GRU'"]),
        (make("Bidirectional", RNN, rnn_jax.GRU(H, H)), ValueError, ["same inputs", "3 and 5"]),
        (make("Bidirectional", RNN, rnn_jax.GRU(D, D), "sum"), ValueError, ["one size to take their sum", "5 and 3"]),
        (make("Bidirectional", RNN, merge="mul"), ValueError, ["one of concat, sum, mean, got 'mul'"]),
        (make("Residual", RNN), ValueError, ["VanillaRNN must give as many features as it reads", "3 in and 5 out"]),
        (make("Residual", rnn_jax.LSTM), TypeError, ["Residual: cell must be a Cell, got <class"]),
        (
            make("RecurrentDropout", rnn_jax.GRUResetBefore(D, H), 0.5),
            TypeError,
            ["must be a SplitCell", "got GRUResetBefore"],
        ),
        (
            make("RecurrentDropout", rnn_jax.Zoneout(rnn_jax.GRUResetBefore(D, H), 0.1), 0.5),
            TypeError,
            ["must be a SplitCell", "got Zoneout"],
        ),
        (make("Zoneout", RNN, (0.1, 1.5)), ValueError, ["Zoneout: rate must be a number from 0 to below 1, got 1.5"]),
        (make("ProjectedLSTM", D, H, proj_size=0), ValueError, ["ProjectedLSTM: proj_size must be", "got 0"]),
        (
            make("IndRNN", D, H, u_min=1.0, u_max=0.5),
            ValueError,
            ["IndRNN: must have u_min <= u_max", "got 1.0 and 0.5"],
        ),
        (make("S5", D, 4, blocks=3), ValueError, ["S5: blocks must divide hidden_size 4, got 3; use one of 1, 2, 4"]),
        (
            make("GLA", D, 6, heads=4),
            ValueError,
            ["GLA: heads must divide hidden_size 6, got 4; use one of 1, 2, 3, 6"],
        ),
        (make("GLA", D, H, gate_rank=0), ValueError, ["GLA: gate_rank must be a positive integer, got 0"]),
        (make("HGRN2", D, H, lower_bound=1.0), ValueError, ["HGRN2: lower_bound must be", "below 1, got 1.0"]),
        (make("S6", D, H, state_size=0), ValueError, ["S6: state_size must be a positive integer, got 0"]),
        (make("S6", D, H, dt_rank=1.5), ValueError, ["S6: dt_rank must be a positive integer, got 1.5"]),
        (make("S5", D, H, blocks=0), ValueError, ["S5: blocks must be a positive integer, got 0"]),
        (make("S5", D, H, dt_min=0.2), ValueError, ["S5: must have dt_min <= dt_max", "got 0.2 and 0.1"]),
        (make("CoRNN", D, H, dt=0.0), ValueError, ["CoRNN: dt must be a positive number, got 0.0"]),
        (make("JANET", D, H, beta=float("nan")), ValueError, ["JANET: beta must be a finite number, got nan"]),
        (make("JANET", D, H, beta="1"), ValueError, ["JANET: beta must be a finite number, got '1'"]),
        (make("RHN", D, H, depth=0), ValueError, ["RHN: depth must be a positive integer, got 0"]),
        (make("SRU", D, H, highway_bias=float("inf")), ValueError, ["SRU: highway_bias must be", "got inf"]),
        (make("SLSTM", D, 6, heads=0), ValueError, ["SLSTM: heads must be a positive integer, got 0"]),
        (
            make("SLSTM", D, 6, heads=4),
            ValueError,
            ["SLSTM: heads must divide hidden_size 6, got 4; use one of 1, 2, 3, 6"],
        ),
        (make("CoRNN", D, H, epsilon=-1.0), ValueError, ["CoRNN: epsilon must be", "got -1.0"]),
        (make("AntisymmetricRNN", D, H, epsilon=0.0), ValueError, ["AntisymmetricRNN: epsilon must be", "got 0.0"]),
        (
            make("GatedAntisymmetricRNN", D, H, gamma=-1.0),
            ValueError,
            ["GatedAntisymmetricRNN: gamma must be a number of at least 0, got -1.0"],
        ),
        (make("LipschitzRNN", D, H, beta=1.5), ValueError, ["LipschitzRNN: beta must be from 0 to 1, got 1.5"]),
        (make("LipschitzRNN", D, H, beta="1"), ValueError, ["LipschitzRNN: beta must be a finite number, got '1'"]),
        (make("LRU", D, H, r_min="0"), ValueError, ["LRU: r_min must be a finite number, got '0'"]),
        (make("LRU", D, H, max_phase=None), ValueError, ["LRU: max_phase must be a finite number, got None"]),
        (make("IndRNN", D, H, u_max="1"), ValueError, ["IndRNN: u_max must be a finite number, got '1'"]),
        (make("S6", D, H, negative_eigenvalues="no"), TypeError, ["S6: negative_eigenvalues must be True or False"]),
        (make("UnICORNN", D, H, alpha=-1.0), ValueError, ["UnICORNN: alpha must be a number of at least 0, got -1.0"]),
        (make("ClockworkRNN", D, H, periods=(1, 0)), ValueError, ["ClockworkRNN: each of periods", "got 0"]),
        (make("ClockworkRNN", D, H, periods=(4, 2)), ValueError, ["ClockworkRNN: periods must grow", "got (4, 2)"]),
        (make("ClockworkRNN", D, H, periods=4), ValueError, ["ClockworkRNN: periods must be a tuple", "got 4"]),
        (make("LMU", D, H, order=0), ValueError, ["LMU: order must be a positive integer, got 0"]),
        (make("LMU", D, H, theta=0.0), ValueError, ["LMU: theta must be a positive number, got 0.0"]),
        (make("CfC", D, H, backbone_size=0), ValueError, ["CfC: backbone_size must be", "got 0"]),
        (make("CfC", D, H, dt=-1.0), ValueError, ["CfC: dt must be a positive number, got -1.0"]),
        (make("LEM", D, H, dt=0.0), ValueError, ["LEM: dt must be a positive number, got 0.0"]),
    ],
)
def test_layers_that_do_not_match(build, error, words):
    refuses(build, error, *words)


@pytest.mark.parametrize("rate", [1, 1.0, -0.1, float("nan"), "0.5", None, True], ids=repr)
@pytest.mark.parametrize("name", ["Dropout", "RecurrentDropout", "Zoneout"])
def test_rates_outside_the_unit_interval(name, rate):
    refuses(make(name, RNN, rate), ValueError, f"{name}: rate must be a number from 0 to below 1, got {rate!r}")


def test_zoneout_rates_that_are_not_like_the_state():
    cell = rnn_jax.Zoneout(LSTM, (0.1, 0.2))
    refuses(lambda: unroll(cell, jnp.zeros((T, B, D))), ValueError, "Zoneout: rate must be a number or like the state")


@pytest.mark.parametrize("around", [rnn_jax.LearnedInitialState, lambda layer: rnn_jax.Zoneout(layer, 0.1)])
def test_wrappers_that_step_refuse_layers_that_cannot(around):
    layer = around(rnn_jax.Stack([rnn_jax.Bidirectional(RNN), rnn_jax.GRU(2 * H, H)]))
    refuses(lambda: unroll(layer, jnp.zeros((T, B, D)), key=None), TypeError, "can be unrolled, not stepped; wrap its")


@pytest.mark.parametrize("size", [0, -1, 2.5, True, "8", None], ids=repr)
@pytest.mark.parametrize("name", rnn_jax.CELLS)
def test_sizes_that_are_not_positive_integers(name, size):
    make = rnn_jax.CELLS[name]
    for call, field in ((lambda: make(size, H), "input_size"), (lambda: make(D, size), "hidden_size")):
        refuses(call, ValueError, f"{type(make(D, H)).__name__}: {field} must be a positive integer, got {size!r}")


@pytest.mark.parametrize("max_lag", [2, 0, -5, 2.9, 4.5, True])
def test_chrono_without_a_range_to_draw_from(max_lag):
    refuses(
        lambda: initializers.Chrono(max_lag),
        ValueError,
        f"Chrono: max_lag must be an integer of at least 3 steps, got {max_lag}",
    )


@pytest.mark.parametrize("size", [0, -1, 2.5, "8", None, True])
def test_readouts_whose_size_is_not_a_positive_integer(size):
    wants = f"ReadoutModel: output_size must be a positive integer, got {size!r}"
    refuses(lambda: rnn_jax.ReadoutModel(RNN, size), ValueError, wants)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (training.Adam, "Adam: learning_rate"),
        (training.SGD, "SGD: learning_rate"),
        (training.ClipByNorm, "ClipByNorm: limit"),
        (training.ClipByValue, "ClipByValue: limit"),
        (training.ClipAdaptively, "ClipAdaptively: ratio"),
    ],
)
@pytest.mark.parametrize("value", [0, -1, -0.5, float("nan"), float("inf"), True, "1"])
def test_optimizers_and_clippings_with_a_number_that_is_not_positive(make, name, value):
    refuses(lambda: make(value), ValueError, f"{name} must be a positive number, got {value!r}")


@pytest.mark.parametrize("value", [1e-50, 1e39])
def test_a_learning_rate_that_float32_does_not_hold(value):
    refuses(
        lambda: training.SGD(value), ValueError, f"SGD: learning_rate must be a number that float32 holds, got {value}"
    )


@pytest.mark.parametrize("momentum", [-0.1, 1.0, 1 - 1e-9, float("nan"), True])
def test_a_momentum_that_is_no_share(momentum):
    expected = f"SGD: momentum must be a number from 0 to below 1, got {momentum!r}"
    refuses(lambda: training.SGD(0.1, momentum), ValueError, expected)


@pytest.mark.parametrize("size", [0, -1, 2.5, True, "8", None])
def test_trainers_whose_batch_size_is_not_an_integer(size):
    model, expected = rnn_jax.ReadoutModel(RNN, 1), f"batch_size must be a positive integer, got {size!r}"
    refuses(lambda: training.Trainer(model, size, training.Adam(1e-3), None), ValueError, expected)


def test_wrong_input_is_refused_by_a_model_and_under_jit_too():
    model = rnn_jax.ReadoutModel(RNN, 1)
    params = model.init(jax.random.key(0))
    refuses(lambda: model.apply(params, jnp.zeros((T, B, D + 1))), ValueError, "RNN.input_size = 3", "(4, 2, 4)")
    run = jax.jit(lambda xs: rnn_jax.unroll(RNN, params.cell, xs, engine=Scan()))
    refuses(lambda: run(jnp.zeros((T, B, D + 1))), ValueError, "RNN.input_size = 3", "got shape (4, 2, 4)")


def test_an_lru_refuses_parameters_of_16_bits():
    cell = rnn_jax.LRU(D, H)
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), cell.init(jax.random.key(0)))
    words = ["LRU: params must be float32 or float64", "got bfloat16; for products in bfloat16 use MixedPrecision(LRU"]
    refuses(lambda: rnn_jax.unroll(cell, params, jnp.zeros((T, B, D))), TypeError, *words)


@pytest.mark.parametrize("make", [jax.random.key, jax.random.PRNGKey])
def test_one_key_in_place_of_those_of_all_seeds(make):
    trainer = training.Trainer(rnn_jax.ReadoutModel(RNN, 1), 2, training.Adam(1e-3), None)
    words = ["training.init: keys must be one for each seed, [seeds], got shape [", "pass jax.random.split(key, seeds)"]
    refuses(lambda: training.init(trainer, make(0)), ValueError, *words)
    assert training.init(trainer, make(0)[None]).step.shape == (1,)
