"""The kind of a cell follows from its base class, and wrappers keep it."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import (
    CELLS,
    GRU,
    LSTM,
    Associative,
    Cell,
    Hoisted,
    LearnedInitialState,
    LinearCell,
    MinGRU,
    Scan,
    SplitCell,
    Stack,
    Zoneout,
    unroll,
)
from rnn_jax.layers import DelayLine
from rnn_jax.wrapper import Wrapper

D, H = 2, 3
SPLIT = {
    "antisymmetric_rnn",
    "brc",
    "clockwork_rnn",
    "co_rnn",
    "fast_grnn",
    "exp_rnn",
    "gated_antisymmetric_rnn",
    "gru",
    "gru_layer_norm",
    "ind_rnn",
    "irnn",
    "leaky_rnn",
    "janet",
    "lipschitz_rnn",
    "lmu",
    "lstm",
    "lstm_coupled",
    "lstm_layer_norm",
    "lstm_peephole",
    "nbrc",
    "rnn",
    "slstm",
    "sru",
    "unicornn",
}
LINEAR = {
    "delta_net",
    "gated_delta_net",
    "gla",
    "hgrn2",
    "m_lstm",
    "s6",
    "linear",
    "lru",
    "min_gru",
    "min_gru_negative",
    "min_lstm",
    "rg_lru",
    "rg_lru_negative",
    "s5",
    "qrnn",
}


def method(self, *arguments):
    raise AssertionError("a method that no engine may call was called")


@pytest.mark.parametrize("name", CELLS)
def test_kind_is_the_base_class(name):
    cell = CELLS[name](D, H)
    assert (cell.is_split, cell.is_linear) == (name in SPLIT, name in LINEAR)
    assert (isinstance(cell, SplitCell), isinstance(cell, LinearCell)) == (cell.is_split, cell.is_linear)


@pytest.mark.parametrize(("bases", "methods", "message"), [
    ((Cell,), ["recurrent", "activate"], "class X(Cell) defines recurrent: write class X(SplitCell)"),
    ((Cell,), ["activate"], "class X(Cell) defines activate: write class X(SplitCell)"),
    ((Cell,), ["enter"], "class X(Cell) defines enter: write class X(SplitCell)"),
    ((Cell,), ["init", "linear"], "class X(Cell) defines linear: write class X(LinearCell)"),
    ((SplitCell,), ["recurrent", "activate", "linear"], "class X(SplitCell) defines linear, which a SplitCell"),
    ((LSTM,), ["linear"], "class X(LSTM) defines linear, which a SplitCell does not read: derive from LinearCell, or "),
    ((MinGRU,), ["activate"], "class X(MinGRU) defines activate, which a LinearCell does not read: derive from Split"),
    ((SplitCell, LinearCell), [], "class X(SplitCell, LinearCell) derives from both SplitCell and LinearCell"),
    ((GRU, LinearCell), ["linear"], "class X(GRU, LinearCell) derives from both SplitCell and LinearCell"),
    ((Wrapper, SplitCell), [], "class X(Wrapper, SplitCell) derives from both Wrapper and SplitCell"),
])  # fmt: skip
def test_methods_of_another_kind_are_refused_when_the_class_is_defined(bases, methods, message):
    with pytest.raises(TypeError, match=re.escape(message)):
        type("X", bases, dict.fromkeys(methods, method))


def test_methods_of_a_mixin_count():
    class Product:
        recurrent = method

    message = "class X(Product, Cell) defines recurrent: write class X(Product, SplitCell)"
    with pytest.raises(TypeError, match=re.escape(message)):
        type("X", (Product, Cell), {})


def step(self, params, state, drive):
    return jax.tree.map(lambda s: 0.5 * s + 0.1 * drive.sum(), state)


@pytest.mark.parametrize("base", [Cell, SplitCell, LinearCell, LSTM, GRU, MinGRU], ids=lambda base: base.__name__)
def test_a_user_defined_step_makes_a_plain_cell_whatever_else_is_there(base):
    # With a step, `recurrent` and the like are helper functions of the user's, which no engine calls.
    others = dict.fromkeys(["recurrent", "activate", "enter", "linear"], method)
    plain = {
        "init": lambda self, key: jnp.ones(()),
        "initial_state": lambda self, params, batch_shape=(): jnp.ones(H),
        "project": Cell.project,
        "step": step,
        "output": Cell.output,
    }
    cell = type("X", (type("Base", (base,), plain | others),), {})(D, H)
    assert not cell.is_split
    assert not cell.is_linear
    params, xs = cell.init(jax.random.key(0)), jnp.ones((3, D))
    expected = np.ones(H)
    for _ in xs:
        expected = 0.5 * expected + 0.2
    for engine in (Scan(), Hoisted()):
        np.testing.assert_allclose(unroll(cell, params, xs, engine=engine)[0], expected, rtol=1e-6)
    with pytest.raises(TypeError, match="Associative"):
        unroll(cell, params, xs, engine=Associative())


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("wrap", [LearnedInitialState, lambda cell: Zoneout(LearnedInitialState(cell), 0.1)])
def test_wrappers_keep_the_kind(name, wrap):
    cell = CELLS[name](D, H)
    assert (wrap(cell).is_split, wrap(cell).is_linear) == (cell.is_split, cell.is_linear)


def test_a_wrapper_that_changes_the_step_and_not_linear_is_not_linear():
    assert not DelayLine(MinGRU(D, H), 2).is_linear
    assert DelayLine(LSTM(D, H), 2).is_split


def test_a_stack_is_a_plain_cell():
    stack = Stack([LSTM(D, H), GRU(H, H)])
    assert not stack.is_split
    assert not stack.is_linear
