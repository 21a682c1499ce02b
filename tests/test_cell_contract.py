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
from rnn_jax.engines import Associative, Checkpointed, Hoisted, Scan, decisions
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
]
LINEAR = ["min_gru", "min_lstm", "lru", "linear"]  # cells that `Associative` accepts
# Engines that differ from another one by an option; with most cells they are marked slow.
OPTIONS = [Scan(unroll=3), Hoisted(keep=False), Checkpointed(recursive=True)]
# Engines that the plain run tests with every cell that is no variant; it tests LSTM with every engine.
EVERY_CELL = [Scan(), Hoisted(keep=True), Associative()]
COMMON = ["lstm", "gru"]

every_cell = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)


def marks(name, engine, every_cell):
    if name == "lstm" or (engine in every_cell and name not in registry.VARIANTS):
        return ()
    return pytest.mark.slow if engine in OPTIONS and name not in COMMON else pytest.mark.extended


def with_engines(engines, every_cell=EVERY_CELL):
    pairs = [
        pytest.param(cell, engine, id=f"{engine}-{name}", marks=marks(name, engine, every_cell))
        for engine in engines
        for name, cell in CELLS.items()
        if engine != Associative() or name in LINEAR
    ]
    return pytest.mark.parametrize(("cell", "engine"), pairs)


every_cell_and_engine = with_engines(ENGINES)

# Compiled once per cell (and engine) for all tests, as most share shapes; unoptimized, as compiling takes most time.
compiled = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
initialized = compiled(lambda cell, key: cell.init(key), static_argnums=0)
unrolled = compiled(unroll, static_argnames=("cell", "engine"))


@functools.cache
def params_of(cell):
    """Parameters off their initial values: biases of zero and an IRNN's tiny input weights would hide mistakes."""
    rng = np.random.default_rng(0)
    params = initialized(cell, jax.random.key(0))
    return jax.tree.map(lambda p: p + jnp.asarray(rng.normal(0, 0.3, p.shape), p.dtype), params)


def inputs(*shape):
    return jnp.asarray(np.random.default_rng(1).normal(size=(*shape, D)), jnp.float32)


def state_of(cell, *batch_shape):
    """A state that is not the initial one, so that ignoring it is noticed."""
    rng = np.random.default_rng(2)
    state = cell.initial_state(params_of(cell), batch_shape)

    def move(s):
        both = rng.normal(0, 0.5, s.shape) + 1j * rng.normal(0, 0.5, s.shape)
        return s + jnp.asarray(both if jnp.iscomplexobj(s) else both.real, s.dtype)

    return jax.tree.map(move, state)


def assert_close(got, expected, rtol=1e-5, atol=1e-6):
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    jax.tree.map(lambda g, w: np.testing.assert_allclose(g, w, rtol=rtol, atol=atol), got, expected)


def assert_equal(got, expected):
    assert_close(got, expected, rtol=0, atol=0)


@every_cell
def test_params_and_state_are_single_precision_and_batched(cell):
    params = jax.eval_shape(cell.init, jax.random.key(0))
    single = jax.eval_shape(cell.initial_state, params)
    batched = jax.eval_shape(lambda p: cell.initial_state(p, (2, 5)), params)
    assert jax.tree.structure(single) == jax.tree.structure(batched)
    # Parameters are real, a state may be complex.
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {np.dtype("float32")}
    assert {np.finfo(leaf.dtype).dtype for leaf in jax.tree.leaves((single, batched))} == {np.dtype("float32")}
    assert [b.shape for b in jax.tree.leaves(batched)] == [(2, 5, *s.shape) for s in jax.tree.leaves(single)]


@every_cell
def test_init_draws_by_its_key(cell):
    params = initialized(cell, jax.random.key(0))
    assert_equal(initialized(cell, jax.random.key(0)), params)
    other = initialized(cell, jax.random.key(1))
    assert any(jax.tree.leaves(jax.tree.map(lambda a, b: bool(np.any(a != b)), params, other)))


@every_cell_and_engine
@pytest.mark.parametrize("batch_shape", [(), (2,), (2, 3)], ids=str)
def test_shapes_and_dtypes_of_an_unroll(cell, engine, batch_shape):
    params = params_of(cell)
    final_state, ys = jax.eval_shape(lambda p, xs: unroll(cell, p, xs, engine=engine), params, inputs(T, *batch_shape))
    assert final_state == jax.eval_shape(lambda p: cell.initial_state(p, batch_shape), params)
    leaves = jax.tree.leaves(ys)
    assert leaves
    assert all(y.shape[: 1 + len(batch_shape)] == (T, *batch_shape) and y.dtype == jnp.float32 for y in leaves)
    assert leaves[0].shape == (T, *batch_shape, cell.output_size)


