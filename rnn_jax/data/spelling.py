"""Words as their characters, of one width."""

from collections.abc import Sequence

import numpy as np

from rnn_jax import checks
from rnn_jax.data.vocabulary import Vocabulary


def spell(words: Sequence[str], characters: Vocabulary, width: int) -> np.ndarray:
    """The ids of each word's characters, int32 [n, width], PADDING behind them.

    Of a word longer than `width` the middle is left out: its beginning and its end tell most of what kind it is.

    Raises:
      ValueError: where width is not an integer of at least 2.
    """
    checks.integer_at_least(2, width, "spell: width", ", a beginning and an end")
    ids = np.full((len(words), width), Vocabulary.PADDING, np.int32)
    end = width // 2
    for row, word in zip(ids, words, strict=True):
        kept = word if len(word) <= width else word[: width - end] + word[-end:]
        row[: len(kept)] = characters.encode(kept)
    return ids
