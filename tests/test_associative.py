"""What the parallel engine is for, and whom it takes; that it equals `Scan` is in the tests of every engine."""

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
    Associative,
    Bidirectional,
    Cell,
    Dropout,
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
    training,
)
from rnn_jax.linear import Diagonal
from rnn_jax.wrapper import Wrapper

D, H, B = 3, 8, 4
CELLS = {cell.__name__: cell(D, H) for cell in (MinGRU, MinLSTM, LRU, LinearRNN)}
every_cell = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
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


def assert_close(got, wanted, tolerance=1e-5):
    """Up to rounding, which is that of an array's largest entries: another order of adding them up."""
    jax.tree.map(
        lambda g, w: np.testing.assert_allclose(
            g, w, rtol=tolerance, atol=tolerance * max(1, np.max(np.abs(w), initial=0))
        ),
        got,
        wanted,
    )


@every_cell
@pytest.mark.parametrize("steps", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 21])
def test_any_number_of_steps(cell, steps):
    assert_close(*both_ways(cell, steps))


def gradient_jaxpr(cell, steps, **options):
    params = jax.eval_shape(cell.init, jax.random.key(0))
    xs = jax.ShapeDtypeStruct((steps, B, D), jnp.float32)
    gradient = jax.value_and_grad(functools.partial(loss, cell, Associative(), **options), argnums=(0, 1))
    return jax.make_jaxpr(gradient)(params, xs).jaxpr


def inner_jaxprs(eqn):
    found = [value for param in eqn.params.values() for value in (param if isinstance(param, tuple) else (param,))]
    return [getattr(value, "jaxpr", value) for value in found if hasattr(value, "eqns") or hasattr(value, "jaxpr")]


def depth(jaxpr):
    """The longest way through a program, in operations; loops are counted by `loops`."""
    at = {}
    for eqn in jaxpr.eqns:
        before = max((at.get(v, 0) for v in eqn.invars if not hasattr(v, "val")), default=0)
        own = max(map(depth, inner_jaxprs(eqn)), default=1)
        at |= dict.fromkeys(eqn.outvars, before + own)
    return max(at.values(), default=0)


def loops(jaxpr):
    """How many operations of a program walk along an axis one after the other."""
    sequential = ("scan", "while", "cumsum", "cumprod", "cumlogsumexp", "cummax")
    return sum((eqn.primitive.name in sequential) + sum(map(loops, inner_jaxprs(eqn))) for eqn in jaxpr.eqns)


@every_cell
@pytest.mark.parametrize("lengths", [None, np.full(B, 5)], ids=["full", "lengths"])
def test_the_depth_of_the_gradients_program_is_the_logarithm_of_the_time(cell, lengths):
    of = [gradient_jaxpr(cell, steps, lengths=lengths) for steps in (64, 128, 256)]
    assert not any(map(loops, of))
    one, two, three = map(depth, of)
    assert three - two == two - one <= 40
    # What the test would see.
    scanned = jax.make_jaxpr(lambda p, x: loss(cell, Scan(), p, x))(cell.init(jax.random.key(0)), jnp.ones((64, B, D)))
    assert loops(scanned.jaxpr) == 1


def temporary_bytes(cell, engine, steps):
    params = jax.eval_shape(cell.init, jax.random.key(0))
    xs = jax.ShapeDtypeStruct((steps, B, D), jnp.float32)
    gradient = jax.jit(jax.grad(functools.partial(loss, cell, engine)))
    return gradient.lower(params, xs).compile().memory_analysis().temp_size_in_bytes


@every_cell
def test_memory_grows_with_the_time_as_the_loops_does(cell):
    short, long = (temporary_bytes(cell, Associative(), steps) for steps in (1024, 8192))
    assert long <= 8.2 * short  # with an array kept for every round it would be 8 * 13 / 10
    assert long <= 1.15 * temporary_bytes(cell, Scan(), 8192)


def largest(jaxpr):
    shapes = [v.aval.size for eqn in jaxpr.eqns for v in eqn.outvars]
    return max(shapes + [largest(inner) for eqn in jaxpr.eqns for inner in inner_jaxprs(eqn)], default=0)


