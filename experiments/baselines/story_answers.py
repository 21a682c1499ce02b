"""Answers that ignore the question: the most frequent one, and the one that the story mentions last."""

import collections
from collections.abc import Callable, Sequence

from rnn_jax.data import StoryQuestion, story_words

Rule = Callable[[StoryQuestion], str]


def rules(training: Sequence[StoryQuestion]) -> dict[str, Rule]:
    """Returns a function from a question to an answer of the training set, by title."""
    counts = collections.Counter(question.answer for question in training)
    ((most_frequent, _),) = counts.most_common(1)

    def last_mentioned(question: StoryQuestion) -> str:
        mentioned = (word for sentence in reversed(question.story) for word in reversed(story_words(sentence)))
        return next((word for word in mentioned if word in counts), most_frequent)

    return {"most frequent answer": lambda question: most_frequent, "last mentioned answer": last_mentioned}
