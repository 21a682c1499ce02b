"""A recogniser of entities that knows those of the training set, and no others."""

import collections
import dataclasses
from collections.abc import Iterable, Sequence

from rnn_jax.data import Sentence, entities

LEAST_SHARES = (0.0, 0.25, 0.5, 0.75)  # the validation set chooses

Phrase = tuple[str, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class SeenEntities:
    """The longest phrase from each word on that is an entity in the training set, with its most frequent type there.

    A phrase counts if it is an entity in at least `least_share` of its occurrences: `Apple` may be one, `The` hardly.
    As the baseline of CoNLL-2003 (Tjong Kim Sang & De Meulder 2003, arXiv:cs/0306050), which asks for a unique type.
    """

    types: dict[Phrase, str]
    longest: int  # words of the longest phrase
    least_share: float

    @classmethod
    def fit(cls, sentences: Sequence[Sentence], least_share: float) -> "SeenEntities":
        """Counts phrases and their types; tags are those of IOB2."""
        counts: dict[Phrase, collections.Counter[str]] = collections.defaultdict(collections.Counter)
        for sentence in sentences:
            for start, end, kind in entities(sentence.tags):
                counts[sentence.words[start:end]][kind] += 1
        longest = max(map(len, counts), default=0)
        phrases = (phrase for sentence in sentences for phrase in _phrases(sentence.words, longest) if phrase in counts)
        occurrences = collections.Counter(phrases)
        types = {
            phrase: min(kinds, key=lambda kind: (-kinds[kind], kind))
            for phrase, kinds in counts.items()
            if kinds.total() >= least_share * occurrences[phrase]
        }
        return cls(types, longest, least_share)

    def tags(self, words: Sequence[str]) -> list[str]:
        """Returns the tag of each word of a sentence."""
        tags = ["O"] * len(words)
        start = 0
        while start < len(words):
            ends = range(min(start + self.longest, len(words)), start, -1)
            end = next((end for end in ends if tuple(words[start:end]) in self.types), start)
            if end > start:
                kind = self.types[tuple(words[start:end])]
                tags[start:end] = [f"B-{kind}"] + [f"I-{kind}"] * (end - start - 1)
            start = max(end, start + 1)
        return tags


def _phrases(words: Phrase, longest: int) -> Iterable[Phrase]:
    """Returns all phrases of up to `longest` words."""
    return (words[i:j] for i in range(len(words)) for j in range(i + 1, min(i + longest, len(words)) + 1))