def test_a_matrix_that_all_steps_share_stays_one_matrix():
    steps = 64
    assert largest(gradient_jaxpr(LinearRNN(D, H), steps)) <= steps * B * H < steps * H * H
    # With lengths it is another one for every step and sequence.
    assert largest(gradient_jaxpr(LinearRNN(D, H), steps, lengths=np.full(B, 5))) >= (steps - 1) * B * H * H


NESTED = {
    "learned": LearnedInitialState(LRU(D, H)),
    "residual": Residual(MinGRU(D, D)),
    "dropout": Dropout(MinLSTM(D, H), 0.3),
    "zoneout": Zoneout(LearnedInitialState(LinearRNN(D, H)), 0.2),
    "zoneout complex": Zoneout(LRU(D, H), 0.2),
    "stack": Stack([LRU(D, H), Zoneout(MinGRU(H, H), 0.1), Residual(Dropout(LinearRNN(H, H), 0.3, variational=True))]),
    "bidirectional": Bidirectional(Stack([MinGRU(D, H), Bidirectional(LRU(H, H))])),
}


@pytest.mark.parametrize("layer", NESTED.values(), ids=NESTED)
@pytest.mark.parametrize("key", [None, 3], ids=["evaluated", "noise"])
def test_layers_in_parallel(layer, key):
    options = {"lengths": np.array([7, 0, 1, 4]), "resets": np.random.default_rng(0).random((7, B)) < 0.3}
    assert_close(*both_ways(layer, **options, key=None if key is None else jax.random.key(key)))


def test_lag_gradients_in_parallel():
    cell = LRU(D, H)
    params, xs = cell.init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (6, B, D))

    def of_last(ys):
        return jnp.sum(ys[-1] ** 2)

    got, wanted = (diagnostics.state_gradients(cell, params, xs, of_last, engine=e) for e in (Associative(), Scan()))
    assert_close(got, wanted)


class Halved(MinGRU):
    """Has a step of its own beside the `linear` it inherits."""

    def step(self, params, state, drive):
        return super().step(params, state, drive) / 2


class Tanh(LinearRNN):
    """Its `activate` was defined after the `linear` it inherits."""

    def recurrent(self, params, state):
        return state @ params.w_h

    def activate(self, params, state, drive, r):
        return jnp.tanh(drive + r)


class Again(Tanh):
    """And its `linear` after that."""

    def linear(self, params, drive):
        return LinearRNN.linear(self, params, drive)


class Squared(Wrapper):
    """Changes the step and says nothing of `linear`."""

    def around(self, params, state, drive, advance):
        return advance(params, state, drive) ** 2


class Doubled(Squared):
    """Inherits such an `around`, and says how it is linear."""

    def around(self, params, state, drive, advance):
        return 2 * advance(params, state, drive)

    def linear(self, params, drive):
        transition, b = self.cell.linear(params, drive)
        return Diagonal(2 * transition.a), 2 * b


@pytest.mark.parametrize(
    ("cell", "named"),
    [
        (Halved(D, H), "Halved"),
        (Tanh(D, H), "Tanh"),
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
def test_what_is_not_linear_is_refused_by_name(cell, named, lengths):
    params = cell.init(jax.random.key(0))
    with pytest.raises(TypeError, match=f"Associative: {named} does not say.*use Scan, Hoisted or Checkpointed"):
        rnn_jax.unroll(cell, params, jnp.ones((4, B, D)), lengths=lengths, engine=Associative())


@pytest.mark.parametrize("cell", [Again(D, H), Doubled(MinGRU(D, H)), Zoneout(Doubled(LRU(D, H)), 0.1)], ids=repr)
def test_what_says_last_how_it_is_linear_is_taken_at_its_word(cell):
    assert cell.has_linear
    assert not cell.has_recurrent
    assert_close(*both_ways(cell))


@pytest.mark.parametrize("cell", [Halved(D, H), Tanh(D, H)], ids=repr)
def test_a_step_defined_last_is_the_one_taken(cell):
    params, xs = cell.init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (1, B, D))
    linear, _ = rnn_jax.unroll(type(cell).__mro__[1](D, H), params, xs)
    got, _ = rnn_jax.unroll(cell, params, xs)
    assert_close(got, linear / 2 if isinstance(cell, Halved) else jnp.tanh(linear))


def test_a_cell_that_defines_no_step_says_so():
    class Nothing(Cell):
        pass

    assert not Nothing(1, 1).has_linear
    with pytest.raises(NotImplementedError, match="Nothing must define step, or recurrent and activate, or linear"):
        Nothing(1, 1).step((), jnp.zeros(1), jnp.zeros(1))


@every_cell
def test_a_reset_stops_what_is_not_finite(cell):
    params, xs = cell.init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (5, B, D))
    state = jnp.full_like(cell.initial_state(params, (B,)), np.nan)
    resets = np.zeros((5, B), bool)
    resets[2] = True
    xs = xs.at[1].set(np.inf)
    for engine in (Associative(), Scan()):
        final, ys = compiled(rnn_jax.unroll, static_argnames=("cell", "engine"))(
            cell, params, xs, state, resets=resets, engine=engine
        )
        assert np.all(np.isfinite(final))
        assert np.all(np.isfinite(ys[2:]))
        assert not np.any(np.isfinite(ys[:2]))


