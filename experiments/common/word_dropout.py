"""Loss of a text classifier, with words dropped."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.data import Examples, Vocabulary
from rnn_jax.models import Classifier


@dataclasses.dataclass(frozen=True)
class WordDropout:
    """Loss with a share of the tokens replaced by UNKNOWN, so that UNKNOWN is trained and no single word is relied on.

    Iyyer et al. 2015, "Deep unordered composition rivals syntactic methods for text classification", section 3.
    """

    rate: float = 0.0

    def __call__(self, model: Classifier, params: Any, batch: Examples, key: jax.Array) -> jax.Array:
        key_words, key_model = jax.random.split(key)
        lengths, labels = batch.whole
        unknown = jax.random.bernoulli(key_words, self.rate, batch.steps.shape)
        ids = jnp.where(unknown, Vocabulary.UNKNOWN, batch.steps)
        return model.loss(params, ids, labels, lengths, key=key_model)
