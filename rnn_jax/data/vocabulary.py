"""Integer encoding of tokens: characters or words to ids, and back."""

import collections
import dataclasses
import functools
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from rnn_jax import checks, integers


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """A table of tokens and their ids: four special tokens first, then the ordinary tokens in the order given.

    A special token in a text has its own id, so texts that already contain `<unk>` for rare words are encoded as
    intended. Compares and hashes by value.

    >>> from rnn_jax import data
    >>> vocabulary = data.Vocabulary.of(["banana"])  # characters; lists of words work alike
    >>> vocabulary.tokens, len(vocabulary)  # most frequent first; <pad>, <unk>, <bos>, <eos> have ids 0 to 3
    (('a', 'n', 'b'), 7)
    >>> vocabulary.encode("band", end=True).tolist()
    [6, 4, 5, 1, 3]
    >>> vocabulary.decode([6, 4, 5, 1, 3])
    ['b', 'a', 'n']

    Args:
      tokens: ordinary tokens.

    Raises:
      TypeError: if tokens is not a tuple, or a token is not a string.
      ValueError: if there is no token, a token is special, or a token occurs twice.
    """

    PADDING: ClassVar[int] = 0
    UNKNOWN: ClassVar[int] = 1
    BEGIN: ClassVar[int] = 2
    END: ClassVar[int] = 3
    SPECIALS: ClassVar[tuple[str, ...]] = ("<pad>", "<unk>", "<bos>", "<eos>")

    tokens: tuple[str, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.tokens, tuple):
            raise TypeError(f"Vocabulary: tokens must be a tuple of strings, got {type(self.tokens).__name__}")
        if not self.tokens:
            raise ValueError("Vocabulary: tokens must hold at least one token, got none")
        first: dict[str, int] = {}
        for i, token in enumerate(self.tokens):
            _check_token(token, "Vocabulary: tokens", i)
            if token in self.SPECIALS:
                raise ValueError(f"Vocabulary: tokens must not hold the special tokens, got {token!r} at {i}")
            if first.setdefault(token, i) != i:
                raise ValueError(
                    f"Vocabulary: tokens must not repeat, got {token!r} at {first[token]} and again at {i}"
                )

    @classmethod
    def of(cls, sequences: Iterable[Iterable[str]], min_count: int = 1, max_size: int | None = None) -> "Vocabulary":
        """Builds the vocabulary of some sequences: most frequent token first, equally frequent ones by code point.

        Special tokens in the sequences are not counted, as they have ids already.

        Args:
          sequences: strings, whose characters are the tokens, or lists of words.
          min_count: smallest number of occurrences of a token.
          max_size: largest `len` of the vocabulary, special tokens included: the size of an encoder. None means no
            limit.

        Raises:
          TypeError: if sequences is one string, or a token is not a string.
          ValueError: if a number is out of its range, or no token remains.
        """
        if isinstance(sequences, str):
            # Each of its characters would count as a sequence.
            raise TypeError(
                f"Vocabulary.of: sequences must be a list, got one string (pass [text] instead): {sequences[:20]!r}"
            )
        checks.integer_at_least(1, min_count, "Vocabulary.of: min_count")
        if max_size is not None:
            least = len(cls.SPECIALS) + 1
            checks.integer_at_least(least, max_size, "Vocabulary.of: max_size", ", the special tokens and one more")
        counts: collections.Counter[str] = collections.Counter()
        for index, sequence in enumerate(sequences):
            for i, token in enumerate(sequence):
                _check_token(token, f"Vocabulary.of: sequence {index}", i)
                counts[token] += 1
        frequent = [token for token, n in counts.items() if n >= min_count and token not in cls.SPECIALS]
        if not frequent:
            raise ValueError(f"Vocabulary.of: no ordinary token occurs min_count = {min_count} times in sequences")
        frequent.sort(key=lambda token: (-counts[token], token))
        room = None if max_size is None else max_size - len(cls.SPECIALS)
        return cls(tuple(frequent[:room]))

    def __len__(self) -> int:
        """Number of tokens, special ones included; ids are in [0, len)."""
        return len(self.SPECIALS) + len(self.tokens)

    def encode(self, sequence: Iterable[str], begin: bool = False, end: bool = False) -> np.ndarray:
        """Returns the ids of a sequence, int32 [n]; a token that is not in the vocabulary becomes UNKNOWN.

        Args:
          sequence: string, whose characters are the tokens, or list of words.
          begin: whether to prepend BEGIN.
          end: whether to append END.

        Raises:
          TypeError: if a token is not a string.
        """
        ids = [self.BEGIN] if begin else []
        for i, token in enumerate(sequence):
            _check_token(token, "Vocabulary.encode: sequence", i)
            ids.append(self._ids.get(token, self.UNKNOWN))
        if end:
            ids.append(self.END)
        return np.array(ids, np.int32)

    def decode(self, ids: Any, specials: bool = False) -> list[str]:
        """Returns the tokens of ids; decoding does not stop at END.

        Args:
          ids: integers [n].
          specials: whether to keep the special tokens, including UNKNOWN.

        Raises:
          TypeError: if ids are not integers.
          ValueError: if ids has another rank, or an id is not in the vocabulary.
        """
        if np.ndim(ids) != 1:
            raise ValueError(f"Vocabulary.decode: ids must be [n], got shape {np.shape(ids)}")
        if not len(ids):  # NumPy makes floats of an empty list
            return []
        array = np.asarray(integers.int32(ids, "Vocabulary.decode: ids"))
        invalid = np.flatnonzero((array < 0) | (array >= len(self)))
        if invalid.size:
            index = invalid[0]
            raise ValueError(f"Vocabulary.decode: ids must be in [0, {len(self)}), got {array[index]} at {index}")
        names = self.SPECIALS + self.tokens
        return [names[i] for i in array.tolist() if specials or i >= len(self.SPECIALS)]

    @functools.cached_property
    def _ids(self) -> dict[str, int]:
        return {token: i for i, token in enumerate(self.SPECIALS + self.tokens)}


def _check_token(token: Any, what: str, index: int) -> None:
    if not isinstance(token, str):
        raise TypeError(f"{what} must hold strings, got {token!r} at {index}")
