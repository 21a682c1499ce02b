"""Newton's method: what `Scan` gives, in few iterations if the cell contracts; test_cell_contract.py has every cell."""

import functools
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax
from rnn_jax import GRU, LRU, LSTM, Bidirectional, Cell, LinearRNN, MinGRU, Newton, Scan, Stack, VanillaRNN, Zoneout
from rnn_jax.diagnostics import newton_errors, newton_iterations
from rnn_jax.engines import helped, newton_linear
from rnn_jax.layers import LearnedInitialState
from tests.known_cells import UserCell, draw, made
from tests.test_associative import depth, loops

D, H = 3, 4


def drawn(cell, steps, *batch, gain=1.0):
    """Returns parameters, with a matrix of recurrent weights `gain` times as large, and inputs."""
    params = cell.init(jax.random.key(0))
    if gain != 1:
        params = params._replace(w_h=gain * params.w_h)
    return params, jax.random.normal(jax.random.key(1), (steps, *batch, cell.input_size))


def loss(cell, engine, params, xs, **options):
    final, ys = rnn_jax.unroll(cell, params, xs, engine=engine, key=None, **options)
    return sum(jnp.sum(jnp.sin(jnp.abs(leaf))) for leaf in jax.tree.leaves((final, ys)))


def gradients(cell, engine, params, xs, **options):
    """Returns a loss of all results, and its gradients."""
    of = jax.jit(jax.value_and_grad(functools.partial(loss, cell, engine, **options), argnums=(0, 1)))
    return of(params, xs)


def assert_close(got, expected, tolerance=1e-5):
    jax.tree.map(
        lambda g, w: np.testing.assert_allclose(
            g, w, rtol=tolerance, atol=tolerance * max(1, np.max(np.abs(w), initial=0))
        ),
        got,
        expected,
    )


def extended(*values, **options):
    return pytest.param(*values, marks=pytest.mark.extended, **options)


@pytest.fixture
def warnings(caplog):
    helped._warned.clear()
    caplog.set_level(logging.WARNING, "rnn_jax.engines.helped")
    return lambda: (jax.effects_barrier(), [record.getMessage() for record in caplog.records])[1]


@pytest.mark.parametrize(("cell", "engine"), [
    (GRU(D, H), Newton()),
    extended(GRU(D, H), Newton(chunk=5)),
    extended(GRU(D, H), Newton("diagonal")),
    extended(LSTM(D, H), Newton("blocks", chunk=4)),
    extended(LRU(D, H), Newton("diagonal")),
], ids=str)  # fmt: skip
def test_lengths_resets_and_a_wrapper_give_what_the_loop_gives(cell, engine):
    cell = Zoneout(LearnedInitialState(cell), 0.2)
    params, xs = cell.init(jax.random.key(0)), drawn(cell.cell.cell, 12, 3)[1]
    options = {"lengths": np.array([12, 0, 7]), "resets": np.arange(36).reshape(12, 3) % 5 == 4}
    xs = xs.at[7:, 2].set(jnp.nan)
    assert_close(gradients(cell, engine, params, xs, **options), gradients(cell, Scan(), params, xs, **options), 1e-4)


def test_a_gru_of_10000_steps_takes_at_most_10_iterations():
    result = newton_iterations(GRU(3, 8), *drawn(GRU(3, 8), 10_000))
    assert result.iterations <= 10
    assert result.looped == 0
    residuals = np.asarray(result.residuals[: result.iterations + 1])
    assert np.all(np.diff(residuals) < 0)
    assert residuals[-1] <= 16 * np.finfo(np.float32).eps < residuals[-2]
    assert np.all(np.isnan(result.residuals[result.iterations + 1 :]))


@pytest.mark.parametrize("engine", [Newton(), extended(Newton(chunk=30)), extended(Newton("diagonal"))], ids=str)
def test_the_gradient_in_double_precision(engine):
    with jax.enable_x64():
        cell = GRU(D, H)
        params, xs = jax.tree.map(lambda leaf: leaf.astype(float), drawn(cell, 100, gain=1.5))
        got, expected = gradients(cell, engine, params, xs), gradients(cell, Scan(), params, xs)
        assert_close(got, expected, 1e-12 if engine == Newton() else 1e-9)


@pytest.mark.parametrize("engine", [Newton(max_iterations=8), extended(Newton(max_iterations=8, chunk=30))], ids=str)
def test_the_loop_runs_what_does_not_converge_and_a_warning_says_so(engine, warnings):
    cell = VanillaRNN(D, 8)
    params, xs = drawn(cell, 60, 2, gain=3.0)
    result = newton_iterations(cell, params, xs, engine=engine)
    assert np.all(result.iterations == 8)
    assert np.sum(result.looped) == 60
    jax.tree.map(
        np.testing.assert_array_equal,
        *(rnn_jax.unroll(cell, params, xs, engine=each) for each in (engine, Scan())),
    )
    (message,) = warnings()
    assert message.startswith("Newton: VanillaRNN did not converge in 8 iterations, so the loop ran ")


