"""A tagger of the words of sentences."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.applications.application import TextApplication, evaluate, texts
from rnn_jax.data import Examples, Vocabulary, pad, spell
from rnn_jax.models import Tagger

BATCH = 64  # sentences at a time
STEP = 8  # sentences are padded to a multiple of so many words, so that there are few programs


@dataclasses.dataclass(frozen=True)
class SentenceTagger(TextApplication):
    """Returns a tag for every word of each sentence; blanks separate words, so punctuation marks need some, too.

    Args:
      model: tagger.
      words: vocabulary of the words.
      characters: vocabulary of their characters.
      tags: names of the tags.
      width: characters of a word that are read.
    """

    model: Tagger
    words: Vocabulary
    characters: Vocabulary
    tags: tuple[str, ...]
    width: int

    def predict(self, params: Any, inputs: Any, seed: int = 0) -> list[list[str]]:
        sentences = [text.split() for text in texts(inputs)]
        length = max(1, -(-max(map(len, sentences), default=1) // STEP)) * STEP
        words, lengths = pad([self.words.encode(sentence) for sentence in sentences], length)
        characters, _ = pad([spell(sentence, self.characters, self.width) for sentence in sentences], length)
        steps = {"words": jnp.asarray(words), "characters": jnp.asarray(characters)}
        predicted = evaluate(self, SentenceTagger.most_probable, params, Examples(steps, jnp.asarray(lengths)), BATCH)
        return [[self.tags[i] for i in row[:n]] for row, n in zip(predicted.tolist(), lengths, strict=True)]

    def most_probable(self, params: Any, batch: Examples) -> jax.Array:
        """Returns the most probable tags [B, T] of a batch: words [T, B] and characters [T, B, C], lengths [B]."""
        characters = batch.steps["characters"] if self.model.word_encoder else None
        return self.model.predict(params, batch.steps["words"], characters, lengths=batch.whole).T

    def lines(self, inputs: Any, answers: Any) -> list[str]:
        """Returns a line for each word with its tag, and an empty one after each sentence."""
        return [
            line
            for text, tags in zip(inputs, answers, strict=True)
            for line in (*(f"{word}\t{tag}" for word, tag in zip(text.split(), tags, strict=True)), "")
        ]
