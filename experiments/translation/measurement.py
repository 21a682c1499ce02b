"""A network's training, watched on the validation part; at its end the test part, translated by its best parameters."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from experiments.common import parallel
from experiments.common.flags import UserError
from experiments.translation import corpus as corpora
from experiments.translation import scoring
from experiments.translation.config import Config, Plan
from experiments.translation.corpus import Item
from rnn_jax import training
from rnn_jax.data import Examples
from rnn_jax.models import EncoderDecoder, beam_search

EVALUATED = 128  # pairs at a time


@dataclasses.dataclass(frozen=True)
class Loss:
    """Of a batch, for `training.fit`."""

    own_words: float

    def __call__(self, model: EncoderDecoder, params: Any, batch: Examples, key: jax.Array) -> jax.Array:
        steps, whole = batch
        return model.loss(
            params, steps["source"], whole["source"], steps["target"], whole["target"], key, self.own_words
        )


@dataclasses.dataclass(frozen=True)
class Translate:
    """A batch's sources by beam search, for `training.predict`: tokens, lengths, scores and weights."""

    beam: int
    max_length: int
    length_penalty: float

    def __call__(self, model: EncoderDecoder, params: Any, batch: Examples) -> Any:
        begun = model.encode(params, batch.steps["source"], batch.whole["source"])
        return beam_search(
            model.decoder,
            begun.params,
            begun.state,
            width=self.beam,
            max_length=self.max_length,
            alpha=self.length_penalty,
        )


def log_probability(model: EncoderDecoder, params: Any, batch: Examples) -> jax.Array:
    """Of each pair's target, END counted in; for `training.predict`."""
    begun = model.encode(params, batch.steps["source"], batch.whole["source"])
    lengths = batch.whole["target"]
    return model.decoder.log_probability(begun.params, batch.steps["target"], begun.state, lengths=lengths)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """All that a network gave; [seeds] first."""

    fit: training.Fit
    nats: np.ndarray  # [seeds], per token of the test part
    translations: list[list[tuple[str, ...]]]  # of each seed, of each item
    weights: np.ndarray | None  # of the first seed, [items, T, S]; None without attention
    scores: list[scoring.Score]
    training_seconds: float
    search_seconds: float


def measure(
    plan: Plan,
    config: Config,
    name: str,
    items: list[Item],
    looked: Callable[[training.Fit], None],
    session: training.Session,
) -> Outcome | None:
    """Trains all seeds of a network, keeps the parameters that are best on the validation part, and translates.

    Args:
      plan: what to run.
      config: of the experiment.
      name: of the network.
      items: of the test part.
      looked: called after each epoch.
      session: who is told, what ends it, where it is kept.

    Returns:
      The outcome; None where it was stopped.

    Raises:
      UserError: where no epoch's parameters are fit to be kept.
    """
    trainer, corpus = plan.trainers[name], plan.corpus
    keys = jax.random.split(jax.random.key(config.seed), config.seeds)
    state = parallel.begin(trainer, keys)
    held_out = corpora.examples(corpus, corpus.parts.validation)

    def score(params: Any) -> np.ndarray:
        return _nats(trainer.model, params, held_out)

    fit = training.fit(
        trainer,
        Loss(config.own_words),
        plan.buckets,
        state,
        config.epochs,
        score,
        on_epoch=looked,
        session=session,
    )
    if fit is None:
        return None
    if not np.all(np.any(np.isfinite(fit.scores), axis=1)):
        raise UserError(f"{name}: nothing was learnt, a lower --learning_rate may help: {' '.join(fit.diverged)}")
    began = time.perf_counter()
    nats = _nats(trainer.model, fit.params, corpora.examples(corpus, corpus.parts.test))
    function = Translate(config.beam, plan.max_length, config.length_penalty)
    sources = corpora.examples(corpus, [(item.source, ()) for item in items], corpus.longest)
    found = training.predict(trainer.model, function, fit.params, sources, EVALUATED)
    translations = [
        [tuple(corpus.target.decode(row[:length], specials=False)) for row, length in zip(*of_seed, strict=True)]
        for of_seed in zip(found.tokens, found.lengths, strict=True)
    ]
    return Outcome(
        fit,
        nats,
        translations,
        found.weights[0] if trainer.model.decoder.attends else None,
        [scoring.score(corpus, items, of_seed) for of_seed in translations],
        fit.seconds,
        time.perf_counter() - began,
    )


def _nats(model: EncoderDecoder, params: Any, examples: Examples) -> np.ndarray:
    """-log p per token, END counted in, [seeds]."""
    found = training.predict(model, log_probability, params, examples, EVALUATED)
    return -found.sum(axis=1) / float(np.sum(examples.whole["target"]))
