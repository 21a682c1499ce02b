"""Cells that are linear in their state: gates, initial values, long sequences, diagnostics."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax
from rnn_jax import LRU, Associative, Cell, LinearRNN, MinGRU, MinLSTM, Scan, diagnostics, training

D, H, B = 3, 8, 4
compiled = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def test_gates_that_are_zero_in_floating_point_keep_their_ratio():
    cell = MinLSTM(D, H)
    params = cell.init(jax.random.key(0))
    closed = jnp.concatenate([jnp.full(H, -300.0), jnp.full(H, -301.0), jnp.zeros(H)])  # exp(-300) is zero in float32
    params = params._replace(w_i=jnp.zeros_like(params.w_i), b=closed)
    final, _ = rnn_jax.unroll(cell, params, jnp.ones((1, B, D)), jnp.ones((B, H)))
    kept = 1 / (1 + np.exp(-1))
    np.testing.assert_allclose(final, np.full((B, H), kept + (1 - kept) * 0.5), rtol=1e-6)
    gradient = compiled(jax.grad(lambda p: jnp.sum(rnn_jax.unroll(cell, p, jnp.ones((4, B, D)))[1])))(params)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize("extreme", [-1000.0, 1000.0])
@pytest.mark.parametrize("cell", [MinGRU(D, H), MinLSTM(D, H)], ids=repr)
def test_gates_wide_open_and_shut_have_finite_gradients(cell, extreme):
    params = cell.init(jax.random.key(0))
    params = params._replace(b=params.b.at[:H].set(extreme))

    def loss(params):
        return jnp.sum(rnn_jax.unroll(cell, params, jnp.ones((4, B, D)), engine=Associative())[1])

    results = compiled(jax.value_and_grad(loss))(params)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(results))


@pytest.mark.extended
@pytest.mark.parametrize("cell", [MinGRU(D, H), MinLSTM(D, H), LRU(D, H)], ids=repr)
def test_ten_thousand_steps_in_single_precision(cell):
    params, xs = cell.init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (10_000, 1, D))
    run = compiled(rnn_jax.unroll, static_argnames=("cell", "engine"))
    (_, got), (_, expected) = (run(cell, params, xs, engine=engine) for engine in (Associative(), Scan()))
    scale = float(jnp.max(jnp.abs(expected)))
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5 * scale)


@pytest.mark.extended
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
    _, states = compiled(Associative(), static_argnums=0)(cell, params, cell.initial_state(params, (16,)), xs)
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
def test_invalid_rings_are_refused(fields, words):
    with pytest.raises(ValueError, match=f"LRU: .*{words}"):
        LRU(D, H, **fields)


def test_biases_for_long_dependencies():
    chrono = rnn_jax.initializers.Chrono(50)
    for cell, share in ((MinGRU(D, 200, update_bias=chrono), 1), (MinLSTM(D, 200, forget_bias=chrono), 2)):
        params = cell.init(jax.random.key(0))
        drive, _ = cell.linear(params, cell.project(params, jnp.zeros((1, D))))
        u = np.asarray(drive.a[0] / (1 - drive.a[0]))  # forgets over u steps; minLSTM: two gates
        assert np.all((u >= 0.999) & (u <= 49.1**share))
        assert u.max() > 20


def test_the_radius_of_linear_cells_is_that_of_their_transitions():
    lru, rnn = LRU(D, 5), LinearRNN(D, 5)
    params = lru.init(jax.random.key(0))
    np.testing.assert_allclose(diagnostics.spectral_radius(lru, params), np.max(np.exp(-np.exp(params.nu))), rtol=1e-5)
    np.testing.assert_allclose(diagnostics.spectral_radius(rnn, rnn.init(jax.random.key(0))), 1, rtol=1e-5)


@pytest.mark.extended
def test_the_linearised_reach_of_an_lru_is_its_reach():
    cell = LRU(D, 5, r_min=0.5, r_max=0.9)
    params = cell.init(jax.random.key(0))
    eigenvalues = np.asarray(cell.linear(params, jnp.zeros((1, 5), jnp.complex64))[0].a[0])
    c = np.asarray(params.c_re + 1j * params.c_im)
    expected = np.array([np.linalg.norm((eigenvalues**k)[:, None] * c) for k in range(10)])
    np.testing.assert_allclose(diagnostics.linearised_reach(cell, params, 10), expected / expected[0], rtol=1e-5)
    # So are, on average, the measured norms of a loss that reads y_T along a random direction.
    g = jax.random.normal(jax.random.key(2), (4000, 5))
    xs = jnp.zeros((10, 4000, D))
    gradients = diagnostics.state_gradients(cell, params, xs, lambda ys: jnp.sum(g * ys[-1]), engine=Associative())
    norms = np.sqrt(np.mean(np.asarray(diagnostics.gradient_norms(gradients)["h"])[::-1] ** 2, axis=1))
    np.testing.assert_allclose(norms / norms[0], expected / expected[0], rtol=0.05)


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
    trainer = training.Trainer(model, 2, training.Adam(1e-3), training.ClipByNorm(1.0))
    with pytest.raises(TypeError, match=r"params.cell\['w'\] must be real, got complex64"):
        training.init(trainer, jax.random.split(jax.random.key(0), 2))
