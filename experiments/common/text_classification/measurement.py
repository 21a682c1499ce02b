"""Trains all seeds of one classifier; the validation part chooses the epoch, the test part is read once, at the end."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.metrics import f1_score

from experiments.common import parallel
from experiments.common.text_classification.texts import Part, Texts
from rnn_jax import training
from rnn_jax.data import Examples, Vocabulary
from rnn_jax.models import Classifier

READ_AT_A_TIME = 256  # texts, where nothing is learnt


@dataclasses.dataclass(frozen=True)
class Network:
    """What is to be trained."""

    name: str
    trainer: training.Trainer[Classifier]
    word_dropout: float
    epochs: int


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a network, [seeds, ...]; parameters of the epoch best on the validation part."""

    network: Network
    fit: training.Fit  # its scores are shares of the validation part's texts that are classified wrong
    guesses: np.ndarray | None  # [seeds, N]: classes of the test part's texts; None before the end


@dataclasses.dataclass(frozen=True)
class WordDropout:
    """The loss with a share of the tokens made UNKNOWN, so that no text is known by one word, and UNKNOWN is learnt.

    Iyyer et al. 2015, "Deep unordered composition rivals syntactic methods for text classification", section 3.
    """

    rate: float

    def __call__(self, model: Classifier, params: Any, batch: Examples, key: jax.Array) -> jax.Array:
        key_words, key_model = jax.random.split(key)
        lengths, labels = batch.whole
        unknown = jax.random.bernoulli(key_words, self.rate, batch.steps.shape)
        return model.loss(params, jnp.where(unknown, Vocabulary.UNKNOWN, batch.steps), labels, lengths, key=key_model)


def measure(
    network: Network,
    texts: Texts,
    keys: jax.Array,
    looked: Callable[[Outcome], None],
    session: training.Session,
) -> Outcome | None:
    """Trains a network.

    Args:
      network: what to train.
      texts: on what.
      keys: [seeds].
      looked: called after every epoch.
      session: who is told, what ends it, where it is kept.

    Returns:
      The outcome; None where it was stopped.
    """
    model, validation = network.trainer.model, texts.parts["validation"]

    def wrong(params: Any) -> np.ndarray:
        return 1 - accuracy(guesses(model, params, validation), validation.labels)

    fit = training.fit(
        network.trainer,
        WordDropout(network.word_dropout),
        texts.parts["training"].buckets,
        parallel.begin(network.trainer, keys),
        network.epochs,
        wrong,
        on_epoch=lambda so_far: looked(Outcome(network, so_far, None)),
        session=session,
    )
    return None if fit is None else Outcome(network, fit, guesses(model, fit.params, texts.parts["test"]))


def guesses(model: Classifier, params: Any, part: Part) -> np.ndarray:
    """The most probable class of each text of a part, [seeds, N], in its order."""
    seeds = len(jax.tree.leaves(params)[0])
    found = np.empty((seeds, len(part.labels)), int)
    for examples, places in zip(part.buckets, part.members, strict=True):
        found[:, places] = training.predict(model, guess, params, examples, READ_AT_A_TIME)
    return found


def guess(model: Classifier, params: Any, batch: Examples) -> jax.Array:
    """The most probable class of each text of a batch, [B]."""
    return jnp.argmax(model.apply(params, batch.steps, batch.whole[0]), axis=-1)


def accuracy(found: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Of classes [seeds, N], the share that is right; [seeds]."""
    return np.mean(found == labels, axis=-1)


def macro_f1(found: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Of classes [seeds, N], the mean over the classes of F1 = 2 hits / (guessed + there); [seeds]."""
    present = np.unique(labels)
    return np.array([f1_score(labels, each, labels=present, average="macro", zero_division=0) for each in found])


def work(network: Network, texts: Texts) -> int:
    """Optimization steps of a network."""
    return network.epochs * training.epoch_steps(texts.parts["training"].buckets, network.trainer.batch_size)


def chosen(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcome that is best on the validation part, on the mean of its seeds."""
    return min(outcomes, key=lambda outcome: float(np.mean(np.nanmin(outcome.fit.scores, axis=1))))
