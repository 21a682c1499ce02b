"""The parallel engine: depth, memory, and which cells it accepts; test_cell_contract.py compares it with `Scan`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax
from rnn_jax import (
    GRU,
    LRU,
    LSTM,
    MLSTM,
    Associative,
    Bidirectional,
    DeltaNet,
    Dropout,
    GatedDeltaNet,
    LearnedInitialState,
    LinearRNN,
    MinGRU,
    MinLSTM,
    RecurrentDropout,
    Residual,
    Scan,
    Stack,
    VanillaRNN,
    Zoneout,
    diagnostics,
)
from rnn_jax.linear import Diagonal
from rnn_jax.wrapper import Wrapper

D, H, B = 3, 8, 4
CELLS = {cell.__name__: cell(D, H) for cell in (MinGRU, MinLSTM, LRU, LinearRNN)}
# Of states that are matrices, and of a transition whose products are of another type.
MATRICES = {"MLSTM": MLSTM(D, H, heads=2), "DeltaNet": DeltaNet(D, H, heads=2)}
every_cell = pytest.mark.parametrize(
    "cell",
    [
        *(pytest.param(cell, id=name) for name, cell in CELLS.items()),
        *(pytest.param(cell, id=name, marks=pytest.mark.extended) for name, cell in MATRICES.items()),
    ],
)
compiled = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def loss(cell, engine, params, xs, state=None, **options):
    final, ys = rnn_jax.unroll(cell, params, xs, state, engine=engine, **options)
    return sum(jnp.sum(jnp.abs(leaf) ** 2) for leaf in jax.tree.leaves((final, ys)))


def both_ways(cell, steps=7, **options):
    params, xs = cell.init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (steps, B, cell.input_size))

    @functools.partial(compiled, static_argnums=0)
    def run(engine, params, xs):
        return jax.value_and_grad(functools.partial(loss, cell, engine, **options), argnums=(0, 1))(params, xs)

    return run(Associative(), params, xs), run(Scan(), params, xs)


def assert_close(got, expected, tolerance=1e-5):
    """Up to rounding, which is that of an array's largest entries: another order of adding them up."""
    jax.tree.map(
        lambda g, w: np.testing.assert_allclose(
            g, w, rtol=tolerance, atol=tolerance * max(1, np.max(np.abs(w), initial=0))
        ),
        got,
        expected,
    )


@every_cell
@pytest.mark.parametrize(
    "steps",
    [
        *(0, 3),
        *(pytest.param(n, marks=pytest.mark.extended) for n in (1, 8)),
        *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 4, 5, 13)),
    ],
)
def test_any_number_of_steps(cell, steps):
    assert_close(*both_ways(cell, steps))


def gradient_jaxpr(cell, steps, **options):
    params = jax.eval_shape(cell.init, jax.random.key(0))
    xs = jax.ShapeDtypeStruct((steps, B, D), jnp.float32)
    gradient = jax.value_and_grad(functools.partial(loss, cell, Associative(), **options), argnums=(0, 1))
    return jax.make_jaxpr(gradient)(params, xs).jaxpr


def inner_jaxprs(eqn):
    values = [value for param in eqn.params.values() for value in (param if isinstance(param, tuple) else (param,))]
    return [getattr(value, "jaxpr", value) for value in values if hasattr(value, "eqns") or hasattr(value, "jaxpr")]


def depth(jaxpr):
    """Returns the longest path through a program, in operations; loops are counted by `loops`."""
    at = {}
    for eqn in jaxpr.eqns:
        before = max((at.get(v, 0) for v in eqn.invars if not hasattr(v, "val")), default=0)
        own = max(map(depth, inner_jaxprs(eqn)), default=1)
        at |= dict.fromkeys(eqn.outvars, before + own)
    return max(at.values(), default=0)


def loops(jaxpr):
    """Returns how many operations of a program run along an axis sequentially."""
    sequential = ("scan", "while", "cumsum", "cumprod", "cumlogsumexp", "cummax")
    return sum((eqn.primitive.name in sequential) + sum(map(loops, inner_jaxprs(eqn))) for eqn in jaxpr.eqns)


