"""Training of translators, and their translations of the test set by beam search."""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from experiments.baselines import nearest_sentence
from experiments.common import fitting
from experiments.common.fitting import Network
from experiments.common.runner import Job, Status
from experiments.translation.config import Config
from experiments.translation.corpus import Corpus, examples, items
from rnn_jax import training
from rnn_jax.data import Examples
from rnn_jax.models import EncoderDecoder, beam_search

EVALUATED = 128  # pairs at a time


@dataclasses.dataclass(frozen=True)
class Test:
    """Translations of the test set."""

    translations: list[list[tuple[str, ...]]]  # [seeds][items]
    nats: np.ndarray | None = None  # per token of the test set, [seeds]
    weights: np.ndarray | None = None  # attention of the first seed [items, T, S]
    search_seconds: float | None = None


Outcome = fitting.Outcome[Test]
Baseline = fitting.Baseline[Test]


@dataclasses.dataclass(frozen=True)
class Loss:
    """Loss of a batch, for `training.fit`."""

    own_words: float

    def __call__(self, model: EncoderDecoder, params: Any, batch: Examples, key: jax.Array) -> jax.Array:
        steps, whole = batch
        return model.loss(
            params, steps["source"], whole["source"], steps["target"], whole["target"], key, self.own_words
        )


@dataclasses.dataclass(frozen=True)
class Translate:
    """Function for `training.predict` that translates a batch's sources by beam search."""

    beam: int
    max_length: int
    length_penalty: float

    def __call__(self, model: EncoderDecoder, params: Any, batch: Examples) -> Any:
        start = model.encode(params, batch.steps["source"], batch.whole["source"])
        options: dict[str, Any] = {"width": self.beam, "max_length": self.max_length, "alpha": self.length_penalty}
        return beam_search(model.decoder, start.params, start.state, **options)


def log_probability(model: EncoderDecoder, params: Any, batch: Examples) -> jax.Array:
    """Returns the log probability of each pair's target, END included; for `training.predict`."""
    start = model.encode(params, batch.steps["source"], batch.whole["source"])
    lengths = batch.whole["target"]
    return model.decoder.log_probability(start.params, batch.steps["target"], start.state, lengths=lengths)


def baselines(corpus: Corpus) -> list[Baseline]:
    """Returns the baselines' translations of the test set."""
    sources = [item.source for item in items(corpus.splits.test)]
    made = nearest_sentence.translations(corpus.splits.training, sources, corpus.by_words)
    return [Baseline(name, np.array([np.nan]), Test([each])) for name, each in made.items()]


def job(
    corpus: Corpus, config: Config, network: Network, records: Callable[[Outcome], Any], status: Status
) -> Job[Outcome]:
    """Returns the job that trains all seeds of a network and translates the test set."""

    def on_epoch(fit: training.Fit) -> None:
        nats = fit.scores[:, -1].mean()
        status[network.name] = f"epoch {fit.scores.shape[1]}, validation {nats:.3f} nats/token"

    return fitting.fit_job(
        network,
        config,
        Loss(config.own_words),
        corpus.buckets,
        score=functools.partial(_nats, network.trainer.model, examples(corpus, corpus.splits.validation)),
        test=functools.partial(_test, corpus, config, network.trainer.model),
        records=records,
        on_epoch=on_epoch,
    )


def _test(corpus: Corpus, config: Config, model: EncoderDecoder, params: Any) -> Test:
    started = time.perf_counter()
    nats = _nats(model, examples(corpus, corpus.splits.test), params)
    function = Translate(config.beam, corpus.longest[1], config.length_penalty)
    sources = examples(corpus, [(item.source, ()) for item in items(corpus.splits.test)], corpus.longest)
    result = training.predict(model, function, params, sources, EVALUATED)
    translations = [
        [tuple(corpus.target.decode(row[:length], specials=False)) for row, length in zip(*seed, strict=True)]
        for seed in zip(result.tokens, result.lengths, strict=True)
    ]
    weights = result.weights[0] if model.decoder.attends else None
    return Test(translations, nats, weights, time.perf_counter() - started)


def _nats(model: EncoderDecoder, pairs: Examples, params: Any) -> np.ndarray:
    """Returns -log p per token, END included, [seeds]."""
    logs = training.predict(model, log_probability, params, pairs, EVALUATED)
    return -logs.sum(axis=1) / float(np.sum(pairs.whole["target"]))
