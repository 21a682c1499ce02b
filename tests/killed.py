"""A training that the tests kill: `python -m tests.killed KIND FOLDER`. At its end it writes FOLDER/final.json.

It saves at every log point, so that most of the time it is saving.
"""

import hashlib
import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import GRU, LSTM, tasks, training, trees
from rnn_jax.data import OneHot, Streams
from rnn_jax.models import LanguageModel, ReadoutModel

LOG_EVERY, LOG_POINTS = 4, 24


def on_task(seeds):
    task = tasks.Adding(length=20)
    trainer = training.Trainer(ReadoutModel(LSTM(2, 16), 1), 8, training.Adam(0.01), training.ClipByNorm(1.0))
    state = training.init(trainer, jax.random.split(jax.random.key(0), seeds))
    return trainer, task, state


def on_stream(seeds):
    """Truncated BPTT: the state is carried from segment to segment."""
    streams = Streams.of(np.random.default_rng(0).integers(0, 9, 1501), 4, 10)
    trainer = training.Trainer(
        LanguageModel(OneHot(9), GRU(9, 16)).network, 4, training.Adam(0.01), training.ClipByNorm(1.0)
    )
    state = training.init(trainer, jax.random.split(jax.random.key(0), seeds))
    return trainer, streams, state


KINDS = {"plain": (on_task, 1), "truncated": (on_stream, 1), "seeds": (on_task, 4)}


def digests(progress):
    """Returns a digest of every array of the final progress."""
    digests = {}
    everything = {
        "state": progress.state,
        "best": progress.best,
        "history": progress.history,
        "curves": progress.curves,
    }
    for name, leaf in trees.named_leaves(everything).items():
        raw = jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
        digests[name] = hashlib.sha256(np.asarray(raw).tobytes()).hexdigest()
    return digests


def main(kind, folder):
    start, seeds = KINDS[kind]
    trainer, source, state = start(seeds)
    progress = training.train(
        trainer,
        source,
        state,
        LOG_EVERY * LOG_POINTS,
        log_every=LOG_EVERY,
        evaluate=lambda now: {"norm": np.asarray(jax.tree.leaves(now.training.params)[0]).reshape(seeds, -1)[:, 0]},
        eval_every=3 * LOG_EVERY,
        best_by="norm",
        session=training.Session(
            Path(folder), {"kind": kind}, 0.0, advance=lambda steps: print(steps, flush=True), report=print
        ),
    )
    (Path(folder) / "final.json").write_text(json.dumps(digests(progress)), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
