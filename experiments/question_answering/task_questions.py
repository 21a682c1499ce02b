"""The questions of a task: generated, or from the files of a folder."""

from typing import NamedTuple

import numpy as np

from experiments.common import splits
from rnn_jax.data import StoryCorpus, StoryQuestion, babi_stories, read_babi_task
from rnn_jax.data.babi import split_off_validation

Stories = list[list[StoryQuestion]]


class TaskQuestions(NamedTuple):
    """Questions of one task."""

    name: str
    source: str
    corpus: StoryCorpus
    repeated: dict[str, int]  # questions that a later split has with the same story, by split


def read(task: str, folder: str | None, questions: int, tested: int, seed: int) -> dict[str, Stories]:
    """Returns the stories of a task by split; arguments are those of `Config`.

    Raises:
      ValueError: if there are no rules for the task; as `read_babi_task`.
    """
    if folder is not None:
        return read_babi_task(folder, task)
    if not task.isdecimal():
        raise ValueError(f"a task must be a number unless its files are given by --data, got {task!r}")
    rng = np.random.default_rng([seed, int(task)])
    return split_off_validation(babi_stories(int(task), questions, rng)) | {
        "test": babi_stories(int(task), tested, rng)
    }


def encode(name: str, source: str, stories: dict[str, Stories], sentences: int, buckets: int) -> TaskQuestions:
    """Returns a task's questions with their arrays; arguments as for `StoryCorpus.of`."""
    corpus = StoryCorpus.of(stories, sentences, buckets)
    questions = {split: each.questions for split, each in corpus.splits.items()}
    return TaskQuestions(name, source, corpus, splits.repeats(questions, lambda q: (q.story, q.question)))
