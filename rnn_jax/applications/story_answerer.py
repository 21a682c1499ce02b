"""A reader of stories that answers questions."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.applications.application import Application, evaluate
from rnn_jax.data import Examples, StoryQuestion, Vocabulary, pad, read_text
from rnn_jax.data.story_corpus import story_words
from rnn_jax.models import QuestionAnswerer

BATCH = 100  # questions at a time


@dataclasses.dataclass(frozen=True)
class StoryAnswerer(Application):
    """Returns the answer to each question, by the sentences of the story before it.

    Args:
      model: network of a story and a question.
      words: vocabulary.
      answers: names of the classes.
      sentences: number of the most recent sentences of a story that are read.
    """

    model: QuestionAnswerer
    words: Vocabulary
    answers: tuple[str, ...]
    sentences: int

    def predict(self, params: Any, inputs: Any, seed: int = 0) -> list[str]:
        """Returns the answers to a list of `StoryQuestion`s, whose own answers are not read."""
        asked = [[*story[-self.sentences :], question] for story, question, *_ in inputs]
        ids = [[self.words.encode(story_words(text)) for text in texts] for texts in asked]
        width = max(len(each) for texts in ids for each in texts)
        rows = [pad(texts, width).values.T for texts in ids]  # [sentences and question, width] each
        stories, lengths = pad([each[:-1] for each in rows])
        whole = {"question": jnp.stack([each[-1] for each in rows]), "length": jnp.asarray(lengths)}
        predicted = evaluate(self, StoryAnswerer.classes, params, Examples(jnp.asarray(stories), whole), BATCH)
        return [self.answers[index] for index in predicted]

    def classes(self, params: Any, batch: Examples) -> jax.Array:
        """Returns the most probable answers [B]; steps: ids [S, B, W]; whole: question [B, W] and length [B]."""
        whole = batch.whole
        return jnp.argmax(
            self.model.apply(params, batch.steps, whole["question"], whole["length"], key=None)[0], axis=-1
        )

    def read(self, path: Any) -> list[StoryQuestion]:
        """Returns the questions of a text file of sentences, one a line, with an empty line between two stories.

        A sentence that ends with "?" is a question about those before it.
        """
        return self._questions(read_text(path), str(path))

    def from_text(self, text: str) -> list[StoryQuestion]:
        """Returns the questions of a text with a slash between sentences: "Mary went to bed. / Where is Mary?"."""
        return self._questions(text.replace("/", "\n"), "text")

    def lines(self, inputs: Any, answers: Any) -> Sequence[str]:
        return [f"{question.question}\t{answer}" for question, answer in zip(inputs, answers, strict=True)]

    def _questions(self, text: str, source: str) -> list[StoryQuestion]:
        story, questions = list[str](), list[StoryQuestion]()
        for number, line in enumerate(map(str.strip, text.split("\n")), 1):
            if not line:
                story = []
            elif not line.endswith("?"):
                story.append(line)
            elif not story:
                raise ValueError(f"{source}, line {number}: a question must follow a sentence, got {line[:60]!r}")
            else:
                questions.append(StoryQuestion(tuple(story), line, "", ()))
        if not questions:
            raise ValueError(f"{source}: must hold a question, a line that ends with '?', got none")
        return questions
