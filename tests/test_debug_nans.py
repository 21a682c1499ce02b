"""Sound programs run under `jax_debug_nans`, which stops at the first operation that returns NaN.

Eager, so that every operation is checked; under `jax.vmap` the integers are traced and cannot be checked.
"""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import GRU, ReadoutModel, models, tasks, training
from tests import test_integers


@pytest.fixture(autouse=True)
def debug_nans() -> Iterator[None]:
    with jax.debug_nans(True):
        yield


@pytest.mark.extended
@pytest.mark.parametrize("door", test_integers.DOORS)
def test_no_operation_of_a_loss_gives_nan(door: str, monkeypatch: pytest.MonkeyPatch) -> None:
    init = test_integers._made

    def run(scale: Any, one: Any) -> Any:
        monkeypatch.setattr(test_integers, "_made", lambda model: jax.tree.map(lambda p: scale * p, init(model)))
        return test_integers.DOORS[door](lambda x: x.astype(np.int32) * one)

    def first(scale: Any) -> Any:
        return jnp.sum(jax.tree.leaves(run(scale, np.int32(1)))[0].astype(float))

    run(1.0, np.int32(1))
    jax.grad(first)(1.0)
    jax.vmap(run, (None, 0))(1.0, jnp.ones(1, jnp.int32))


@pytest.mark.parametrize(
    "task",
    [
        pytest.param(tasks.VariableCopying(3), marks=pytest.mark.extended, id="copying"),
        pytest.param(tasks.Adding(4), id="adding"),
    ],
)
def test_no_operation_of_a_training_gives_nan(task: tasks.Task) -> None:
    model = ReadoutModel(GRU(task.input_size, 2), task.output_size)
    trainer = training.Trainer(model, 2, training.Adam(0.01), training.ClipByNorm(1.0))
    state = training.init(trainer, jax.random.split(jax.random.key(0), 1))
    history = training.train(trainer, task, state, 2, log_every=2).history
    assert np.all(np.isfinite(history.loss))


def test_labels_out_of_range_are_stopped_at() -> None:
    model = models.Classifier(GRU(3, 2), 4)
    params = jax.jit(model.init)(jax.random.key(0))
    loss = jax.jit(lambda labels: model.loss(params, jnp.ones((2, 1, 3)), labels))
    assert np.isfinite(loss(np.array([3])))
    with pytest.raises((FloatingPointError, ValueError)):
        loss(np.array([4]))
