"""The reach of the gradient against closed forms, and why an LSTM keeps more of it than its forget gate."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import GRU, LSTM, S6, Adding, Cell, Copying, ReadoutModel, TemporalOrder, VanillaRNN, diagnostics
from rnn_jax.initializers import Chrono, Normal, Orthogonal, ScaledIdentity, without_initializers
from rnn_jax.models.readout import identity
from rnn_jax.tasks import VariableCopying
from tests import registry


def reach(cell, task, seeds=2):
    model = ReadoutModel(cell, task.output_size)
    params = jax.vmap(model.init)(jax.random.split(jax.random.key(0), seeds))
    batch = task.sample(jax.random.key(1), 16)
    return params, diagnostics.gradient_reach(model, task, params, batch)


def test_a_linear_network_decays_by_its_gain() -> None:
    cell = VanillaRNN(2, 8, identity, Orthogonal(0.9))
    _, by_loss = reach(cell, Adding(40))
    for loss in ("last_step", "task"):
        norms = np.asarray(by_loss[loss]["total"])
        np.testing.assert_allclose(norms / norms[:, :1], np.tile(0.9 ** np.arange(40), (2, 1)), rtol=1e-4)


def test_linearised_reach_is_exact_for_a_linear_network() -> None:
    cell = VanillaRNN(2, 8, identity, Normal(0.3))
    params = cell.init(jax.random.key(0))
    w = np.asarray(params.w_h, np.float64)
    expected = [np.linalg.norm(np.linalg.matrix_power(w, k)) / math.sqrt(8) for k in range(30)]
    np.testing.assert_allclose(diagnostics.linearised_reach(cell, params, 30), expected, rtol=1e-4)


def test_linearised_reach_of_the_irnn_is_one() -> None:
    cell = VanillaRNN(2, 8, jax.nn.relu, ScaledIdentity(), Normal(0.001))
    np.testing.assert_allclose(diagnostics.linearised_reach(cell, cell.init(jax.random.key(0)), 50), 1)


def test_linearised_reach_of_a_gru_is_gate_plus_candidate() -> None:
    # At rest J = z I + (1 - z) r Q with z = r = 1/2 and Q orthogonal, whose eigenvalues spread over the unit circle:
    # the root mean square of |1/2 + e^{i a} / 4|^k over a. The gate alone would give 1/2^k, a third of it at k = 10.
    cell = GRU(2, 256)
    angles = np.linspace(0, 2 * math.pi, 1001)[:-1]
    expected = [np.sqrt(np.mean(np.abs(0.5 + 0.25 * np.exp(1j * angles)) ** (2 * k))) for k in range(15)]
    shares = diagnostics.linearised_reach(cell, cell.init(jax.random.key(0)), 15)
    np.testing.assert_allclose(shares, expected, rtol=0.02)
    assert shares[10] > 10 * 0.5**10


@pytest.mark.filterwarnings("error")
def test_linearised_reach_is_nan_if_the_output_at_rest_reads_no_state() -> None:
    cell = S6(2, 3, state_size=2)  # y = s C_t, with C_t = x_t W_C
    assert np.isnan(diagnostics.linearised_reach(cell, cell.init(jax.random.key(0)), 4)).all()


@pytest.mark.extended
def test_an_lstm_keeps_more_than_its_forget_gate() -> None:
    def kept_per_step(**fields) -> float:
        _, by_loss = reach(LSTM(2, 32, **fields), Adding(60), seeds=4)
        norms = np.asarray(by_loss["last_step"]["total"])
        return math.exp(diagnostics.fit_decay(np.exp(np.mean(np.log(norms), axis=0))[5:]).slope)

    zero = ScaledIdentity(0.0)
    bias = kept_per_step(recurrent_init=zero, input_init=zero)
    gates = kept_per_step(recurrent_init=zero)
    whole = kept_per_step()
    # The textbook value is that of the bias alone.
    assert bias == pytest.approx(1 / (1 + math.exp(-1)), rel=1e-3)
    # Inputs open the gates of some units further, and after many steps only these units keep a gradient.
    assert 0.76 < gates < 0.85
    # The state also affects the next one through the candidate: h_t -> g_{t+1} -> c_{t+1}.
    assert 0.88 < whole < 0.95


@pytest.mark.extended
def test_a_loss_read_at_every_step_reaches_further_than_the_last_step() -> None:
    _, by_loss = reach(LSTM(10, 8), Copying(20))
    far = {loss: np.asarray(norms["total"])[:, 30] for loss, norms in by_loss.items()}
    assert (far["task"] > far["last_step"]).all()


def test_lags_count_from_the_last_step_of_each_sequence() -> None:
    task = TemporalOrder(20)
    _, by_loss = reach(VanillaRNN(8, 8, identity, Orthogonal(0.5)), task)
    norms = np.asarray(by_loss["last_step"]["total"])
    known = ~np.isnan(norms[0])
    # Sequences have 20 to 22 steps: all have 20 lags, the longest have two more.
    assert known.sum() == 20
    np.testing.assert_allclose(norms[:, known] / norms[:, :1], np.tile(0.5 ** np.arange(20), (2, 1)), rtol=1e-3)


@pytest.mark.extended
@pytest.mark.parametrize("task", [Copying(5), VariableCopying(9)], ids=["equal lengths", "different lengths"])
def test_the_reach_of_a_batch_is_the_mean_over_its_sequences_by_their_weight(task) -> None:
    model = ReadoutModel(LSTM(10, 4), 9)
    params = jax.vmap(model.init)(jax.random.split(jax.random.key(0), 2))
    batch = task.sample(jax.random.key(1), 3)
    batched = diagnostics.gradient_reach(model, task, params, batch)
    singles = [
        diagnostics.gradient_reach(model, task, params, jax.tree.map(lambda leaf, b=b: leaf[:, b : b + 1], batch))
        for b in range(3)
    ]
    weights = np.sum(batch.weights, axis=0)
    for loss, share in (("last_step", np.ones(3)), ("task", weights / np.mean(weights))):
        mean = jax.tree.map(lambda *norms, share=share: np.tensordot(share, norms, 1) / 3, *(s[loss] for s in singles))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4), batched[loss], mean)


def test_norms_of_tiny_gradients_do_not_underflow() -> None:
    norms = diagnostics.gradient_norms(jnp.full((1, 1, 4), 1e-30))
    np.testing.assert_allclose(norms["h"], 2e-30, rtol=1e-5)


def test_norms_of_any_number_of_batch_dimensions() -> None:
    gradients = jnp.full((5, 2, 3, 4), 0.5)
    for dims, index in enumerate([np.s_[:, 0, 0], np.s_[:, 0], np.s_[:]]):
        norms = diagnostics.gradient_norms(gradients[index], batch_dims=dims)["h"]
        np.testing.assert_allclose(norms, np.ones(gradients[index].shape[:-1]), rtol=1e-6)


def test_underflowed_lags_do_not_enter_the_slope_of_the_decay() -> None:
    norms = np.where(np.arange(100) < 60, 0.3 ** np.arange(100.0), 0).astype(np.float32)
    decay = diagnostics.fit_decay(norms)
    assert decay.slope == pytest.approx(math.log(0.3), rel=1e-3)
    assert decay.kept_share == 0
    assert all(map(math.isnan, diagnostics.fit_decay(np.zeros(5, np.float32))))


@pytest.mark.parametrize("cell", registry.cells(2, 4))
def test_reach_of_every_cell(cell: Cell) -> None:
    params, by_loss = reach(cell, Adding(12))
    for norms in by_loss.values():
        for values in norms.values():
            assert values.shape == (2, 12)
            assert np.isfinite(values).all()
        components = np.stack([v for k, v in norms.items() if k != "total"])
        np.testing.assert_allclose(norms["total"], np.sqrt(np.sum(components**2, axis=0)), rtol=0.5)
    one_seed = jax.tree.map(lambda p: p[0], params.cell)
    assert np.isfinite(diagnostics.linearised_reach(cell, one_seed, 5)).all()


def test_cells_that_differ_only_in_their_initialisation_share_a_program() -> None:
    model = ReadoutModel(LSTM(2, 4, forget_bias=Chrono(50), recurrent_init=Normal(0.1)), 1)
    assert without_initializers(model) == ReadoutModel(LSTM(2, 4), 1)
    # An activation is not an initialisation.
    relu = VanillaRNN(2, 4, jax.nn.relu, ScaledIdentity())
    assert without_initializers(relu) == VanillaRNN(2, 4, jax.nn.relu)


class Counted(NamedTuple):
    h: jax.Array
    steps: jax.Array


class Clockwork(Cell):
    """Updates h at every second step only, for which its state counts the steps."""

    def init(self, key):
        return jax.random.normal(key, (self.input_size + self.hidden_size, self.hidden_size)) / 2

    def initial_state(self, params, batch_shape=()):
        return Counted(jnp.zeros((*batch_shape, self.hidden_size)), jnp.zeros(batch_shape, int))

    def step(self, params, state, x):
        h = jnp.tanh(jnp.concatenate([x, state.h], axis=-1) @ params)
        return Counted(jnp.where((state.steps % 2 == 0)[..., None], h, state.h), state.steps + 1)

    def output(self, params, state, x):
        return state.h


def test_integer_components_of_a_state_are_left_out() -> None:
    cell = Clockwork(2, 4)
    params, by_loss = reach(cell, Adding(12))
    assert set(by_loss["task"]) == {"h", "total"}
    norms = np.asarray(by_loss["last_step"]["h"])
    # Every second step copies h, so the gradient does not change at every second lag.
    np.testing.assert_array_equal(norms[:, 0:12:2], norms[:, 1:12:2])
    assert (norms[:, 1:11:2] != norms[:, 2:12:2]).all()
    one_seed = jax.tree.map(lambda p: p[0], params.cell)
    assert np.isfinite(diagnostics.linearised_reach(cell, one_seed, 5)).all()
    assert diagnostics.spectral_radius(cell, one_seed) > 0
