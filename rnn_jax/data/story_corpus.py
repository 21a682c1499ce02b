"""Questions about stories as a data set: vocabulary and answers of the training set, arrays in buckets."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from rnn_jax.data.babi import StoryQuestion
from rnn_jax.data.bucketing import Buckets
from rnn_jax.data.examples import Examples
from rnn_jax.data.padding import pad
from rnn_jax.data.pairs import words
from rnn_jax.data.vocabulary import Vocabulary

NO_ANSWER = -1  # class of answers that the training set does not have: no network predicts it


class StorySplit(NamedTuple):
    """N questions, and the same as arrays in buckets of stories of similar lengths.

    Attributes:
      questions: questions, with the most recent sentences of their stories only.
      labels: classes of their answers, int32 [N].
      buckets: `steps`: ids of words [S, n, W]; `whole`: "question", ids [n, W], "length", sentences of each story [n],
        and "answer", classes [n].
      order: index in `questions` of each example, bucket after bucket [N].
    """

    questions: list[StoryQuestion]
    labels: np.ndarray
    buckets: list[Examples]
    order: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class StoryCorpus:
    """Questions about stories by split, with the words and the answers of the training set.

    >>> import numpy as np
    >>> from rnn_jax import data
    >>> rng = np.random.default_rng(0)
    >>> stories = {name: data.babi_stories(1, 50, rng) for name in ("training", "validation", "test")}
    >>> corpus = data.StoryCorpus.of(stories, sentences=8, buckets=1)
    >>> corpus.answers
    ('bathroom', 'bedroom', 'garden', 'hallway', 'kitchen', 'office')
    >>> [bucket.steps.shape for bucket in corpus.splits["test"].buckets]  # sentences, questions, words
    [(8, 50, 5)]

    Args:
      words: vocabulary of the training set.
      answers: names of the classes.
      splits: questions by split.
    """

    words: Vocabulary
    answers: tuple[str, ...]
    splits: dict[str, StorySplit]

    @classmethod
    def of(
        cls, stories: Mapping[str, Sequence[Sequence[StoryQuestion]]], sentences: int, buckets: int
    ) -> "StoryCorpus":
        """Builds the data set.

        Args:
          stories: questions of each story by split, one of which is "training".
          sentences: number of the most recent sentences of a story that are kept.
          buckets: largest number of lengths that the stories of a split are padded to.

        Raises:
          ValueError: if the training set has no word, or a split no question.
        """
        questions = {name: [_recent(q, sentences) for story in each for q in story] for name, each in stories.items()}
        training = questions["training"]
        vocabulary = Vocabulary.of(story_words(text) for q in training for text in (*q.story, q.question))
        answers = tuple(sorted({question.answer for question in training}))
        texts = {text for each in questions.values() for q in each for text in (*q.story, q.question)}
        ids = {text: vocabulary.encode(story_words(text)) for text in texts}
        rows = dict(zip(ids, pad([*ids.values()]).values.T, strict=True))
        return cls(
            vocabulary, answers, {name: _split(each, rows, answers, buckets) for name, each in questions.items()}
        )


def story_words(sentence: str) -> tuple[str, ...]:
    """Returns the words of a sentence in lower case, without the mark at its end.

    >>> from rnn_jax import data
    >>> data.story_words("Where is Mary?")
    ('where', 'is', 'mary')
    """
    return words(sentence.rstrip(" .?!"))


def _recent(question: StoryQuestion, sentences: int) -> StoryQuestion:
    """Returns a question with the most recent sentences of its story only."""
    removed = max(0, len(question.story) - sentences)
    support = tuple(place - removed for place in question.support if place >= removed)
    return question._replace(story=question.story[removed:], support=support)


def _split(
    questions: list[StoryQuestion], rows: Mapping[str, np.ndarray], answers: Sequence[str], buckets: int
) -> StorySplit:
    classes = {answer: index for index, answer in enumerate(answers)}
    labels = np.array([classes.get(question.answer, NO_ANSWER) for question in questions], np.int32)
    stories = [np.stack([rows[sentence] for sentence in question.story]) for question in questions]
    asked = np.stack([rows[question.question] for question in questions])
    members = Buckets.of(stories, buckets).members([len(story) for story in stories])
    examples = []
    for places in members:
        ids, lengths = pad([stories[place] for place in places])
        whole = {"question": asked[places], "length": lengths, "answer": labels[places]}
        examples.append(Examples(jnp.asarray(ids), {name: jnp.asarray(values) for name, values in whole.items()}))
    return StorySplit(questions, labels, examples, np.concatenate(members))