def test_forward_mode_is_refused_and_over_reverse_works():
    cell = MinGRU(D, H)
    params, xs = cell.init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (5, D))

    def of(engine):
        return lambda xs: loss(cell, engine, params, xs)

    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(of(Associative()), (xs,), (xs,))
    assert_close(*(jax.jvp(jax.grad(of(engine)), (xs,), (xs,))[1] for engine in (Associative(), Scan())))


def test_gates_that_are_zero_in_floating_point_keep_their_ratio():
    cell = MinLSTM(D, H)
    params = cell.init(jax.random.key(0))
    closed = jnp.concatenate([jnp.full(H, -300.0), jnp.full(H, -301.0), jnp.zeros(H)])  # exp(-300) is no float32
    params = params._replace(w_i=jnp.zeros_like(params.w_i), b=closed)
    final, _ = rnn_jax.unroll(cell, params, jnp.ones((1, B, D)), jnp.ones((B, H)))
    kept = 1 / (1 + np.exp(-1))
    np.testing.assert_allclose(final, np.full((B, H), kept + (1 - kept) * 0.5), rtol=1e-6)
    gradient = jax.grad(lambda p: jnp.sum(rnn_jax.unroll(cell, p, jnp.ones((4, B, D)))[1]))(params)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize("extreme", [-1000.0, 1000.0])
@pytest.mark.parametrize("cell", [MinGRU(D, H), MinLSTM(D, H)], ids=repr)
def test_gates_wide_open_and_shut_have_finite_gradients(cell, extreme):
    params = cell.init(jax.random.key(0))
    params = params._replace(b=params.b.at[:H].set(extreme))
    value, gradient = jax.value_and_grad(lambda p: loss(cell, Associative(), p, jnp.ones((4, B, D))))(params)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves((value, gradient)))


@pytest.mark.parametrize("name", ["MinGRU", "MinLSTM", "LRU"])
def test_ten_thousand_steps_in_single_precision(name):
    cell = CELLS[name]
    params, xs = cell.init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (10_000, 1, D))
    run = jax.jit(rnn_jax.unroll, static_argnames=("cell", "engine"))
    (_, got), (_, wanted) = (run(cell, params, xs, engine=engine) for engine in (Associative(), Scan()))
    scale = float(jnp.max(jnp.abs(wanted)))
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5 * scale)


def test_eigenvalues_start_on_the_ring():
    cell = LRU(D, 4000, r_min=0.4, r_max=0.9, max_phase=1.5)
    params = cell.init(jax.random.key(0))
    eigenvalues = np.asarray(cell.linear(params, jnp.zeros((1, 4000), jnp.complex64))[0].a[0])
    radius, phase = np.abs(eigenvalues), np.angle(eigenvalues)
    # Uniform over the ring: radius^2 and phase are uniform.
    for values, low, high in ((radius**2, 0.16, 0.81), (phase, 0, 1.5)):
        assert low - 1e-5 <= values.min()
        assert values.max() <= high + 1e-5
        np.testing.assert_allclose(
            np.quantile(values, [0.25, 0.5, 0.75]),
            low + (high - low) * np.array([0.25, 0.5, 0.75]),
            atol=0.05 * (high - low),
        )
    np.testing.assert_allclose(np.exp(params.gamma) ** 2, 1 - radius**2, rtol=1e-4)


