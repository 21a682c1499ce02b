"""An encoder and decoder that translates sentences."""

import dataclasses
from typing import Any

import jax.numpy as jnp

from rnn_jax.applications.application import TextApplication, evaluate, texts
from rnn_jax.data import Examples, Vocabulary, pad, sentence, words
from rnn_jax.models import EncoderDecoder, SearchResult, beam_search

BATCH = 128  # sentences at a time
STEP = 8  # sources are padded to a multiple of so many tokens, so that there are few programs


@dataclasses.dataclass(frozen=True)
class Translator(TextApplication):
    """Returns the translation of each sentence by beam search.

    Args:
      model: encoder and decoder.
      source: vocabulary of the sources.
      target: vocabulary of the translations.
      by_words: whether tokens are words; else characters.
      width: hypotheses that the search keeps.
      max_length: tokens of a translation at most, END included.
      length_penalty: alpha of the search.
    """

    model: EncoderDecoder
    source: Vocabulary
    target: Vocabulary
    by_words: bool
    width: int
    max_length: int
    length_penalty: float

    def predict(self, params: Any, inputs: Any, seed: int = 0) -> list[str]:
        ids = [self.source.encode(words(text) if self.by_words else text) for text in texts(inputs)]
        padded = pad(ids, max(1, -(-max(map(len, ids), default=1) // STEP)) * STEP)
        examples = Examples({"source": jnp.asarray(padded.values)}, {"source": jnp.asarray(padded.lengths)})
        result = evaluate(self, Translator.search, params, examples, BATCH)
        decoded = [self.target.decode(row[:n]) for row, n in zip(result.tokens, result.lengths, strict=True)]
        return [sentence(tokens) if self.by_words else "".join(tokens) for tokens in decoded]

    def search(self, params: Any, batch: Examples) -> SearchResult:
        """Returns the translations of a batch by beam search.

        Args:
          params: parameters of the model.
          batch: steps source, ids [S, B]; whole source, their lengths [B].
        """
        start = self.model.encode(params, batch.steps["source"], batch.whole["source"], key=None)
        return beam_search(
            self.model.decoder,
            start.params,
            start.state,
            width=self.width,
            max_length=self.max_length,
            alpha=self.length_penalty,
        )

    def lines(self, inputs: Any, answers: Any) -> list[str]:
        return [f"{source}\t{target}" for source, target in zip(inputs, answers, strict=True)]