@every_cell
@pytest.mark.parametrize(
    "lengths", [pytest.param(None, marks=pytest.mark.extended), np.full(B, 5)], ids=["full", "lengths"]
)
def test_depth_of_the_gradient_program_is_logarithmic_in_time(cell, lengths):
    of = [gradient_jaxpr(cell, steps, lengths=lengths) for steps in (64, 128, 256)]
    assert not any(map(loops, of))
    one, two, three = map(depth, of)
    assert three - two == two - one <= 40
    # The counter works: a scan has one loop.
    scanned = jax.make_jaxpr(lambda p, x: loss(cell, Scan(), p, x))(cell.init(jax.random.key(0)), jnp.ones((64, B, D)))
    assert loops(scanned.jaxpr) == 1


def temporary_bytes(cell, engine, steps):
    params = jax.eval_shape(cell.init, jax.random.key(0))
    xs = jax.ShapeDtypeStruct((steps, B, D), jnp.float32)
    gradient = jax.jit(jax.grad(functools.partial(loss, cell, engine)))
    return gradient.lower(params, xs).compile().memory_analysis().temp_size_in_bytes


@pytest.mark.parametrize(
    "cell",
    [pytest.param(cell, id=n, marks=() if n == "MinGRU" else pytest.mark.extended) for n, cell in CELLS.items()],
)
def test_memory_grows_with_time_as_that_of_the_loop(cell):
    short, long = (temporary_bytes(cell, Associative(), steps) for steps in (1024, 8192))
    assert long <= 8.2 * short  # 8 * 13 / 10 if an array were kept for every round
    assert long <= 1.15 * temporary_bytes(cell, Scan(), 8192)


def largest(jaxpr):
    shapes = [v.aval.size for eqn in jaxpr.eqns for v in eqn.outvars]
    return max(shapes + [largest(inner) for eqn in jaxpr.eqns for inner in inner_jaxprs(eqn)], default=0)


def test_a_matrix_that_all_steps_share_stays_one_matrix():
    steps = 64
    assert largest(gradient_jaxpr(LinearRNN(D, H), steps)) <= steps * B * H < steps * H * H
    # With lengths it differs for every step and sequence.
    assert largest(gradient_jaxpr(LinearRNN(D, H), steps, lengths=np.full(B, 5))) >= (steps - 1) * B * H * H


NESTED = {
    "learned": LearnedInitialState(LRU(D, H)),
    "residual": Residual(MinGRU(D, D)),
    "dropout": Dropout(MinLSTM(D, H), 0.3),
    "zoneout": Zoneout(LearnedInitialState(LinearRNN(D, H)), 0.2),
    "zoneout complex": Zoneout(LRU(D, H), 0.2),
    "zoneout matrices": Zoneout(MLSTM(D, H, heads=2), 0.2),
    "zoneout rank one": Zoneout(GatedDeltaNet(D, H, heads=2), 0.2),
    "stack": Stack([LRU(D, H), Zoneout(MinGRU(H, H), 0.1), Residual(Dropout(LinearRNN(H, H), 0.3, variational=True))]),
    "bidirectional": Bidirectional(Stack([MinGRU(D, H), Bidirectional(LRU(H, H))])),
}


@pytest.mark.parametrize(
    "layer",
    [
        pytest.param(layer, id=name, marks=() if name in ("dropout", "zoneout") else pytest.mark.extended)
        for name, layer in NESTED.items()
    ],
)
def test_layers_with_noise_in_parallel(layer):
    options = {"lengths": np.array([7, 0, 1, 4]), "resets": np.random.default_rng(0).random((7, B)) < 0.3}
    assert_close(*both_ways(layer, **options, key=jax.random.key(3)))


