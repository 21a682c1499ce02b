"""Memory and compiled programs of the engines; test_cell_contract.py and float64/test_sequences.py compare values."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import rnn_jax
from rnn_jax import GRU, LSTM, Checkpointed, Hoisted, LearnedInitialState, Scan, Zoneout, engines
from rnn_jax.engines import decisions, hoisted

D, H, B = 8, 32, 16
TYPES = {name: make(D, H) for name, make in rnn_jax.CELLS.items()}


def temporary_bytes(cell, engine, steps):
    """Returns the temporary memory of a gradient by the parameters; the loss reads the final state."""

    def loss(params, xs):
        final_state, _ = rnn_jax.unroll(cell, params, xs, engine=engine)
        return sum(jnp.sum(leaf) for leaf in jax.tree.leaves(final_state))

    params = jax.eval_shape(cell.init, jax.random.key(0))
    xs = jax.ShapeDtypeStruct((steps, B, cell.input_size), jnp.float32)
    return jax.jit(jax.grad(loss)).lower(params, xs).compile().memory_analysis().temp_size_in_bytes


@pytest.mark.parametrize(
    "cell",
    [LSTM(1, H), pytest.param(rnn_jax.GRUResetBefore(1, H), marks=pytest.mark.slow)],
    ids=["lstm", "gru_reset_before"],
)
@pytest.mark.parametrize("recursive", [False, pytest.param(True, marks=pytest.mark.extended)])
def test_checkpointing_memory_grows_with_the_square_root(cell, recursive):
    short, long = (temporary_bytes(cell, Checkpointed(recursive=recursive), steps) for steps in (100, 1600))
    assert long <= 4.5 * short
    assert temporary_bytes(cell, Scan(), 1600) > 10 * long


@pytest.mark.extended
def test_recursive_checkpointing_takes_less_than_segments():
    segments, halves = (temporary_bytes(LSTM(1, H), Checkpointed(recursive=r), 1600) for r in (False, True))
    assert halves < segments / 2


@functools.partial(jax.jit, static_argnums=2)
@functools.partial(jax.grad, argnums=(0, 1), has_aux=True)
def gradient_and_results(params, xs, engine):
    results = rnn_jax.unroll(LSTM(2, 3), params, xs, engine=engine)
    return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(results)), results


@pytest.mark.parametrize(
    "steps",
    [
        *(0, 1, 7),
        pytest.param(53, marks=pytest.mark.extended),
        *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 12, 25)),
    ],
)
@pytest.mark.parametrize(
    "engine",
    [
        Checkpointed(),
        pytest.param(Checkpointed(3), marks=pytest.mark.extended),
        pytest.param(Checkpointed(100), marks=pytest.mark.slow),
        pytest.param(Checkpointed(2, True), marks=pytest.mark.extended),
        Checkpointed(recursive=True),
        pytest.param(Hoisted(4), marks=pytest.mark.slow),
        Hoisted(keep=True),
        Hoisted(keep=False),
    ],
    ids=str,
)
def test_any_number_of_steps(engine, steps):
    params, xs = LSTM(2, 3).init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (steps, 2, 2))
    got, expected = gradient_and_results(params, xs, engine), gradient_and_results(params, xs, Scan())
    jax.tree.map(lambda g, w: np.testing.assert_allclose(g, w, rtol=1e-5, atol=1e-6), got, expected)


def on_cpu(jaxpr):
    """Returns a jaxpr's operations, of those for one platform each the ones for a CPU, which is the last."""
    for eqn in jaxpr.eqns:
        if eqn.params.get("branches_platforms"):
            yield from on_cpu(getattr(eqn.params["branches"][-1], "jaxpr", eqn.params["branches"][-1]))
        else:
            yield eqn


def large_products(cell, engine):
    """Returns the products in a gradient's program, outside its loops, that sum over all steps and sequences."""
    steps = 11

    def loss(params, xs):
        return jnp.sum(rnn_jax.unroll(cell, params, xs, engine=engine)[1])

    params = jax.eval_shape(cell.init, jax.random.key(0))
    jaxpr = jax.make_jaxpr(jax.grad(loss))(params, jax.ShapeDtypeStruct((steps, B, D), jnp.float32)).jaxpr
    shapes = [[v.aval.shape for v in eqn.invars] for eqn in on_cpu(jaxpr) if eqn.primitive.name == "dot_general"]
    return [pair for pair in shapes if all(shape[:2] == (steps, B) or shape[0] == steps * B for shape in pair)]


def test_the_recurrent_weights_gradient_is_one_product_after_the_loop():
    # dL/dW_h and dL/dW_i, both from all steps at once.
    weights = large_products(LSTM(D, H), Hoisted())
    assert sorted(pair[1][-1] + pair[0][-1] for pair in weights) == [4 * H + D, 4 * H + H]
    # `Scan` has only the projection's gradient outside its loop.
    assert len(large_products(LSTM(D, H), Scan())) == 1