def test_a_sequence_that_converges_is_not_touched_by_others(warnings):
    cell = VanillaRNN(D, 8)
    params, xs = drawn(cell, 40, 3, gain=2.0)
    xs = xs.at[:, ::2].multiply(5)  # saturated: these need fewer iterations
    run = jax.jit(functools.partial(rnn_jax.unroll, cell, engine=Newton()))
    expected, slow, ys = (run(params, other)[1] for other in (xs.at[:, 1].set(0), xs, xs.at[20, 1].set(jnp.nan)))
    few, more = (newton_iterations(cell, params, other).iterations for other in (xs[:, ::2], xs))
    assert few < more
    np.testing.assert_array_equal(slow[:, ::2], expected[:, ::2])
    np.testing.assert_array_equal(ys[:, ::2], expected[:, ::2])
    assert_close(ys[:20, 1], slow[:20, 1])
    assert np.all(np.isnan(ys[20:, 1]))
    assert newton_iterations(cell, params, xs.at[20, 1].set(jnp.nan)).iterations == few
    assert len(warnings()) == 1


def test_a_step_that_grows_is_rejected():
    """Without that, 8 iterations more do not solve 300 of the steps."""
    result = newton_iterations(GRU(D, 8), *drawn(GRU(D, 8), 1000, gain=3.0))
    assert 20 < result.iterations < 50
    assert result.looped == 0


@pytest.mark.extended
def test_states_that_overflow_are_those_of_the_loop(warnings):
    cell = LinearRNN(D, H)
    params, xs = drawn(cell, 200, 2, gain=4.0)
    got, expected = (rnn_jax.unroll(cell, params, xs, engine=engine)[1] for engine in (Newton(), Scan()))
    np.testing.assert_array_equal(np.isfinite(got), np.isfinite(expected))
    assert not np.all(np.isfinite(expected))
    finite = np.isfinite(expected)
    assert_close(got[finite] / expected[finite], np.ones(np.sum(finite)), 1e-4)
    assert len(warnings()) == 1


class Twisted(Cell):
    """Two components that meet within a unit, in the state's order: y and z of [H]."""

    def init(self, key):
        return {"w": jax.random.normal(key, (4, self.hidden_size)) / 2}

    def initial_state(self, params, batch_shape=()):
        return (jnp.zeros((*batch_shape, self.hidden_size)),) * 2

    def step(self, params, state, drive):
        (y, z), (a, b, c, d) = state, params["w"]
        x = jnp.sum(drive, axis=-1, keepdims=True)
        return jnp.tanh(_row(a, y) * y + _row(b, z) * z + x), jnp.maximum(_row(c, y) * y + _row(d, z) * z - x, 0)

    def output(self, params, state, x):
        return state[0]


def _row(weights, like):
    return jnp.reshape(weights, (1,) * (like.ndim - 1) + weights.shape)


@pytest.mark.parametrize(("cell", "kind"), [
    (GRU(D, H), "full"), (LinearRNN(D, H), "full"), (MinGRU(D, H), "diagonal"), (LRU(D, H), "blocks"),
    (Twisted(D, H), "blocks"), (rnn_jax.CELLS["irnn"](D, 2), "full"), (UserCell(D, 2), "blocks"),
    (Zoneout(MinGRU(D, H), 0.2), "diagonal"), (Zoneout(Twisted(D, H), 0.2), "blocks"),
], ids=lambda value: value if isinstance(value, str) else type(value).__name__)  # fmt: skip
def test_which_entries_of_the_jacobian_are_kept(cell, kind):
    params = cell.init(jax.random.key(0))
    steps = newton_linear.Steps(cell, params, cell.initial_state(params), cell.project(params, jnp.ones(D)))
    assert newton_linear.kind(steps) == kind


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("kind", ["full", "blocks", extended("diagonal")])
def test_linear_recurrences_are_solved_whatever_is_kept(kind, transposed):
    cell, count = Twisted(D, H), 9
    params, xs = cell.init(jax.random.key(0)), drawn(cell, count, 2)[1]
    rng = np.random.default_rng(0)
    before = tuple(jnp.asarray(rng.normal(size=(count, 2, H)), jnp.float32) for _ in range(2))
    steps = newton_linear.Steps(cell, params, before, xs)
    y = jnp.asarray(rng.normal(size=(count, 2, 2 * H)), jnp.float32)
    e = jax.jit(lambda y: newton_linear.solve_exactly(steps, kind, y, 3, transposed))(y)
    # 3 iterations do not do for the diagonal: the loop solves the rest.
    through = newton_linear.advance(steps.vjp(e)) if transposed else steps.jvp(newton_linear.delay(e))
    assert_close(e, y + through, 2e-5)


