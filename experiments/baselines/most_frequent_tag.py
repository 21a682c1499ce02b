"""A tagger that sees one word at a time: its most frequent tag, and for an unseen word the one of its ending."""

import collections
import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from rnn_jax.data import Sentence

RARE = 10  # occurrences up to which a word counts as rare; unseen words are tagged like rare ones
LONGEST_ENDINGS = (0, 1, 2, 3, 4, 5, 6, 8, 10)  # in characters; the validation set chooses

Shape = tuple[bool, bool, bool]  # whether a word has a capital first letter, a digit, a letter


@dataclasses.dataclass(frozen=True, eq=False)
class MostFrequentTag:
    """tag(w) = argmax_t c(w, t), with counts c of the training set.

    A word that is not in the training set has the most frequent tag of the rare words of its shape with its longest
    known ending: as in TnT, Brants 2000 (arXiv:cs/0003055), section 2.3.
    """

    by_word: dict[str, str]
    by_ending: dict[tuple[Shape | None, str], str]
    longest: int | None  # characters of the longest ending; None: one tag for all unseen words

    @classmethod
    def fit(cls, sentences: Iterable[Sentence], longest: int | None) -> "MostFrequentTag":
        """Counts the tags of words and of endings.

        Args:
          sentences: training set.
          longest: number of characters of the longest ending; None uses neither ending nor shape.
        """
        counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
        for sentence in sentences:
            for word, tag in zip(*sentence, strict=True):
                counts[word][tag] += 1
        rare = {word: tags for word, tags in counts.items() if tags.total() <= RARE}
        endings: dict[tuple[Shape | None, str], collections.Counter[str]] = collections.defaultdict(collections.Counter)
        for word, tags in (rare or counts).items():
            for key in _endings(word, longest):
                endings[key].update(tags)
        return cls(_most_frequent(counts), _most_frequent(endings), longest)

    def tags(self, words: Sequence[str]) -> list[str]:
        """Returns the tag of each word."""
        return [self.by_word.get(word) or self._unseen(word) for word in words]

    def accuracy(self, sentences: Iterable[Sentence]) -> float:
        """Returns the share of words whose predicted tag is correct."""
        return float(np.mean([a == b for s in sentences for a, b in zip(self.tags(s.words), s.tags, strict=True)]))

    def _unseen(self, word: str) -> str:
        return next(self.by_ending[key] for key in _endings(word, self.longest) if key in self.by_ending)


def taggers(training: Sequence[Sentence], validation: Sequence[Sentence]) -> dict[str, MostFrequentTag]:
    """Returns the tagger with one tag for all unseen words, and the one with the ending that validation chooses."""
    by_ending = [MostFrequentTag.fit(training, longest) for longest in LONGEST_ENDINGS]
    return {
        "most frequent tag": MostFrequentTag.fit(training, None),
        "most frequent tag, endings": max(by_ending, key=lambda tagger: tagger.accuracy(validation)),
    }


def _endings(word: str, longest: int | None) -> list[tuple[Shape | None, str]]:
    """Returns shape and ending of a word from the longest ending to none; the last key is the same for all words."""
    if longest is None:
        return [(None, "")]
    shape = (word[:1].isupper(), any(c.isdigit() for c in word), any(c.isalpha() for c in word))
    lower = word.lower()
    return [*((shape, lower[-n:] if n else "") for n in range(min(longest, len(word)), -1, -1)), (None, "")]


def _most_frequent(counts: dict) -> dict:
    """Returns the tag with the highest count for each key; of equal ones the first in the alphabet."""
    return {key: min(counter, key=lambda tag: (-counter[tag], tag)) for key, counter in counts.items()}
