"""A training that is to be killed: `python tests/killed.py KIND FOLDER`. At its end it writes FOLDER/final.json.

It saves at every log point, so that a save is under way most of the time.
"""

import functools
import hashlib
import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import GRU, LSTM, tasks, training
from rnn_jax.data import OneHot, Streams
from rnn_jax.models import LanguageModel, ReadoutModel

LOG_EVERY, LOG_POINTS = 4, 24


def of_task(seeds):
    task = tasks.Adding(length=20)
    trainer = training.Trainer(ReadoutModel(LSTM(2, 16), 1), 8, training.Adam(0.01), training.ClipByNorm(1.0))
    state = training.init(trainer, jax.random.split(jax.random.key(0), seeds))
    return trainer, functools.partial(training.run, trainer, task), state


def of_stream(seeds):
    """Truncated BPTT: the state goes on from segment to segment."""
    streams = Streams.of(np.random.default_rng(0).integers(0, 9, 1501), 4, 10)
    trainer = training.Trainer(
        LanguageModel(OneHot(9), GRU(9, 16)).network, 4, training.Adam(0.01), training.ClipByNorm(1.0)
    )
    state = training.init(trainer, jax.random.split(jax.random.key(0), seeds))
    begun = training.begin_stream(trainer, streams, state)
    return trainer, functools.partial(training.run_stream, trainer, streams), begun


KINDS = {"plain": (of_task, 1), "truncated": (of_stream, 1), "seeds": (of_task, 4)}


def digests(progress):
    """Of every array of the end."""
    found = {}
    everything = {
        "state": progress.state,
        "best": progress.best,
        "history": progress.history,
        "curves": progress.curves,
    }
    for name, leaf in training.named_leaves(everything).items():
        raw = jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
        found[name] = hashlib.sha256(np.asarray(raw).tobytes()).hexdigest()
    return found


def main(kind, folder):
    begin, seeds = KINDS[kind]
    trainer, loop, state = begin(seeds)
    progress = training.train(
        trainer,
        loop,
        state,
        LOG_EVERY * LOG_POINTS,
        log_every=LOG_EVERY,
        look=lambda now: {"norm": np.asarray(jax.tree.leaves(now.training.params)[0]).reshape(seeds, -1)[:, 0]},
        look_every=3 * LOG_EVERY,
        best_by="norm",
        session=training.Session(
            Path(folder), {"kind": kind}, 0.0, advance=lambda steps: print(steps, flush=True), tell=print
        ),
    )
    (Path(folder) / "final.json").write_text(json.dumps(digests(progress)))


if __name__ == "__main__":
    main(*sys.argv[1:])
