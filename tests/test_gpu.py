"""On a GPU: the same training as on the CPU, and cuDNN's LSTM."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import BPTT, CELLS, LSTM, Adding, CuDNN, ReadoutModel, Scan, training, unroll
from rnn_jax.engines import Engine
from rnn_jax.testing import cells as contract

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(jax.default_backend() != "gpu", reason="no GPU"),
]


@pytest.mark.parametrize("name", CELLS)
def test_trains_as_on_the_cpu(name: str) -> None:
    task = Adding(20)
    trainer = training.Trainer(ReadoutModel(CELLS[name](2, 8), 1), 4, training.Adam(1e-2), training.ClipByNorm(1.0))
    losses = []
    for device in (jax.devices("gpu")[0], jax.devices("cpu")[0]):
        # Full float32 products: a GPU's default, TF32, would not give equal results.
        with jax.default_device(device), jax.default_matmul_precision("highest"):
            state = training.init(trainer, jax.random.split(jax.random.key(0), 3))
            _, metrics = training.run(trainer, task, training.start(trainer, task, state), 5)
        losses.append(np.asarray(metrics.loss))
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)


@pytest.mark.parametrize("lengths", [None, [20, 0, 7, 1, 13]])
@pytest.mark.parametrize("seeds", [None, 2])
def test_cudnn_equals_scan_in_value_and_gradient(lengths: list[int] | None, seeds: int | None) -> None:
    cell = LSTM(6, 9)  # of other sizes than in `test_cudnn`, whose compiled programs are not those of cuDNN
    params, xs, state = contract.moved_params(cell), contract.inputs(cell, 20, 5), contract.moved_state(cell, 5)
    if seeds is not None:
        params = jax.tree.map(lambda *leaves: jnp.stack(leaves), params, contract.moved_params(cell, 1))

    def run(engine: Engine) -> list[jax.Array]:
        def loss(*arguments: Any) -> jax.Array:
            final, ys = unroll(cell, *arguments, lengths=lengths, engine=engine)
            return jnp.sum(jnp.cos(ys)) + jnp.sum(final.c**2) + jnp.sum(final.h**3)

        gradient = jax.value_and_grad(loss, argnums=(0, 1, 2))
        mapped = gradient if seeds is None else jax.vmap(gradient, (0, None, None))
        with jax.default_matmul_precision("highest"):
            return jax.tree.leaves(jax.jit(mapped)(params, xs, state))

    for got, expected in zip(run(CuDNN()), run(Scan()), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_trains_by_cudnn() -> None:
    task, losses = Adding(20), []
    for engine in (CuDNN(), Scan()):
        model = ReadoutModel(LSTM(2, 8), 1)
        trainer = training.Trainer(model, 4, training.Adam(1e-2), training.ClipByNorm(1.0), BPTT(engine))
        with jax.default_matmul_precision("highest"):
            state = training.init(trainer, jax.random.split(jax.random.key(0), 3))
            _, metrics = training.run(trainer, task, training.start(trainer, task, state), 5)
        losses.append(np.asarray(metrics.loss))
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)