def test_a_trajectory_as_first_guess():
    cell = GRU(D, H)
    params, xs = drawn(cell, 50, 2)
    state = cell.initial_state(params, (2,))
    _, states = Newton()(cell, params, state, xs)
    _, cold = Newton().solve(cell, params, state, xs)
    _, warm = Newton().solve(cell, params, state, xs, states)
    assert warm.iterations == 0 < cold.iterations
    moved = jax.tree.map(lambda p: 1.001 * p, params)
    _, near = Newton().solve(cell, moved, state, xs, states)
    assert 0 < near.iterations < cold.iterations
    engine = Newton().from_states(states)
    assert_close(gradients(cell, engine, moved, xs), gradients(cell, Scan(), moved, xs))
    with pytest.raises(
        ValueError, match=r"Newton.from_states: states must be float32\[50, 2, 4\], .* got float32\[49, 2, 4\]"
    ):
        rnn_jax.unroll(cell, params, xs, engine=Newton().from_states(states[1:]))


@pytest.mark.extended
@pytest.mark.parametrize("engine", [Newton(), Newton("diagonal"), Newton(chunk=4)], ids=str)
def test_seeds_and_second_derivatives(engine):
    cell = GRU(2, 2)
    xs = drawn(cell, 6)[1]
    params = jax.vmap(cell.init)(jax.random.split(jax.random.key(0), 2))

    def curvature(engine, params):
        def gradient(params, xs):
            return jax.grad(functools.partial(loss, cell, engine), 1)(params, xs)

        forward = jax.jvp(lambda p: gradient(p, xs), (params,), (params,))[1]
        return forward, jax.grad(lambda p: jnp.sum(gradient(p, xs) ** 2))(params)

    def both(engine):
        return jax.jit(jax.vmap(functools.partial(curvature, engine)))(params)

    assert_close(both(engine), both(Scan()), 1e-4)


@pytest.mark.extended
@pytest.mark.parametrize("engine", [Newton(), Newton(chunk=2)], ids=str)
def test_layers_run_with_it(engine):
    layer = Stack([Bidirectional(GRU(D, 2)), MinGRU(4, 2)])
    params, xs = layer.init(jax.random.key(0)), drawn(GRU(D, 2), 5, 2)[1]
    assert_close(gradients(layer, engine, params, xs), gradients(layer, Scan(), params, xs))


def test_integers_of_a_state():
    cell = UserCell(D, 2)
    params, xs = cell.init(jax.random.key(0)), drawn(cell, 9, 2)[1]
    assert newton_iterations(cell, params, xs).looped == 0
    assert_close(gradients(cell, Newton(), params, xs), gradients(cell, Scan(), params, xs))


@pytest.mark.extended
def test_an_iteration_has_no_loop_over_time():
    def jaxpr(steps):
        params, xs = drawn(GRU(D, H), steps)
        return jax.make_jaxpr(jax.grad(functools.partial(loss, GRU(D, H), Newton())))(params, xs).jaxpr

    of = [jaxpr(steps) for steps in (64, 128, 256)]
    assert list(map(loops, of)) == [2, 2, 2]  # over iterations, and the loop that helps
    one, two, three = map(depth, of)
    assert three - two == two - one <= 60


@pytest.mark.parametrize(("options", "message"), [
    ({"jacobian": "dense"}, "jacobian must be None or one of diagonal, blocks, full, got 'dense'"),
    ({"tolerance": -1.0}, "tolerance must be a positive number, got -1.0"),
    ({"max_iterations": 0}, "max_iterations must be a positive integer, got 0"),
    ({"damping": -0.1}, "damping must be a positive number, got -0.1"),
    ({"chunk": 0}, "chunk must be a positive integer, got 0"),
])  # fmt: skip
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=f"Newton: {message}"):
        Newton(**options)


def test_blocks_need_components_of_one_size():
    cell = rnn_jax.CELLS["lstm_projected"](D, H)
    params, xs = cell.init(jax.random.key(0)), drawn(cell, 3, 2)[1]
    with pytest.raises(ValueError, match="Newton: jacobian must be 'diagonal' or 'full' for a ProjectedLSTM"):
        rnn_jax.unroll(cell, params, xs, engine=Newton("blocks"))


@pytest.mark.extended
def test_errors_of_the_iterates_end_at_rounding():
    cell = GRU(2, 4)
    errors = newton_errors(cell, made(cell), draw(40, 1, 2))
    assert len(errors) >= 3
    assert errors[0] > 0.01
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-5