def test_lag_gradients_in_parallel():
    cell = LRU(D, H)
    params, xs = cell.init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (6, B, D))

    def loss_of_last(ys):
        return jnp.sum(ys[-1] ** 2)

    @functools.partial(compiled, static_argnums=0)
    def gradients(engine):
        return diagnostics.state_gradients(cell, params, xs, loss_of_last, engine=engine)

    assert_close(gradients(Associative()), gradients(Scan()))


class Halved(MinGRU):
    """Defines `step` and inherits `linear`."""

    def step(self, params, state, drive):
        return super().step(params, state, drive) / 2


class Squared(Wrapper):
    """Changes the step and inherits `linear`."""

    def around(self, params, state, drive, advance):
        return advance(params, state, drive) ** 2


class Doubled(Squared):
    """Overrides `around` and `linear`."""

    def around(self, params, state, drive, advance):
        return 2 * advance(params, state, drive)

    def linear(self, params, drive):
        transition, b = self.cell.linear(params, drive)
        return Diagonal(2 * transition.a), 2 * b


@pytest.mark.parametrize(
    ("cell", "named"),
    [
        (Halved(D, H), "Halved"),
        (Squared(MinGRU(D, H)), "Squared"),
        (Zoneout(Squared(MinGRU(D, H)), 0.1), "Squared"),
        (LearnedInitialState(LSTM(D, H)), "LSTM"),
        (RecurrentDropout(VanillaRNN(D, H), 0.2), "VanillaRNN"),
        (LearnedInitialState(Stack([MinGRU(D, H), MinGRU(H, H)])), "Stack"),
        (Stack([MinGRU(D, H), GRU(H, H)]), "GRU"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("lengths", [None, np.full(B, 2)], ids=["full", "lengths"])
def test_a_cell_that_is_not_linear_is_refused_by_name(cell, named, lengths):
    params = cell.init(jax.random.key(0))
    with pytest.raises(TypeError, match=f"Associative: .* got {named}; use Scan, Hoisted or Checkpointed"):
        rnn_jax.unroll(cell, params, jnp.ones((4, B, D)), lengths=lengths, engine=Associative(), key=None)


@pytest.mark.parametrize("cell", [Doubled(MinGRU(D, H)), Zoneout(Doubled(LRU(D, H)), 0.1)], ids=repr)
def test_a_wrapper_that_defines_linear_with_around_stays_linear(cell):
    assert cell.is_linear
    assert not cell.is_split
    assert_close(*both_ways(cell, key=None))


def test_a_user_defined_step_replaces_an_inherited_linear():
    cell = Halved(D, H)
    params, xs = cell.init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (1, B, D))
    inherited, _ = rnn_jax.unroll(MinGRU(D, H), params, xs)
    got, _ = rnn_jax.unroll(cell, params, xs)
    assert_close(got, inherited / 2)


@every_cell
def test_a_reset_stops_states_that_are_not_finite(cell):
    params, xs = cell.init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (5, B, D))
    state = jax.tree.map(lambda leaf: jnp.full_like(leaf, np.nan), cell.initial_state(params, (B,)))
    resets = np.zeros((5, B), bool)
    resets[2] = True
    xs = xs.at[1].set(np.inf)
    for engine in (Associative(), Scan()):
        final, ys = compiled(rnn_jax.unroll, static_argnames=("cell", "engine"))(
            cell, params, xs, state, resets=resets, engine=engine
        )
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(final))
        assert np.all(np.isfinite(ys[2:]))
        assert not np.any(np.isfinite(ys[:2]))


@pytest.mark.extended
def test_forward_mode_is_refused_and_forward_over_reverse_works():
    cell = MinGRU(D, H)
    params, xs = cell.init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (5, D))

    def of(engine):
        return lambda xs: loss(cell, engine, params, xs)

    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(of(Associative()), (xs,), (xs,))
    over = compiled(lambda engine, xs: jax.jvp(jax.grad(of(engine)), (xs,), (xs,))[1], static_argnums=0)
    assert_close(over(Associative(), xs), over(Scan(), xs))
