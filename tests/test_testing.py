"""The contract checks of `rnn_jax.testing` refuse what breaks a contract, in one sentence that says so."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import BPTT, GRU, LSTM, Bidirectional, Cell, Checkpointed, Hoisted, Residual, Scan, Stack, tasks, testing
from rnn_jax.engines import Associative, Fused
from rnn_jax.testing import cells, engines, estimators
from rnn_jax.testing import tasks as task_checks
from rnn_jax.testing.comparison import Check


class Leaky(Cell):
    """A sound cell; those below break one property each."""

    def init(self, key):
        return 0.3 * jax.random.normal(key, (self.hidden_size, self.hidden_size))

    def initial_state(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, self.hidden_size))

    def step(self, params, state, drive):
        return 0.5 * state + 0.5 * jnp.tanh(state @ params + jnp.sum(drive, axis=-1, keepdims=True))


class DrawsAnew(Leaky):
    def init(self, key):
        return jnp.asarray(np.random.default_rng().normal(size=(self.hidden_size, self.hidden_size)), jnp.float32)


class Integers(Leaky):
    def init(self, key):
        return jnp.ones((self.hidden_size, self.hidden_size), int)


class Unbatched(Leaky):
    def initial_state(self, params, batch_shape=()):
        return jnp.zeros(self.hidden_size)


class TooWide(Leaky):
    def output(self, params, state, x):
        return jnp.concatenate([state, state], axis=-1)


class CountsRows(Leaky):
    def output(self, params, state, x):
        return state / state.shape[-2] if state.ndim > 2 else state


class Normalised(Leaky):
    def step(self, params, state, drive):
        state = super().step(params, state, drive)
        return state - jnp.mean(state, axis=0, keepdims=True) if state.ndim > 1 else state


class Centred(Leaky):
    def project(self, params, x):
        return x - jnp.mean(x, axis=0, keepdims=True)


@jax.custom_vjp
def wrong_tanh(x):
    return jnp.tanh(x)


wrong_tanh.defvjp(lambda x: (jnp.tanh(x), x), lambda x, grad: (grad / 2,))


class WrongDerivative(Leaky):
    def step(self, params, state, drive):
        return wrong_tanh(state @ params + jnp.sum(drive, axis=-1, keepdims=True))


class Raises(Leaky):
    def step(self, params, state, drive):
        return drive["x"]


@pytest.mark.parametrize(
    ("check", "cell", "message"),
    [
        (cells.init, DrawsAnew(2, 3), "init must depend on its key alone; the largest difference is"),
        (cells.init, Integers(2, 3), "parameter  must be float32, got int32"),
        (cells.initial_state, Unbatched(2, 3), "must put batch_shape first; expected float32.2, 5, 3., got float32.3."),
        (cells.shapes, TooWide(2, 3), r"outputs must be floats \[T, \*batch, output_size\] = \[6, 3\], got"),
        (cells.batch_dimensions, CountsRows(2, 3), "batch dimensions must be free"),
        (cells.rows, Normalised(2, 3), "sequences of a batch must be independent, but 100 in the others reaches"),
        (cells.loop, Centred(2, 3), "must equal a loop of its steps"),
        (cells.segments, Centred(2, 3), "two segments must equal one sequence"),
        (cells.padding, Centred(2, 3), "padding must not change a sequence's results"),
        (cells.resets, Centred(2, 3), "must equal a sequence that begins there"),
        (cells.differences, WrongDerivative(2, 3), "must be that of finite differences"),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_a_broken_cell_is_refused_with_its_property(check, cell, message):
    with pytest.raises(testing.ContractError, match=f"{type(cell).__name__}.*{message}"):
        check(cell, Scan())
    check(Leaky(2, 3), Scan())


def test_an_error_of_the_cells_own_code_is_one_sentence():
    with pytest.raises(testing.ContractError, match=r"Raises raises .*Error in the check 'The final state"):
        testing.check_cell(Raises(2, 3))
    with pytest.raises(TypeError, match=r"check_cell: cell must be a rnn_jax.Cell, got .*; write MyCell\(2, 3\)"):
        testing.check_cell(Leaky)
    with pytest.raises(TypeError, match=r"check_layer: layer must be a rnn_jax\.Layer, got Leaky"):
        testing.check_layer(Leaky(2, 3))


@pytest.mark.parametrize(("chosen", "expected"), [(None, "highest"), ("high", "high")])
def test_products_are_full_unless_jax_was_told_otherwise(chosen, expected):
    seen = []
    with jax.default_matmul_precision(chosen):
        Check("cell", "property", lambda: seen.append(jax.config.jax_default_matmul_precision))()
    assert seen == [expected]


@pytest.mark.extended
def test_a_sound_cell_of_a_user_passes():
    testing.check_cell(Leaky(2, 3))


@pytest.mark.extended
@pytest.mark.parametrize(
    "layer",
    [
        Bidirectional(GRU(2, 3)),
        pytest.param(Stack([LSTM(2, 3), LSTM(3, 2)]), marks=pytest.mark.slow),
        pytest.param(Residual(Bidirectional(GRU(4, 2))), marks=pytest.mark.slow),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_every_kind_of_layer_passes(layer):
    testing.check_layer(layer)


@pytest.mark.slow
@pytest.mark.parametrize(
    "engine",
    [Scan(), Hoisted(), Hoisted(keep=False), Checkpointed(), Checkpointed(recursive=True), Associative(), Fused()],
    ids=str,
)
def test_every_engine_passes(engine):
    testing.check_engine(engine)


@dataclasses.dataclass(frozen=True)
class Detached:
    """An engine without a gradient by the state."""

    def __call__(self, cell, params, state, inputs):
        return Scan()(cell, params, jax.lax.stop_gradient(state), inputs)


@dataclasses.dataclass(frozen=True)
class Refuses:
    def __call__(self, cell, params, state, inputs):
        raise TypeError("Refuses: takes no cell")


@dataclasses.dataclass(frozen=True)
class Backwards:
    """An engine whose states are in reverse order."""

    def __call__(self, cell, params, state, inputs):
        final, states = Scan()(cell, params, state, inputs)
        return final, jax.tree.map(lambda s: s[::-1], states)


def test_a_broken_engine_is_refused():
    with pytest.raises(testing.ContractError, match=r"Leaky: Detached\(\) must equal Scan\(\) in value and gradient"):
        cells.gradients(Leaky(2, 3), Detached())
    with pytest.raises(testing.ContractError, match="the final state must be the last one"):
        engines.states(Leaky(2, 3), Backwards())
    with pytest.raises(testing.ContractError, match=r"Refuses\(\) refuses every cell: Leaky"):
        testing.check_engine(Refuses(), [Leaky(2, 3)])


@dataclasses.dataclass(frozen=True)
class Halved(BPTT):
    """An estimator of half the gradient."""

    part: str = "readout"

    def __call__(self, *arguments, **options):
        estimate = super().__call__(*arguments, **options)
        halved = jax.tree.map(lambda g: g / 2, getattr(estimate.gradient, self.part))
        return estimate._replace(gradient=estimate.gradient._replace(**{self.part: halved}))


@pytest.mark.extended
def test_a_broken_estimator_is_refused():
    with pytest.raises(testing.ContractError, match="Halved: the gradient of the readout must be exact"):
        testing.check_estimator(Halved())
    with pytest.raises(testing.ContractError, match="Halved: the gradient of the cell must be exact"):
        estimators.check_estimator(Halved(part="cell"), exact=True)


def broken(base=tasks.Copying, **changes):
    """Returns a short task with other methods."""
    kind = type("Broken", (base,), changes)
    return jax.tree_util.register_static(dataclasses.dataclass(frozen=True)(kind))(10)


COPYING = tasks.Copying(10)


@pytest.mark.extended
@pytest.mark.parametrize(
    ("check", "task", "message"),
    [
        (task_checks.sizes, broken(output_size=3), "classes must be from 0 to output_size - 1, got 0 to"),
        (task_checks.sizes, broken(sequence_length=31), r"inputs of a batch of 2 must be \[31, 2, 10\], got \[30"),
        (task_checks.keys, broken(sequence=lambda self, key: COPYING.sequence(jax.random.key(0))), "two keys give"),
        (
            task_checks.loss,
            broken(tasks.Adding, loss=lambda self, outputs, batch: jnp.mean(outputs**2)),
            "must ignore steps without",
        ),
        (task_checks.solved, broken(baseline=0.0), "baseline must be a positive number, got 0.0"),
        (task_checks.solved, broken(solved=lambda self, metrics: True), "outputs of NaN must not count as solved"),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_a_broken_task_is_refused(check, task, message):
    with pytest.raises(testing.ContractError, match=message):
        check(task)
    check(COPYING)
