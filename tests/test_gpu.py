"""On a GPU: the same training as on the CPU."""

import jax
import numpy as np
import pytest

from rnn_jax import CELLS, Adding, ReadoutModel, training

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
