"""Tagged sentences as a data set: vocabularies of the training set, arrays in buckets."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from rnn_jax.data.bucketing import bucket_lengths, bucketed
from rnn_jax.data.conllu import Sentence
from rnn_jax.data.examples import Examples
from rnn_jax.data.spelling import spell
from rnn_jax.data.vocabulary import Vocabulary

CHARACTERS = 16  # characters of a word that are read; 1 in 100 English words is longer
UNKNOWN_TAG = -2  # id of tags that are not in the training set: no tagger predicts it


class TagSplit(NamedTuple):
    """Sentences of a split, bucket after bucket."""

    buckets: list[Examples]  # steps: ids of words, tags [T, N] and characters [T, N, C]; whole: lengths [N]
    sentences: list[Sentence]
    gold: np.ndarray  # ids of the tags of all words [words]

    @property
    def words(self) -> list[str]:
        """Words of all sentences."""
        return [word for sentence in self.sentences for word in sentence.words]


@dataclasses.dataclass(frozen=True, eq=False)
class TagCorpus:
    """Tagged sentences with the vocabularies of the training set.

    >>> from rnn_jax import data
    >>> sentences = {name: [data.Sentence(("it", "rains"), ("PRON", "VERB"))] for name in ("training", "test")}
    >>> corpus = data.TagCorpus.of(sentences)
    >>> corpus.tags, corpus.splits["test"].gold.tolist(), corpus.splits["test"].buckets[0].steps["characters"].shape
    (('PRON', 'VERB'), [0, 1], (2, 1, 16))

    Args:
      words: vocabulary of the words.
      characters: vocabulary of their characters.
      tags: tags of the training set, sorted.
      splits: sentences by split.
    """

    words: Vocabulary
    characters: Vocabulary
    tags: tuple[str, ...]
    splits: dict[str, TagSplit]

    @property
    def sentences(self) -> dict[str, list[Sentence]]:
        """Sentences by split."""
        return {name: split.sentences for name, split in self.splits.items()}

    @classmethod
    def of(
        cls, sentences: Mapping[str, Sequence[Sentence]], min_count: int = 1, buckets: int = 1, **fields: Any
    ) -> Self:
        """Builds the vocabularies of the training set, and encodes all splits.

        Args:
          sentences: sentences by split, one of which is "training".
          min_count: smallest number of occurrences of a word in the training set.
          buckets: number of lengths that sentences are padded to.
          **fields: further fields of a subclass.

        Raises:
          ValueError: as `Vocabulary.of`.
        """
        training = sentences["training"]
        words = Vocabulary.of((s.words for s in training), min_count)
        characters = Vocabulary.of(word for s in training for word in s.words)
        tags = tuple(sorted({tag for s in training for tag in s.tags}))
        lengths = bucket_lengths([len(s.words) for s in training], buckets)
        splits = {name: _encoded(each, lengths, words, characters, tags) for name, each in sentences.items()}
        return cls(words, characters, tags, splits, **fields)


def _encoded(
    sentences: Sequence[Sentence],
    lengths: tuple[int, ...],
    words: Vocabulary,
    characters: Vocabulary,
    tags: Sequence[str],
) -> TagSplit:
    tag_ids = {tag: index for index, tag in enumerate(tags)}
    gold = [np.array([tag_ids.get(tag, UNKNOWN_TAG) for tag in s.tags], np.int32) for s in sentences]
    spellings = [spell(s.words, characters, CHARACTERS) for s in sentences]
    ids = {"words": [words.encode(s.words) for s in sentences], "characters": spellings, "tags": gold}
    buckets, order = bucketed(ids, lengths)
    return TagSplit(buckets, [sentences[index] for index in order], np.concatenate([gold[index] for index in order]))
