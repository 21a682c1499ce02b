"""One of several processes that train together: run by tests/test_distributed.py.

python -m tests.process PORT PROCESSES INDEX MESH TIMEOUT RUNS
"""

import sys
import time

import jax
import numpy as np

import rnn_jax
from rnn_jax import data, distributed, initializers, mesh, models, seeds, training

IDS = np.random.default_rng(0).integers(0, 6, 8 * 5 * 2 + 1)
CELL = rnn_jax.VanillaRNN(6, 8, recurrent_init=initializers.Uniform())
TRAINER = training.Trainer(models.ReadoutModel(CELL, 6), 8, training.SGD(0.1), training.ClipByNorm(1.0))


def train(runs: int, done=lambda run: None) -> dict[str, np.ndarray]:
    """Trains on streams, the input that is split between processes."""
    streams = data.Streams.of(IDS, 8, 5)
    state = training.start(TRAINER, streams, training.init(TRAINER, jax.random.split(jax.random.key(0), 4)))
    chunks = []
    for run in range(runs):
        state, chunk = training.run(TRAINER, streams, state, 2)
        chunks.append(chunk)
        jax.block_until_ready(chunk)
        done(run)
    tested = training.evaluate(TRAINER.model, streams, state.training.params)["loss"]
    w_h = seeds.fetch(state.training.params.cell.w_h)
    held = streams.columns.addressable_shards[0].data.shape[1]
    return {"loss": training.join(chunks).loss, "w_h": w_h, "tested": tested, "streams": np.array(held)}


def main(port: str, processes: str, index: str, shape: str, timeout: str, runs: str) -> None:
    jax.config.update("jax_num_cpu_devices", 1)
    distributed.initialize(f"127.0.0.1:{port}", int(processes), int(index), heartbeat_timeout=int(timeout))

    def done(run: int) -> None:
        print(f"run {run} done", flush=True)
        if int(runs) > 2:  # a test kills one meanwhile
            time.sleep(0.1)

    with distributed.exit_on_error(), jax.set_mesh(mesh.MeshShape.parse(shape).build()):
        results = train(int(runs), done)
        if distributed.is_writer():
            print({name: array.tolist() for name, array in results.items()}, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
