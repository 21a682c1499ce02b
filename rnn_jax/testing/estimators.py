"""The contract of an estimator of dL/dparams: value and readout gradient exact, a carry of constant shape."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax import cells
from rnn_jax.gradients import BPTT, Estimator, task_loss
from rnn_jax.models import ReadoutModel
from rnn_jax.tasks import Adding, Batch
from rnn_jax.testing.comparison import require, require_close, require_like, require_value

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
    require_value(estimator)
    name = type(estimator).__name__
    keys = jax.random.split(jax.random.key(0), 2)
    params = [MODEL.init(key) for key in keys]
    batch = TASK.sample(jax.random.key(1), 3)
    estimate = jax.jit(functools.partial(_estimate, estimator))
    got, expected = estimate(params[0], batch, keys[0]), jax.jit(functools.partial(_estimate, BPTT()))(params[0], batch)
    require_close(f"{name}: the value must be the loss", got.value, expected.value)
    require_like(f"{name}: the gradient must be like the parameters", got.gradient, params[0])
    finite = all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(got.gradient))
    require(finite, f"{name}: the gradient must be finite")
    require_close(
        f"{name}: the gradient of the readout must be exact", got.gradient.readout, expected.gradient.readout, 1e-4
    )
    if exact:
        require_close(
            f"{name}: the gradient of the cell must be exact", got.gradient.cell, expected.gradient.cell, 1e-4
        )
    before = jax.eval_shape(functools.partial(_carry, estimator), params[0], batch, keys[0])
    require_like(f"{name}: the carry must keep its shapes from segment to segment", got.carry, before)
    both = jax.vmap(estimate, in_axes=(0, None, 0))(jax.tree.map(lambda *p: jnp.stack(p), *params), batch, keys)
    for seed in range(2):
        alone = estimate(params[seed], batch, keys[seed])
        one = jax.tree.map(lambda leaf, seed=seed: leaf[seed], (both.value, both.gradient))
        require_close(
            f"{name}: jax.vmap over seeds must equal each seed alone", one, (alone.value, alone.gradient), 1e-4
        )


def _carry(estimator: Estimator, params: Any, batch: Batch, key: jax.Array | None) -> Any:
    return estimator.init(MODEL.cell, params, batch.inputs, key=key)


def _estimate(estimator: Estimator, params: Any, batch: Batch, key: jax.Array | None = None) -> Any:
    carry = _carry(estimator, params, batch, key)
    return estimator(MODEL.cell, task_loss(MODEL, TASK, batch), params, carry, batch.inputs, batch)
