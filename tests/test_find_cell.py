"""Cells by name: those of the registry, and user-defined ones at an import path."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax
from rnn_jax import cells, diagnostics, training

# Only the required methods; the parameters are a plain dict.
USERS_MODULE = """
import dataclasses
import jax
import jax.numpy as jnp
from rnn_jax import Cell

class Leaky(Cell):
    def init(self, key):
        return {"w": jax.random.normal(key, (self.input_size, self.hidden_size)), "decay": jnp.array(0.5)}

    def initial_state(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, self.hidden_size))

    def step(self, params, state, x):
        return params["decay"] * state + x @ params["w"]

not_a_cell = 3

@dataclasses.dataclass(frozen=True)
class Options(Leaky):
    dt: float = 0.5
    sizes: tuple = ()
"""


@pytest.fixture
def users_module(tmp_path, monkeypatch):
    (tmp_path / "users_cells.py").write_text(USERS_MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize("name", rnn_jax.CELLS)
def test_finds_every_cell_of_the_registry(name):
    assert cells.find(name) is rnn_jax.CELLS[name]
    assert isinstance(cells.find(name)(2, 5), rnn_jax.Cell)


def test_finds_a_cell_at_an_import_path(users_module):
    cell = cells.find("users_cells:Leaky")(2, 5)
    assert isinstance(cell, rnn_jax.Cell)
    assert (cell.input_size, cell.hidden_size) == (2, 5)
    assert cell == cells.find("users_cells:Leaky")(2, 5)


def test_options_are_literal_keywords(users_module):
    cell = cells.find("users_cells:Options(dt=0.1, sizes=(1, 2))")(2, 5)
    assert (cell.dt, cell.sizes) == (0.1, (1, 2))
    assert cell == cells.find("users_cells:Options(sizes=(1,2),dt=1e-1)")(2, 5)
    assert cells.find("users_cells:Options()")(2, 5).dt == 0.5


def test_finds_a_cell_of_this_package_at_its_import_path():
    assert cells.find("rnn_jax.cells.lstm:LSTM") is rnn_jax.LSTM


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lstn", ["'lstn'", *rnn_jax.CELLS, "module:Class"]),
        ("no_such_module:Cell", ["'no_such_module:Cell'", "cannot import", "no_such_module"]),
        (":Leaky", ["':Leaky'", "cannot import"]),
        ("users_cells:Leeky", ["'users_cells:Leeky'", "'users_cells' has no 'Leeky'"]),
        ("users_cells:", ["'users_cells' has no ''"]),
        ("no_such_module:Cell", ["run in its folder, or add that to PYTHONPATH"]),
        *(
            (f"users_cells:Options({options}", [repr(f"users_cells:Options({options}"), "keywords with literal values"])
            for options in (
                "0.1)",
                "dt=x)",
                "dt=0.1",
                "**{'dt': 1})",
                "dt=__import__('os').getpid())",
                "dt=1)(2)",
                "dt=1)+1",
            )
        ),
        ("users_cells:not_a_cell", ["users_cells:not_a_cell", "(input_size, hidden_size) -> Cell", "got 3"]),
    ],
)
def test_says_which_part_of_a_name_was_not_found(users_module, name, words):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the words of the message are checked below
        cells.find(name)
    assert [word for word in words if word not in str(error.value)] == []


def test_a_users_cell_goes_through_everything(users_module):
    cell = cells.find("users_cells:Leaky")(2, 4)
    params = jax.jit(cell.init)(jax.random.key(0))
    xs = jnp.asarray(np.random.default_rng(0).normal(size=(3, 2, 2)), jnp.float32)
    final_state, ys = rnn_jax.unroll(cell, params, xs)
    drives = np.asarray(xs) @ np.asarray(params["w"])
    expected = drives[2] + 0.5 * drives[1] + 0.25 * drives[0]
    np.testing.assert_allclose(final_state, expected, rtol=1e-5)
    np.testing.assert_allclose(ys[-1], expected, rtol=1e-5)

    # dL/ds_t of a leak is its decay to the power of the lag.
    gradients = diagnostics.state_gradients(cell, params, xs, lambda ys: jnp.sum(ys[-1]))
    np.testing.assert_allclose(gradients, np.full((3, 2, 4), 0.5) ** np.array([2, 1, 0])[:, None, None], rtol=1e-6)

    trainer = training.Trainer(rnn_jax.ReadoutModel(cell, 1), 2, training.Adam(1e-2), training.ClipByNorm(1.0))
    state = jax.jit(training.init, static_argnums=0)(trainer, jax.random.split(jax.random.key(2), 2))
    decay = state.params.cell["decay"].copy()
    task = rnn_jax.Adding(4)
    state, metrics = training.run(trainer, task, training.start(trainer, task, state), 2)
    assert metrics.loss.shape == (2, 2)
    assert np.all(np.isfinite(metrics.loss))
    assert np.all(state.training.step == 2)
    assert np.all(state.training.params.cell["decay"] != decay)