@pytest.mark.parametrize(("name", "only_the_sum"), [
    ("rnn", True), ("irnn", True), ("lstm", True), ("lstm_peephole", True), ("lstm_coupled", True),
    ("lstm_layer_norm", False), ("gru", False), ("gru_layer_norm", False), ("ind_rnn", True), ("co_rnn", True),
    ("antisymmetric_rnn", True), ("gated_antisymmetric_rnn", False), ("exp_rnn", True), ("lipschitz_rnn", False),
    ("leaky_rnn", True), ("unicornn", True), ("clockwork_rnn", True), ("lmu", True),
    ("janet", True), ("fast_grnn", True), ("slstm", True), ("sru", False), ("brc", False), ("nbrc", False),
])  # fmt: skip
@pytest.mark.parametrize("around", [lambda cell: cell, LearnedInitialState, lambda cell: Zoneout(cell, 0.1)])
def test_which_cells_keep_one_array_for_two(name, only_the_sum, around):
    cell = around(TYPES[name])
    params = jax.tree.map(lambda leaf: jnp.ones(leaf.shape), jax.eval_shape(cell.init, jax.random.key(0)))
    state, drive = cell.initial_state(params, (B,)), cell.project(params, jnp.ones((B, D)))
    r = cell.recurrent(params, cell.enter(params, state, drive))
    assert decisions.reads_only_sum(cell, params, state, drive, r) == only_the_sum


class Doubled(rnn_jax.VanillaRNN):
    """Reads the sum and, once more, the drive."""

    def activate(self, params, state, drive, r):
        return self.activation(drive + r) + 0.1 * drive


@pytest.mark.extended
def test_a_cell_that_reads_the_drive_and_the_sum_keeps_both():
    cell = Doubled(D, H)
    params, xs = cell.init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (5, B, D))

    def gradient(engine):
        return jax.grad(lambda p: jnp.sum(rnn_jax.unroll(cell, p, xs, engine=engine)[1] ** 2))(params)

    jax.tree.map(
        lambda g, w: np.testing.assert_allclose(g, w, rtol=1e-4, atol=1e-4), gradient(Hoisted()), gradient(Scan())
    )


class Halved(LSTM):
    """Defines `step` and inherits `recurrent` and `activate`."""

    def step(self, params, state, drive):
        return jax.tree.map(lambda s: s / 2, super().step(params, state, drive))


class Shifted(rnn_jax.wrapper.Wrapper):
    """A wrapper that defines `step`."""

    def step(self, params, state, drive):
        return jax.tree.map(lambda s: s + 1, self.cell.step(params, state, drive))


@pytest.mark.parametrize(
    "cell",
    [Halved(2, 3), Shifted(LSTM(2, 3)), pytest.param(Zoneout(Shifted(GRU(2, 3)), 0.1), marks=pytest.mark.extended)],
    ids=repr,
)
def test_every_engine_uses_a_user_defined_step(cell):
    params, xs = cell.init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (4, 2, 2))
    assert not cell.is_split
    state = cell.initial_state(params, (2,))
    for x in xs:
        state = cell.step(params, state, cell.project(params, x))
    for engine in (Scan(), Hoisted(), Checkpointed()):
        final, _ = rnn_jax.unroll(cell, params, xs, engine=engine, key=None)
        jax.tree.map(lambda g, w: np.testing.assert_allclose(g, w, rtol=1e-5, atol=1e-6), final, state)


@pytest.mark.parametrize(("cell", "batch", "steps", "kept"), [
    (LSTM(1, 100), 128, 784, False),  # 161 MB
    (LSTM(1, 128), 1, 784, True),  # 1.6 MB
    (LSTM(256, 512), 256, 50, True),  # 105 MB, but 1,536 operations for each number
    (GRU(1, 128), 128, 784, False),  # 308 MB
    (GRU(64, 256), 64, 200, True),  # 79 MB, but 320 operations for each number of its two arrays
    (GRU(2, 32), 20, 100, True),
    (LSTM(64, 256), 64, 200, True),
    (LSTM(64, 64), 16, 10_000, True),  # 164 MB, and 256 operations
    (rnn_jax.GRUResetBefore(64, 256), 64, 200, False),  # 39 MB, of the projection alone: 128 for each number
    (rnn_jax.GRUResetBefore(256, 512), 256, 50, True),  # 512
])  # fmt: skip
def test_small_or_expensive_arguments_are_kept(cell, batch, steps, kept):
    params = jax.eval_shape(cell.init, jax.random.key(0))
    xs = jax.ShapeDtypeStruct((steps, batch, cell.input_size), jnp.float32)
    states = jax.eval_shape(lambda p: cell.initial_state(p, (batch,)), params)
    assert hoisted._keeps(Hoisted(), cell, params, states, xs) == kept


