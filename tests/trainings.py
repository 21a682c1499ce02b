"""Small trainings of every kind, to be interrupted, resumed and compared bit by bit."""

import dataclasses
import functools
import threading
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import GRU, LSTM, tasks, training
from rnn_jax.data import Examples, OneHot, Streams
from rnn_jax.models import LanguageModel, ReadoutModel

STEPS, LOG_EVERY, EVAL_EVERY = 12, 2, 4


def _loss(model: ReadoutModel, params: Any, batch: Examples, key: jax.Array) -> jax.Array:
    logits = model.apply(params, batch.steps)[1][-1]
    return -jnp.mean(jnp.sum(jax.nn.log_softmax(logits) * jax.nn.one_hot(batch.whole, 2), axis=-1))


@dataclasses.dataclass
class Kind:
    """A trainer and what it trains on."""

    trainer: training.Trainer
    source: Any

    def initial(self) -> training.TrainState:
        return training.init(self.trainer, jax.random.split(jax.random.key(3), 2))


def on_task(rate: float = 0.01, **options: Any) -> Kind:
    trainer = training.Trainer(ReadoutModel(LSTM(2, 4), 1), 4, training.Adam(rate), None, **options)
    return Kind(trainer, tasks.Adding(length=6))


def on_stream(**options: Any) -> Kind:
    ids = np.random.default_rng(0).integers(0, 5, 90)
    model = LanguageModel(OneHot(5), GRU(5, 4))
    trainer = training.Trainer(model.network, 3, training.Adam(0.01), training.ClipByNorm(1.0), **options)
    return Kind(trainer, Streams.of(ids, 3, 4))


def on_examples(**options: Any) -> Kind:
    rng = np.random.default_rng(0)
    buckets = [
        Examples(jnp.asarray(rng.normal(size=(n, 10, 1)), jnp.float32), jnp.asarray(rng.integers(0, 2, 10)))
        for n in (3, 5)
    ]
    trainer = training.Trainer(ReadoutModel(LSTM(1, 4), 2), 4, training.Adam(0.01), None, **options)
    return Kind(trainer, training.ExampleSource(buckets, _loss))


KINDS = {"task": on_task, "stream": on_stream, "examples": on_examples}


def _evaluate(progress: training.Progress) -> dict[str, np.ndarray]:
    """Returns a function of the parameters, so that a test sees which ones are kept as best."""
    norms = [np.square(np.asarray(leaf)).sum(axis=tuple(range(1, leaf.ndim))) for leaf in leaves(progress)]
    return {"size": -np.sum(norms, axis=0)}


def leaves(progress: training.Progress) -> list[Any]:
    return jax.tree.leaves(progress.training.params)


def train(kind: Kind, kept: training.Session | None = None, steps: int = STEPS) -> training.Progress | None:
    return training.train(
        kind.trainer,
        kind.source,
        kind.initial(),
        steps,
        log_every=LOG_EVERY,
        evaluate=_evaluate,
        eval_every=EVAL_EVERY,
        best_by="size",
        session=kept or training.Session(),
    )


def session(folder: Path, *, until: int | None = None, **options: Any) -> training.Session:
    """Saves at every log point, and stops once `until` steps are done."""
    stop, done = threading.Event(), [0]

    def advance(steps: int) -> None:
        done[0] += steps
        if until is not None and done[0] >= until:
            stop.set()

    return training.Session(folder, {"size": 4}, 0.0, advance=advance, stop=stop, **options)


def assert_same(one: training.Progress, other: training.Progress) -> None:
    for a, b in zip(jax.tree.leaves((one.state, one.best)), jax.tree.leaves((other.state, other.best)), strict=True):
        if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
    for a, b in zip(jax.tree.leaves(one.history), jax.tree.leaves(other.history), strict=True):
        assert a.tobytes() == b.tobytes()
        assert a.dtype == b.dtype
    assert (one.steps, one.eval_steps.tolist()) == (other.steps, other.eval_steps.tolist())
    assert one.curves["size"].tobytes() == other.curves["size"].tobytes()


@functools.cache
def whole(name: str) -> training.Progress:
    progress = train(KINDS[name]())
    assert progress is not None
    return progress
