"""The tagger that looks at one word at a time: its most frequent tag, and of a word never seen that of its ending."""

import collections
import dataclasses
from collections.abc import Iterable, Sequence

from rnn_jax.data import Sentence

RARE = 10  # occurrences of a word at the most, from which is learnt what unseen ones are
LONGEST_ENDINGS = (0, 1, 2, 3, 4, 5, 6, 8, 10)  # characters; the validation part tells which

Shape = tuple[bool, bool, bool]


@dataclasses.dataclass(frozen=True, eq=False)
class MostFrequentTag:
    """tag(w) = argmax_t c(w, t) of the training part.

    A word that does not come there has the most frequent tag of the rare words of its shape (capital, digit, letter or
    none in it) with its longest ending that was seen: as in TnT, Brants 2000 (arXiv:cs/0003055), section 2.3.
    """

    by_word: dict[str, str]
    by_ending: dict[tuple[Shape | None, str], str]
    longest: int | None  # ending in characters; None: one tag for all unseen words

    @classmethod
    def fit(cls, sentences: Iterable[Sentence], longest: int | None) -> "MostFrequentTag":
        """Counts.

        Args:
          sentences: of the training part.
          longest: ending that is looked at, in characters; None: neither ending nor shape is.
        """
        counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
        for sentence in sentences:
            for word, tag in zip(*sentence, strict=True):
                counts[word][tag] += 1
        rare = {word: each for word, each in counts.items() if each.total() <= RARE}
        endings: dict[tuple[Shape | None, str], collections.Counter[str]] = collections.defaultdict(collections.Counter)
        for word, each in (rare or counts).items():
            for key in _endings(word, longest):
                endings[key].update(each)
        return cls(_most_frequent(counts), _most_frequent(endings), longest)

    def tags(self, words: Sequence[str]) -> list[str]:
        """Of each word."""
        return [self.by_word.get(word) or self._unseen(word) for word in words]

    def _unseen(self, word: str) -> str:
        return next(self.by_ending[key] for key in _endings(word, self.longest) if key in self.by_ending)


def _endings(word: str, longest: int | None) -> list[tuple[Shape | None, str]]:
    """What is asked for a word, in order; the last is the same for all."""
    if longest is None:
        return [(None, "")]
    shape = (word[:1].isupper(), any(c.isdigit() for c in word), any(c.isalpha() for c in word))
    lower = word.lower()
    return [*((shape, lower[-n:] if n else "") for n in range(min(longest, len(word)), -1, -1)), (None, "")]


def _most_frequent(counts: dict) -> dict:
    """The key with the highest count, of equal ones the first in the alphabet."""
    return {each: min(counter, key=lambda tag: (-counter[tag], tag)) for each, counter in counts.items()}