def test_white_noise_gives_every_unit_of_an_lru_the_same_variance():
    cell = LRU(8, 32, r_min=0.5, r_max=0.98)
    params, xs = cell.init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (2000, 16, 8))
    _, states = jax.jit(Associative(), static_argnums=0)(cell, params, cell.initial_state(params, (16,)), xs)
    measured = np.mean(np.abs(states[500:]) ** 2, axis=(0, 1))
    inputs = np.sum(np.asarray(params.b_re) ** 2 + np.asarray(params.b_im) ** 2, axis=0)
    np.testing.assert_allclose(measured, inputs, rtol=0.15)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"r_min": 0.9, "r_max": 0.5}, "0 <= r_min < r_max <= 1, got 0.9 and 0.5"),
        ({"r_max": 1.5}, "got 0.0 and 1.5"),
        ({"r_min": -0.1}, "got -0.1 and 1.0"),
        ({"max_phase": 0.0}, "max_phase must be in \\(0, 2 pi\\], got 0.0"),
        ({"max_phase": 7.0}, "max_phase must be in"),
        ({"r_min": float("nan")}, "got nan"),
    ],
)
def test_rings_that_are_none(fields, words):
    with pytest.raises(ValueError, match=f"LRU: .*{words}"):
        LRU(D, H, **fields)


def test_biases_for_long_dependencies():
    chrono = rnn_jax.initializers.Chrono(50)
    for cell, share in ((MinGRU(D, 200, update_bias=chrono), 1), (MinLSTM(D, 200, forget_bias=chrono), 2)):
        params = cell.init(jax.random.key(0))
        drive, _ = cell.linear(params, cell.project(params, jnp.zeros((1, D))))
        u = np.asarray(drive.a[0] / (1 - drive.a[0]))  # forgets over u steps; both gates of the minLSTM push alike
        assert np.all((u >= 0.999) & (u <= 49.1**share))
        assert u.max() > 20


def test_the_radius_of_linear_cells_is_that_of_their_transitions():
    lru, rnn = LRU(D, 5), LinearRNN(D, 5)
    params = lru.init(jax.random.key(0))
    np.testing.assert_allclose(diagnostics.spectral_radius(lru, params), np.max(np.exp(-np.exp(params.nu))), rtol=1e-5)
    np.testing.assert_allclose(diagnostics.spectral_radius(rnn, rnn.init(jax.random.key(0))), 1, rtol=1e-5)


def test_the_linearised_reach_of_an_lru_is_its_reach():
    cell = LRU(D, 5, r_min=0.5, r_max=0.9)
    params = cell.init(jax.random.key(0))
    eigenvalues = np.asarray(cell.linear(params, jnp.zeros((1, 5), jnp.complex64))[0].a[0])
    c = np.asarray(params.c_re + 1j * params.c_im)
    wanted = np.array([np.linalg.norm((eigenvalues**k)[:, None] * c) for k in range(10)])
    np.testing.assert_allclose(diagnostics.linearised_reach(cell, params, 10), wanted / wanted[0], rtol=1e-5)
    # And so are the measured norms, of a loss that reads y_T by a random direction, in the mean.
    g = jax.random.normal(jax.random.key(2), (4000, 5))
    xs = jnp.zeros((10, 4000, D))
    gradients = diagnostics.state_gradients(cell, params, xs, lambda ys: jnp.sum(g * ys[-1]), engine=Associative())
    norms = np.sqrt(np.mean(np.asarray(diagnostics.gradient_norms(gradients)["h"])[::-1] ** 2, axis=1))
    np.testing.assert_allclose(norms / norms[0], wanted / wanted[0], rtol=0.05)


class Plain(Cell):
    """Holds a complex parameter."""

    def init(self, key):
        return {"w": jnp.ones((self.input_size, self.hidden_size), jnp.complex64)}

    def initial_state(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, self.hidden_size))

    def step(self, params, state, x):
        return 0.5 * state + (x @ params["w"]).real


def test_training_refuses_complex_parameters():
    model = rnn_jax.ReadoutModel(Plain(2, 3), 1)
    trainer = training.Trainer(model, batch_size=2, learning_rate=1e-3, clip_norm=1.0)
    with pytest.raises(TypeError, match=r"params.cell\['w'\] must be real, got complex64"):
        training.init(trainer, jax.random.split(jax.random.key(0), 2))
