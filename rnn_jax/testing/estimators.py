"""The contract of an estimator of dL/dparams: value and readout gradient exact, a carry of constant shape."""

import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax import cells
from rnn_jax.gradients import BPTT, Estimate, Estimator, task_loss
from rnn_jax.models import ReadoutModel
from rnn_jax.models.readout import ReadoutParams
from rnn_jax.tasks import Adding, Batch
from rnn_jax.testing.comparison import Check, require, require_close, require_like, require_value, run_all

MODEL = ReadoutModel(cells.GRU(2, 3), 1)
TASK = Adding(12)


def check_estimator(estimator: Estimator, exact: bool = False) -> None:
    """Checks the contract of an estimator with a GRU on a few sequences of the adding problem.

    >>> from rnn_jax import RTRL, testing
    >>> testing.check_estimator(RTRL(), exact=True)

    Args:
      estimator: estimator that takes sequences of 12 steps.
      exact: whether the cell's gradient must be the exact one, too.

    Raises:
      ContractError: if a property does not hold; the message is one sentence.
    """
    run_all(checks(estimator, exact))


def checks(estimator: Estimator, exact: bool = False) -> Iterator[Check]:
    """Yields the checks of an estimator."""
    name = type(estimator).__name__
    properties = (value, estimates, carry, seeds, *((cell_gradient,) if exact else ()))
    for check in properties:
        yield Check.of(name, check, estimator)


def value(estimator: Estimator) -> None:
    """An estimator is a hashable value, so that equal ones share compiled programs."""
    require_value(estimator)


def estimates(estimator: Estimator) -> None:
    """The value is the loss, and the gradient finite, like the parameters, and exact for the readout."""
    name, got, exact = type(estimator).__name__, _estimate(estimator, 0), _estimate(BPTT(), 0)
    require_close(f"{name}: the value must be the loss", got.value, exact.value)
    require_like(f"{name}: the gradient must be like the parameters", got.gradient, _params(0))
    finite = all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(got.gradient))
    require(finite, f"{name}: the gradient must be finite")
    message = f"{name}: the gradient of the readout must be exact"
    require_close(message, got.gradient.readout, exact.gradient.readout, 1e-4)


def cell_gradient(estimator: Estimator) -> None:
    """The gradient of the cell is exact."""
    got, exact = _estimate(estimator, 0), _estimate(BPTT(), 0)
    message = f"{type(estimator).__name__}: the gradient of the cell must be exact"
    require_close(message, got.gradient.cell, exact.gradient.cell, 1e-4)


def carry(estimator: Estimator) -> None:
    """The carry keeps its shapes from segment to segment."""
    before = jax.eval_shape(lambda p, b, k: _carry(estimator, p, b, k), _params(0), _batch(), jax.random.key(0))
    message = f"{type(estimator).__name__}: the carry must keep its shapes from segment to segment"
    require_like(message, _estimate(estimator, 0).carry, before)


def seeds(estimator: Estimator) -> None:
    """`jax.vmap` over seeds equals each seed alone."""
    params = jax.tree.map(lambda *p: jnp.stack(p), _params(0), _params(1))
    keys = jax.random.split(jax.random.key(0), 2)
    both = jax.vmap(functools.partial(_run, estimator), in_axes=(0, None, 0))(params, _batch(), keys)
    for seed in range(2):
        alone = _run(estimator, _params(seed), _batch(), keys[seed])
        one = jax.tree.map(lambda leaf, seed=seed: leaf[seed], (both.value, both.gradient))
        message = f"{type(estimator).__name__}: jax.vmap over seeds must equal each seed alone"
        require_close(message, one, (alone.value, alone.gradient), 1e-4)


def _params(seed: int) -> ReadoutParams:
    return MODEL.init(jax.random.key(seed))


def _batch() -> Batch:
    return TASK.sample(jax.random.key(1), 3)


def _estimate(estimator: Estimator, seed: int) -> Estimate:
    return _run(estimator, _params(seed), _batch(), jax.random.key(0))


@functools.partial(jax.jit, static_argnums=0)
def _run(estimator: Estimator, params: ReadoutParams, batch: Batch, key: jax.Array) -> Estimate:
    carry = _carry(estimator, params, batch, key)
    return estimator(MODEL.cell, task_loss(MODEL, TASK, batch), params, carry, batch.inputs, batch)


def _carry(estimator: Estimator, params: ReadoutParams, batch: Batch, key: jax.Array) -> Any:
    return estimator.init(MODEL.cell, params, batch.inputs, key=key)
