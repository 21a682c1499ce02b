"""Word dropout: a share of the words, and no other number of a batch, is replaced while a network trains."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.common.word_dropout import WordDropout
from rnn_jax.data import Examples, Vocabulary


def test_word_dropout_replaces_a_share_of_the_words_by_unknown():
    @dataclasses.dataclass(frozen=True)
    class Spy:
        def loss(self, params, ids, labels, lengths, key):
            del params, labels, lengths, key
            seen.append(np.asarray(ids))
            return 0.0

    seen: list[np.ndarray] = []
    ids = jnp.full((50, 40), 7)
    batch = Examples(ids, (jnp.full(40, 50), jnp.zeros(40, int)))
    for rate in (0.0, 0.3):
        WordDropout(rate)(Spy(), None, batch, jax.random.key(0))
    assert np.all(seen[0] == 7)
    assert set(np.unique(seen[1])) == {Vocabulary.UNKNOWN, 7}
    assert np.mean(seen[1] == Vocabulary.UNKNOWN) == pytest.approx(0.3, abs=0.03)
