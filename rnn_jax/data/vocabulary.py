"""Integer encoding of tokens: characters or words to ids, and back."""

import collections
import dataclasses
import functools
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from rnn_jax import checks


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """Tokens and their ids: four special tokens first, then the ordinary ones in the order given.

    A special token that stands in a text has its own id, so text that was already prepared (`<unk>` for rare words) is
    read as it was meant. Compares and hashes by value.

    Args:
      tokens: the ordinary tokens.

    Raises:
      TypeError: where tokens is not a tuple, or one is not a string.
      ValueError: where there is no token, or one is special or comes twice.
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
        for place, token in enumerate(self.tokens):
            _check_token(token, "Vocabulary: tokens", place)
            if token in self.SPECIALS:
                raise ValueError(f"Vocabulary: tokens must not hold the special tokens, got {token!r} at {place}")
            if first.setdefault(token, place) != place:
                raise ValueError(
                    f"Vocabulary: tokens must not repeat, got {token!r} at {first[token]} and again at {place}"
                )

    @classmethod
    def of(cls, sequences: Iterable[Iterable[str]], min_count: int = 1, max_size: int | None = None) -> "Vocabulary":
        """The tokens of some sequences, the most frequent first, equally frequent ones by code point.

        Special tokens that stand in them are not counted: they have their ids.

        Args:
          sequences: each a string, whose characters are the tokens, or a list of words.
          min_count: leaves out a token that comes less often.
          max_size: the largest `len` of the vocabulary, special tokens counted in: the size an encoder will have. None
            means that every token enters.

        Raises:
          TypeError: where sequences is one string, or a token is not a string.
          ValueError: where a number is out of its range, or no token is left.
        """
        if isinstance(sequences, str):
            # Python would read each character as a sequence of one.
            raise TypeError(
                f"Vocabulary.of: sequences must be a list of them, got one string (give [text]): {sequences[:20]!r}"
            )
        checks.integer_at_least(1, min_count, "Vocabulary.of: min_count")
        if max_size is not None:
            least = len(cls.SPECIALS) + 1
            checks.integer_at_least(least, max_size, "Vocabulary.of: max_size", ", the special tokens and one more")
        counts: collections.Counter[str] = collections.Counter()
        for index, sequence in enumerate(sequences):
            for place, token in enumerate(sequence):
                _check_token(token, f"Vocabulary.of: sequence {index}", place)
                counts[token] += 1
        frequent = [token for token, n in counts.items() if n >= min_count and token not in cls.SPECIALS]
        if not frequent:
            raise ValueError(f"Vocabulary.of: no ordinary token comes min_count = {min_count} times in sequences")
        frequent.sort(key=lambda token: (-counts[token], token))
        room = None if max_size is None else max_size - len(cls.SPECIALS)
        return cls(tuple(frequent[:room]))

    def __len__(self) -> int:
        """Special tokens and ordinary ones: every id is less."""
        return len(self.SPECIALS) + len(self.tokens)

    def encode(self, sequence: Iterable[str], begin: bool = False, end: bool = False) -> np.ndarray:
        """The ids of a sequence, int32 [n]; a token that is not in the vocabulary is UNKNOWN.

        Args:
          sequence: a string, whose characters are the tokens, or a list of words.
          begin: puts BEGIN before it.
          end: puts END after it.

        Raises:
          TypeError: where a token is not a string.
        """
        ids = [self.BEGIN] if begin else []
        for place, token in enumerate(sequence):
            _check_token(token, "Vocabulary.encode: sequence", place)
            ids.append(self._id_of.get(token, self.UNKNOWN))
        if end:
            ids.append(self.END)
        return np.array(ids, np.int32)

    def decode(self, ids: Any, specials: bool = False) -> list[str]:
        """The tokens of ids [n], to the last one: nothing stops at END.

        Args:
          ids: integers [n].
          specials: keeps the special tokens, by name; they are left out otherwise, and so is UNKNOWN.

        Raises:
          TypeError: where ids are not integers.
          ValueError: where ids has another rank, or an id is not in the vocabulary.
        """
        array = np.asarray(ids)
        if array.ndim != 1:
            raise ValueError(f"Vocabulary.decode: ids must be [n], got shape {array.shape}")
        if array.size and not np.issubdtype(array.dtype, np.integer):  # an empty list has no dtype of its own
            raise TypeError(f"Vocabulary.decode: ids must be integers, got {array.dtype}")
        strange = np.flatnonzero((array < 0) | (array >= len(self)))
        if strange.size:
            place = strange[0]
            raise ValueError(f"Vocabulary.decode: ids must be in [0, {len(self)}), got {array[place]} at {place}")
        names = self.SPECIALS + self.tokens
        return [names[i] for i in array.tolist() if specials or i >= len(self.SPECIALS)]

    @functools.cached_property
    def _id_of(self) -> dict[str, int]:
        return {token: i for i, token in enumerate(self.SPECIALS + self.tokens)}


def _check_token(token: Any, what: str, place: int) -> None:
    if not isinstance(token, str):
        raise TypeError(f"{what} must hold strings, got {token!r} at {place}")
