"""Words as rows of character ids."""

from collections.abc import Sequence

import numpy as np

from rnn_jax import checks
from rnn_jax.data.vocabulary import Vocabulary


def spell(words: Sequence[str], characters: Vocabulary, width: int) -> np.ndarray:
    """Returns the ids of the characters of each word.

    A word longer than `width` loses its middle: its start and its end show most about its kind.

    >>> from rnn_jax import data
    >>> characters = data.Vocabulary.of(["abcdef"])
    >>> data.spell(["abc", "abcdef"], characters, width=4).tolist()
    [[4, 5, 6, 0], [4, 5, 8, 9]]

    Args:
      words: words.
      characters: vocabulary of characters.
      width: number of ids in a row.

    Returns:
      Ids, int32 [n, width], padded with PADDING at the end.

    Raises:
      ValueError: if width is not an integer of at least 2.
    """
    checks.integer_at_least(2, width, "spell: width", ", a start and an end")
    ids = np.full((len(words), width), Vocabulary.PADDING, np.int32)
    end = width // 2
    for row, word in zip(ids, words, strict=True):
        kept = word if len(word) <= width else word[: width - end] + word[-end:]
        row[: len(kept)] = characters.encode(kept)
    return ids
