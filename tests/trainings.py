"""Small trainings of every kind, to be interrupted, resumed and compared bit by bit."""

import functools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import GRU, LSTM, tasks, training
from rnn_jax.data import Examples, OneHot, Streams
from rnn_jax.models import LanguageModel, ReadoutModel

STEPS, LOG_EVERY, LOOK_EVERY = 12, 2, 4


def _loss(model: ReadoutModel, params: Any, batch: Examples, key: jax.Array) -> jax.Array:
    logits = model.apply(params, batch.steps)[1][-1]
    return -jnp.mean(jnp.sum(jax.nn.log_softmax(logits) * jax.nn.one_hot(batch.whole, 2), axis=-1))


class Kind:
    """A loop, and states at its beginning."""

    def __init__(self, trainer: training.Trainer, loop: Callable[..., Any], begin: Callable[[Any], Any]):
        self.trainer, self.loop, self._begin = trainer, functools.partial(loop, trainer), begin

    def begin(self) -> Any:
        return self._begin(training.init(self.trainer, jax.random.split(jax.random.key(3), 2)))


def of_task(rate: float = 0.01, **options: Any) -> Kind:
    task = tasks.Adding(length=6)
    trainer = training.Trainer(ReadoutModel(LSTM(2, 4), 1), 4, training.Adam(rate), None, **options)
    return Kind(trainer, lambda t, state, steps: training.run(t, task, state, steps), lambda state: state)


def of_stream(**options: Any) -> Kind:
    ids = np.random.default_rng(0).integers(0, 5, 90)
    streams = Streams.of(ids, 3, 4)
    model = LanguageModel(OneHot(5), GRU(5, 4))
    trainer = training.Trainer(model.network, 3, training.Adam(0.01), training.ClipByNorm(1.0), **options)
    return Kind(
        trainer,
        lambda t, state, steps: training.run_stream(t, streams, state, steps),
        lambda state: training.begin_stream(trainer, streams, state),
    )


def of_examples(**options: Any) -> Kind:
    rng = np.random.default_rng(0)
    buckets = [
        Examples(jnp.asarray(rng.normal(size=(n, 10, 1)), jnp.float32), jnp.asarray(rng.integers(0, 2, 10)))
        for n in (3, 5)
    ]
    trainer = training.Trainer(ReadoutModel(LSTM(1, 4), 2), 4, training.Adam(0.01), None, **options)
    return Kind(
        trainer,
        lambda t, state, steps: training.run_examples(t, _loss, buckets, state, steps),
        training.begin_examples,
    )


KINDS = {"task": of_task, "stream": of_stream, "examples": of_examples}


def _look(progress: training.Progress) -> dict[str, np.ndarray]:
    """Of parameters, so that what is kept as best can be told."""
    norms = [np.square(np.asarray(leaf)).sum(axis=tuple(range(1, leaf.ndim))) for leaf in params_of(progress)]
    return {"size": -np.sum(norms, axis=0)}


def params_of(progress: training.Progress) -> list[Any]:
    return jax.tree.leaves(progress.training.params)


def train(kind: Kind, kept: training.Session | None = None, steps: int = STEPS) -> training.Progress | None:
    return training.train(
        kind.trainer,
        kind.loop,
        kind.begin(),
        steps,
        log_every=LOG_EVERY,
        look=_look,
        look_every=LOOK_EVERY,
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
    assert (one.done, one.looks.tolist()) == (other.done, other.looks.tolist())
    assert one.curves["size"].tobytes() == other.curves["size"].tobytes()


@functools.cache
def whole(name: str) -> training.Progress:
    found = train(KINDS[name]())
    assert found is not None
    return found