@every_cell_and_engine
def test_batch_dimensions_are_free(cell, engine):
    params, xs, state = params_of(cell), inputs(T, 2, B // 2), state_of(cell, 2, B // 2)
    nested = unrolled(cell, params, xs, state, engine=engine)
    state_rows = jax.tree.map(lambda s: s.reshape(B, *s.shape[2:]), state)
    final_flat, ys_flat = unrolled(cell, params, xs.reshape(T, B, D), state_rows, engine=engine)
    final_row, ys_row = unrolled(cell, params, xs[:, 1, 2], jax.tree.map(lambda s: s[1, 2], state), engine=engine)
    assert_close(
        (final_flat, ys_flat),
        (
            jax.tree.map(lambda s: s.reshape(B, *s.shape[2:]), nested[0]),
            jax.tree.map(lambda y: y.reshape(T, B, *y.shape[3:]), nested[1]),
        ),
    )
    assert_close(
        (final_row, ys_row), (jax.tree.map(lambda s: s[1, 2], nested[0]), jax.tree.map(lambda y: y[:, 1, 2], nested[1]))
    )


@every_cell_and_engine
def test_two_segments_equal_one_sequence(cell, engine):
    params, xs, state = params_of(cell), inputs(T, B), state_of(cell, B)
    final_state, ys = unrolled(cell, params, xs, state, engine=engine)
    middle_state, ys_1 = unrolled(cell, params, xs[: T // 2], state, engine=engine)
    last_state, ys_2 = unrolled(cell, params, xs[T // 2 :], middle_state, engine=engine)
    joined = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), ys_1, ys_2)
    assert_close((last_state, joined), (final_state, ys))


@every_cell_and_engine
@pytest.mark.parametrize("disturbance", [100.0, np.nan])
def test_sequences_of_a_batch_are_independent(cell, engine, disturbance):
    params, xs, state = params_of(cell), inputs(T, B), state_of(cell, B)
    others = np.arange(B) != 1
    disturbed = jax.tree.map(lambda s: s.at[others].set(disturbance), state)
    final_state, ys = unrolled(cell, params, xs, state, engine=engine)
    final_disturbed, ys_disturbed = unrolled(cell, params, xs.at[:, others].set(disturbance), disturbed, engine=engine)
    assert_equal(jax.tree.map(lambda s: s[1], final_disturbed), jax.tree.map(lambda s: s[1], final_state))
    assert_equal(jax.tree.map(lambda y: y[:, 1], ys_disturbed), jax.tree.map(lambda y: y[:, 1], ys))


@every_cell_and_engine
def test_the_last_state_is_the_final_state(cell, engine):
    solve = compiled(engine, static_argnums=0)
    final_state, states = solve(cell, params_of(cell), state_of(cell, B), inputs(T, B))
    assert jax.tree.structure(states) == jax.tree.structure(final_state)
    assert all(s.shape[0] == T for s in jax.tree.leaves(states))
    assert_equal(final_state, jax.tree.map(lambda s: s[-1], states))


@every_cell_and_engine
def test_one_step_is_an_unroll_of_length_one(cell, engine):
    params, xs, state = params_of(cell), inputs(1, B), state_of(cell, B)
    stepped = compiled(lambda p, s, x: cell.step(p, s, cell.project(p, x)))(params, state, xs[0])
    final_state, ys = unrolled(cell, params, xs, state, engine=engine)
    assert_close(final_state, stepped)
    assert_close(jax.tree.map(lambda y: y[0], ys), cell.output(params, stepped, xs[0]))


@every_cell
def test_a_step_depends_on_its_arguments_alone(cell):
    # Each input is projected alone, before any step: a step gets nothing from outside but its drive.
    params, xs, state = params_of(cell), inputs(T, B), state_of(cell, B)
    project, step = compiled(cell.project), compiled(cell.step)
    drives = [project(params, x) for x in xs]
    trace = jax.make_jaxpr(cell.step)(params, state, drives[0])
    assert not trace.effects
    assert not [const for const in trace.consts if np.size(const) > 1]
    states = list(itertools.accumulate(drives, functools.partial(step, params), initial=state))[1:]
    final_state, all_states = compiled(Scan(), static_argnums=0)(cell, params, state, xs)
    assert_close(final_state, states[-1])
    assert_close(all_states, jax.tree.map(lambda *s: jnp.stack(s), *states))


@with_engines(ENGINES, every_cell=[Scan()])
def test_jit_equals_eager(cell, engine):
    params, xs, state = params_of(cell), inputs(T, B), state_of(cell, B)
    # Layer normalisation divides by a deviation that may be small, which magnifies rounding errors.
    eager = unroll(cell, params, xs, state, engine=engine)
    assert_close(unrolled(cell, params, xs, state, engine=engine), eager, atol=5e-6)


@functools.partial(compiled, static_argnums=(0, 1))
def value_and_gradient(cell, engine, params, xs, state):
    def loss(params, xs, state):
        final_state, ys = unroll(cell, params, xs, state, engine=engine)
        # Each entry has a different weight, so that exchanging two of them is detected.
        leaves = jax.tree.leaves((final_state, ys))
        parts = [part for x in leaves for part in ((x.real, x.imag) if jnp.iscomplexobj(x) else (x,))]
        return sum(jnp.sum(jnp.sin(jnp.arange(x.size, dtype=x.dtype)).reshape(x.shape) * x) for x in parts)

    return jax.value_and_grad(loss, argnums=(0, 1, 2))(params, xs, state)


@with_engines(ENGINES[1:])
def test_engine_equals_scan_in_value_and_gradient(cell, engine, monkeypatch):
    monkeypatch.setattr(decisions, "SEGMENT", 4)  # of 6 steps, the first 4 and the rest
    arguments = params_of(cell), inputs(T, B), state_of(cell, B)
    assert_close(value_and_gradient(cell, engine, *arguments), value_and_gradient(cell, Scan(), *arguments), atol=1e-5)


@pytest.mark.parametrize("name", CELLS)
def test_which_cells_are_solved_in_parallel(name):
    cell = CELLS[name]
    assert cell.is_linear == (name in LINEAR)
    assert not (cell.is_linear and cell.is_split)
    if name not in LINEAR:
        with pytest.raises(TypeError, match=f"Associative: cell must be linear .* got {type(cell).__name__}"):
            unroll(cell, params_of(cell), inputs(T, B), engine=Associative(), lengths=jnp.full(B, T))


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
    traced(cell, params_of(cell), inputs(T, B))
    traced(twin, params_of(cell), inputs(T, B))
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