def test_kept_arguments_are_not_copied_at_every_step():
    # At this size XLA copies both arrays in the loop if a row is read before the array is written (jaxlib 0.10.2).
    cell, steps, batch = GRU(2, 32), 100, 20
    params, xs = cell.init(jax.random.key(0)), jnp.ones((steps, batch, 2))

    def total(params, xs):
        return jnp.sum(rnn_jax.unroll(cell, params, xs, engine=Hoisted(keep=True))[1])

    program = jax.jit(jax.grad(total, argnums=(0, 1))).lower(params, xs).compile().as_text()
    loops, _ = program.split("\nENTRY ")
    kept = rf"f32\[{steps},{batch},{3 * cell.hidden_size}\]\S*"
    assert re.search(kept, loops)
    assert not re.search(rf"{kept} copy\(", loops)


def test_recomputing_saves_the_memory_of_the_arguments():
    cell, wide = GRU(1, H), 6 * H  # a drive and a product, with three gates each
    with_it, without = (temporary_bytes(cell, Hoisted(keep=keep), 1600) for keep in (True, False))
    assert with_it - without > 0.9 * 1600 * B * wide * 4


def push(f, xs):
    return jax.jvp(f, (xs,), (xs,))[1]


FORWARD = {
    "jvp": push,
    "jacfwd": lambda f, xs: jax.jacfwd(f)(xs),
    "jit": lambda f, xs: jax.jit(functools.partial(push, f))(xs),
    "of_jit": lambda f, xs: push(jax.jit(f), xs),
    "vmap": lambda f, xs: jax.vmap(lambda t: jax.jvp(f, (xs,), (t,))[1])(jnp.stack([xs, xs])),
    "twice": lambda f, xs: push(functools.partial(push, f), xs),
    "scan": lambda f, xs: push(
        lambda xs: jax.lax.scan(lambda s, _: (f(xs[:, :2])[:, :2] + s, None), xs, None, 2)[0], xs
    ),
    "check_grads": lambda f, xs: check_grads(f, (xs,), order=1),
}
REST = [name for name in FORWARD if name not in ("jvp", "of_jit")]


@pytest.mark.parametrize(
    ("cell", "engine"),
    [(GRU(2, 3), Hoisted()), pytest.param(rnn_jax.MinGRU(2, 3), engines.Associative(), marks=pytest.mark.extended)],
    ids=["hoisted", "associative"],
)
@pytest.mark.parametrize("name", ["jvp", "of_jit", *(pytest.param(name, marks=pytest.mark.extended) for name in REST)])
def test_forward_mode_is_refused_with_what_to_do(cell, engine, name):
    params, xs = cell.init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (4, 2))
    with pytest.raises(TypeError, match=rf"^{type(engine).__name__}: .* forward-mode .*; use engine=Scan\(\)"):
        FORWARD[name](lambda xs: rnn_jax.unroll(cell, params, xs, engine=engine)[1], xs)


def repeated(f):
    """Returns f + f by a loop, whose gradient JAX derives from its forward mode."""
    return lambda xs: jax.lax.scan(lambda s, _: (s + f(xs), None), 0.0, None, 2)[0]


REVERSE = {
    "forward_over_reverse": lambda f, xs: push(jax.grad(f), xs),
    "forward_over_jit": lambda f, xs: push(jax.jit(jax.grad(f)), xs),
    "twice": lambda f, xs: jax.grad(lambda xs: jnp.sum(jax.grad(f)(xs) ** 2))(xs),
    "checkpoint": lambda f, xs: jax.grad(jax.checkpoint(f))(xs),
    "of_jit": lambda f, xs: jax.grad(jax.jit(f))(xs),
    "scan": lambda f, xs: jax.grad(repeated(f))(xs),
    "cond": lambda f, xs: jax.grad(lambda xs: jax.lax.cond(xs[0, 0] > -9, f, jnp.sum, xs))(xs),
    "vmap": lambda f, xs: jax.vmap(jax.grad(f))(jnp.stack([xs, -xs])),
    "of_vmap": lambda f, xs: jax.grad(lambda xs: jnp.sum(jax.vmap(f)(jnp.stack([xs, -xs]))))(xs),
    "linearize": lambda f, xs: jax.linear_transpose(jax.linearize(f, xs)[1], xs)(1.0)[0],
}


@pytest.mark.parametrize(
    "name", [name if name == "scan" else pytest.param(name, marks=pytest.mark.extended) for name in REVERSE]
)
def test_every_other_derivative_is_that_of_scan(name):
    cell = GRU(2, 3)
    params, xs = cell.init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (4, 2))

    def derivative(engine):
        return REVERSE[name](lambda xs: jnp.sum(rnn_jax.unroll(cell, params, xs, engine=engine)[1] ** 2), xs)

    np.testing.assert_allclose(derivative(Hoisted()), derivative(Scan()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("keep", [0, 1, "yes"])
def test_keep_is_a_boolean_or_none(keep):
    with pytest.raises(TypeError, match="Hoisted: keep must be True, False or None, got"):
        Hoisted(keep=keep)


@pytest.mark.parametrize("make", [engines.Hoisted, engines.Scan, engines.Checkpointed])
@pytest.mark.parametrize("value", [0, -1, 2.5, True, "8"])
def test_numbers_of_steps_must_be_positive_integers(make, value):
    with pytest.raises(ValueError, match=f"{make.__name__}: .* must be a positive integer, got"):
        make(value)
