"""Training of translators, and their translations of the test set by beam search."""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.baselines import nearest_sentence
from experiments.common import fitting
from experiments.common.fitting import Network
from experiments.common.pair_texts import Corpus
from experiments.common.runner import Job, Status
from rnn_jax import significance, training
from rnn_jax.applications import Translator
from rnn_jax.data import Examples
from rnn_jax.data.pairs import Words
from rnn_jax.models import EncoderDecoder

EVALUATED = 128  # pairs at a time


class Test(NamedTuple):
    """Translations of the test set."""

    translations: list[list[Words]]  # [seeds][sources]
    fields: list[
        dict[str, Any]
    ]  # of each seed's record: those of `Corpus.scored` and, of a network, test/nats_per_token
    scored: significance.Scored  # BLEU / 100, of dates the share of exact ones
    weights: np.ndarray | None = None  # attention of the first seed [sources, T, S]; None without attention
    search_seconds: float | None = None  # None for a baseline

    def mean(self, field: str) -> float | None:
        """Returns the mean of a field over the seeds; None if there is no such field, or it has no value."""
        values = [each[field] for each in self.fields if each.get(field) is not None]
        return float(np.mean(values)) if values else None


Outcome = fitting.Outcome[Test]
Baseline = fitting.Baseline[Test]


def arguments(batch: Examples) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Returns sources, their lengths, targets and their lengths, as an `EncoderDecoder` takes them."""
    steps, whole = batch
    return steps["source"], whole["source"], steps["target"], whole["target"]


def loss(model: EncoderDecoder, params: Any, batch: Examples, key: jax.Array, own_words: float) -> jax.Array:
    """Returns the loss of a batch, with scheduled sampling by the probability `own_words`."""
    return model.loss(params, *arguments(batch), key, own_words)


def translator(corpus: Corpus, config: Any, model: EncoderDecoder) -> Translator:
    """Returns the model as one that translates by the beam search of a config."""
    longest = corpus.longest[1]
    return Translator(model, corpus.source, corpus.target, corpus.by_words, config.beam, longest, config.length_penalty)


def nats_per_token(model: EncoderDecoder, pairs: Examples, params: Any) -> np.ndarray:
    """Returns -log p per token, END included, [seeds]."""
    logs = training.predict(model, _log_probability, params, pairs, EVALUATED)
    return -logs.sum(axis=1) / float(np.sum(pairs.whole["target"]))


def _log_probability(model: EncoderDecoder, params: Any, batch: Examples) -> jax.Array:
    return model.log_probability(params, *arguments(batch))


def baselines(corpus: Corpus) -> list[Baseline]:
    """Returns the baselines' translations of the test set."""
    sources = [item.source for item in corpus.tested]
    made = nearest_sentence.translations(corpus.splits.training, sources, corpus.by_words)
    tests = {name: Test([each], [corpus.scored(each)], corpus.main_score([each])) for name, each in made.items()}
    return [Baseline(name, np.array([np.nan]), test) for name, test in tests.items()]


def job(
    corpus: Corpus, config: Any, network: Network, records: Callable[[Outcome], Any], status: Status
) -> Job[Outcome]:
    """Returns the job that trains all seeds of a network and translates the test set."""
    model = network.trainer.model
    application = translator(corpus, config, model)

    def on_epoch(fit: training.Fit) -> None:
        nats = fit.scores[:, -1].mean()
        status[network.name] = f"epoch {fit.scores.shape[1]}, validation {nats:.3f} nats/token"

    return fitting.fit_job(
        dataclasses.replace(network, application=application),
        config,
        functools.partial(loss, own_words=config.own_words),
        corpus.training,
        score=functools.partial(nats_per_token, model, corpus.examples(corpus.splits.validation)),
        test=functools.partial(translate_test_set, corpus, application),
        records=records,
        on_epoch=on_epoch,
    )


def translate_test_set(corpus: Corpus, application: Translator, params: Any) -> Test:
    """Translates the test set with the parameters of all seeds."""
    started = time.perf_counter()
    nats = nats_per_token(application.model, corpus.examples(corpus.splits.test), params)
    sources = corpus.examples([(item.source, ()) for item in corpus.tested], corpus.longest)
    result = training.predict(application, Translator.search, params, sources, EVALUATED)
    translations = [
        [tuple(corpus.target.decode(row[:length])) for row, length in zip(*seed, strict=True)]
        for seed in zip(result.tokens, result.lengths, strict=True)
    ]
    weights, seconds = result.weights[0] if application.model.decoder.attends else None, time.perf_counter() - started
    fields = [
        {"test/nats_per_token": float(loss), **corpus.scored(each)}
        for loss, each in zip(nats, translations, strict=True)
    ]
    return Test(translations, fields, corpus.main_score(translations), weights, seconds)
