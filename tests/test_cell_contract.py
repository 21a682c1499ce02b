"""Every cell of the registry fulfils one contract under every engine; a new cell is tested by being registered."""

import copy
import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax
from rnn_jax.engines import Associative, Checkpointed, Fused, Hoisted, Newton, Scan, decisions
from rnn_jax.testing import cells as contract
from rnn_jax.testing import engines
from rnn_jax.unrolling import unroll
from tests import registry

T, B, D, H = 6, 6, 3, 4
CELLS = {name: make(D, H) for name, make in rnn_jax.CELLS.items()}
ENGINES = [
    Scan(),
    Scan(unroll=3),
    Hoisted(keep=True),
    Hoisted(keep=False),
    Checkpointed(),
    Checkpointed(recursive=True),
    Associative(),
    Fused(),  # the loop; tests/test_fused.py has the kernel
    Newton(),
]
# Engines that differ from another one by an option, or only on a TPU; with most cells they are marked slow.
OPTIONS = [Scan(unroll=3), Hoisted(keep=False), Checkpointed(recursive=True), Fused()]
# Engines that the plain run tests with every cell that is no variant; it tests LSTM with every engine but two that
# have tests of their own. With a variant they are extended, and all others slow: each of them equals `Scan` in value
# and gradient, from any state, with lengths and resets, and `Scan` has the properties.
EVERY_CELL = [Scan(), Hoisted(keep=True), Associative()]
COMMON = ["lstm", "gru"]

every_cell = pytest.mark.parametrize("cell", registry.cells_extended(D, H))


def marks(name, engine, every_cell, variants):
    variant = name in registry.VARIANTS
    if (name == "lstm" and engine not in (Fused(), Newton())) or (engine in every_cell and not variant):
        return ()
    slow = engine not in variants if variant else engine in OPTIONS and name not in COMMON
    return pytest.mark.slow if slow else pytest.mark.extended


def with_engines(engines, every_cell=EVERY_CELL, variants=EVERY_CELL):
    pairs = [
        pytest.param(cell, engine, id=f"{engine}-{name}", marks=marks(name, engine, every_cell, variants))
        for engine in engines
        for name, cell in CELLS.items()
        if engine != Associative() or cell.is_linear
    ]
    return pytest.mark.parametrize(("cell", "engine"), pairs)


every_cell_and_engine = with_engines(ENGINES, variants=[Scan()])


def test_every_engine_is_in_the_contract():
    """But cuDNN's, which runs on an NVIDIA GPU alone and has tests of its own."""
    assert {type(engine).__name__ for engine in ENGINES} == {*rnn_jax.engines.__all__} - {"ENGINES", "Engine", "CuDNN"}


# A property is a function of `rnn_jax.testing`; its docstring says what must hold.
of_the_object = pytest.mark.parametrize("check", contract.OBJECT, ids=lambda check: check.__name__)
with_scan_alone = pytest.mark.parametrize(
    "check",
    [contract.padding, contract.resets, contract.seeds, contract.differences],
    ids=lambda check: check.__name__,
)
with_each_engine = pytest.mark.parametrize(
    "check",
    [contract.shapes, contract.batch_dimensions, contract.rows, contract.segments, contract.loop, engines.states],
    ids=lambda check: check.__name__,
)


@every_cell
@of_the_object
def test_a_cell_is_a_value_with_typed_parameters_and_a_batched_state(cell, check):
    check(cell, Scan())


@with_engines([Scan()], every_cell=[])
@with_scan_alone
def test_sequences_seeds_and_gradient_of_the_reference(cell, engine, check):
    check(cell, engine)


@every_cell_and_engine
@with_each_engine
def test_a_cell_fulfils_its_contract_under_every_engine(cell, engine, check):
    check(cell, engine)


# `Scan` compiles its loop in any case: without `jax.jit`, a variant's `project` and `output` alone run in another way.
@with_engines(ENGINES, every_cell=[Scan()], variants=[])
def test_jit_equals_eager(cell, engine):
    contract.compilation(cell, engine)


@with_engines(ENGINES[1:])
def test_engine_equals_scan_in_value_and_gradient(cell, engine, monkeypatch):
    monkeypatch.setattr(decisions, "SEGMENT", 4)  # of 6 steps, the first 4 and the rest
    contract.gradients(cell, engine)


@every_cell
def test_init_draws_by_its_key_and_states_are_of_single_precision(cell):
    params, other = contract.moved_params(cell), contract.moved_params(cell, 1)
    assert any(jax.tree.leaves(jax.tree.map(lambda a, b: bool(np.any(a != b)), params, other)))
    leaves = jax.tree.leaves(jax.eval_shape(cell.initial_state, params))
    leaves = [leaf for leaf in leaves if leaf.dtype != jnp.int32]  # a counter
    assert {np.finfo(leaf.dtype).dtype for leaf in leaves} == {np.dtype("float32")}  # a state may be complex


@every_cell
def test_a_step_holds_no_arrays_but_its_arguments(cell):
    params, xs, state = contract.moved_params(cell), contract.inputs(cell, B), contract.moved_state(cell, B)
    prepared = cell.prepare(params)  # as an engine gets them
    trace = jax.make_jaxpr(cell.step)(prepared, state, jax.eval_shape(cell.project, prepared, xs))
    assert not [const for const in trace.consts if np.size(const) > 1]


@pytest.mark.parametrize("name", [name for name, cell in CELLS.items() if not cell.is_linear])
def test_cells_that_are_not_linear_are_not_solved_in_parallel(name):
    cell = CELLS[name]
    params = jax.eval_shape(cell.init, jax.random.key(0))
    with pytest.raises(TypeError, match=f"Associative: cell must be linear .* got {type(cell).__name__}"):
        jax.eval_shape(
            lambda params: unroll(cell, params, jnp.zeros((T, B, D)), engine=Associative(), lengths=jnp.full(B, T)),
            params,
        )


@every_cell
def test_equal_cells_share_one_trace(cell):
    traces = []

    @functools.partial(jax.jit, static_argnames="cell")
    def traced(cell, params, xs):
        traces.append(cell)
        return unroll(cell, params, xs)

    twin = dataclasses.replace(cell)
    assert twin is not cell
    assert twin == cell
    assert hash(twin) == hash(cell)
    traced(cell, contract.moved_params(cell), contract.inputs(cell, T, B))
    traced(twin, contract.moved_params(cell), contract.inputs(cell, T, B))
    assert len(traces) == 1


@every_cell
def test_cells_that_differ_in_a_field_are_unequal(cell):
    for field in dataclasses.fields(cell):
        other = copy.copy(cell)
        object.__setattr__(other, field.name, object())  # bypasses the checks: only the comparison is tested
        assert other != cell, field.name


def test_cells_of_the_registry_are_unequal():
    assert len(set(CELLS.values())) == len(CELLS)
    assert all(a != b for a, b in itertools.combinations(CELLS.values(), 2))
