"""A tagger: words in, and at every step the logits of the word's tag (aligned many-to-many)."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import checks, masking
from rnn_jax.cell import Cell
from rnn_jax.data import Embedding, Vocabulary
from rnn_jax.engines import Engine, Hoisted
from rnn_jax.models.language import nats_per_token
from rnn_jax.models.readout import ReadoutModel, ReadoutParams
from rnn_jax.models.word_encoder import WordEncoder

NO_TAG = -1  # what stands beyond a sentence's end


class TaggerParams(NamedTuple):
    """Parameters of the words' table, of what reads their characters, and of the layer and its readout."""

    embedding: Any
    word_encoder: Any  # WordEncoderParams; None where there is none
    network: ReadoutParams


@dataclasses.dataclass(frozen=True)
class Tagger:
    """p(tag_t | w_1 .. w_T) = softmax(h_t V + c), with h_t the layer's output at word t.

        x_t = [sqrt(n) E_{w_t}, encoder(characters of w_t)]

    E [size, n] is the table of words; what is not in the vocabulary has UNKNOWN's row. While it is trained (with a key)
    a word is UNKNOWN with probability `word_dropout`, so that this row is learnt, and what the characters tell beside
    it. Wang et al. 2015 (arXiv:1510.06168) and Huang et al. 2015 (arXiv:1508.01991) on words; Ling et al. 2015
    (arXiv:1508.02096), Plank et al. 2016 (arXiv:1604.05529) and Lample et al. 2016 (arXiv:1603.01360) with characters.

    Args:
      embedding: of the words.
      cell: any cell or layer that reads x_t, such as `Bidirectional(LSTM(...))`, bare or in `Dropout`.
      tags: how many there are.
      word_encoder: of the words' characters; None: words alone.
      word_dropout: share of the words that are UNKNOWN in training.

    Raises:
      TypeError: where a part is not what it should be.
      ValueError: where the cell does not read as many features as a word has, or a number is out of its range.
    """

    embedding: Embedding
    cell: Cell
    tags: int
    word_encoder: WordEncoder | None = None
    word_dropout: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.embedding, Embedding):
            raise TypeError(f"Tagger: embedding must be an Embedding, got {self.embedding!r}")
        if not isinstance(self.word_encoder, WordEncoder | None):
            raise TypeError(f"Tagger: word_encoder must be a WordEncoder or None, got {self.word_encoder!r}")
        if not isinstance(self.cell, Cell):
            raise TypeError(f"Tagger: cell must be a cell or layer, got {self.cell!r}")
        checks.integer_at_least(1, self.tags, "Tagger: tags")
        checks.rate(self.word_dropout, "Tagger: word_dropout")
        if self.cell.input_size != self.features:
            raise ValueError(
                f"Tagger: cell must read the {self.features} features of a word, got {type(self.cell).__name__} of "
                f"input_size {self.cell.input_size}"
            )

    @property
    def features(self) -> int:
        """Of a word, table and characters together."""
        return self.embedding.features + (0 if self.word_encoder is None else self.word_encoder.features)

    def init(self, key: jax.Array) -> TaggerParams:
        key_embedding, key_encoder, key_network = jax.random.split(key, 3)
        return TaggerParams(
            self.embedding.init(key_embedding),
            None if self.word_encoder is None else self.word_encoder.init(key_encoder),
            self._network.init(key_network),
        )

    def apply(
        self,
        params: TaggerParams,
        words: Any,
        characters: Any = None,
        *,
        lengths: Any = None,
        engine: Engine = Hoisted(),
        key: jax.Array | None = None,
    ) -> jax.Array:
        """The logits [T, *batch, tags] of every word's tag.

        Args:
          params: from `init`.
          words: ids [T, *batch].
          characters: ids [T, *batch, C], as `WordEncoder.apply`'s; None where there is no word encoder.
          lengths: of the sentences, as `rnn_jax.unroll`'s; logits beyond them mean nothing.
          engine: as `rnn_jax.unroll`'s.
          key: draws word dropout and the noise of the layers; None means evaluation.

        Raises:
          TypeError, ValueError: as `rnn_jax.unroll` and `Embedding.apply`; where characters are missing, not wanted,
            or not those of as many words.
        """
        if (characters is None) != (self.word_encoder is None):
            wanted = "are needed by the word encoder" if characters is None else "have no word encoder to read them"
            raise ValueError(f"Tagger: characters {wanted}")
        words = words if isinstance(words, jax.core.Tracer) else np.asarray(words)
        xs = [self._words(params, words, key)]
        if self.word_encoder is not None:
            characters = jnp.asarray(characters)
            if characters.shape[:-1] != words.shape:
                raise ValueError(
                    f"Tagger: characters must be {[*words.shape, 'C']}, as words are {list(words.shape)}, got shape "
                    f"{list(characters.shape)}"
                )
            if lengths is not None:  # what is no word is not read
                inside = masking.before_end(jnp.asarray(lengths), len(words))[..., None]
                characters = jnp.where(inside, characters, Vocabulary.PADDING)
            # With fold_in, a purpose a number: word dropout draws the same with a word encoder and without.
            key_encoder = None if key is None else jax.random.fold_in(key, 1)
            xs.append(self.word_encoder.apply(params.word_encoder, characters, engine=engine, key=key_encoder))
        key_network = None if key is None else jax.random.fold_in(key, 2)
        together = jnp.concatenate(xs, axis=-1)
        return self._network.apply(params.network, together, lengths=lengths, engine=engine, key=key_network)[1]

    def loss(
        self,
        params: TaggerParams,
        words: Any,
        tags: Any,
        characters: Any = None,
        *,
        lengths: Any = None,
        engine: Engine = Hoisted(),
        key: jax.Array | None = None,
    ) -> jax.Array:
        """-mean log p(tag), in nats per word, over all words before their sentence's end, of all sentences together.

        Args:
          params: from `init`.
          words: ids [T, *batch].
          tags: integers [T, *batch]; beyond a sentence's end they may be anything.
          characters: as `apply`'s.
          lengths: likewise.
          engine: likewise.
          key: likewise.

        Raises:
          TypeError, ValueError: as `apply`; where tags are not integers, of another shape than words, or, where they
            can be read, not in [0, tags).
        """
        logits = self.apply(params, words, characters, lengths=lengths, engine=engine, key=key)
        valid = jnp.ones(logits.shape[:-1], bool)
        if lengths is not None:
            valid = masking.before_end(jnp.asarray(lengths), len(logits))
        self._check(tags, valid)
        return nats_per_token(logits, jnp.where(valid, jnp.asarray(tags), 0), valid)

    def predict(
        self,
        params: TaggerParams,
        words: Any,
        characters: Any = None,
        *,
        lengths: Any = None,
        engine: Engine = Hoisted(),
    ) -> jax.Array:
        """The most probable tag of every word, int32 [T, *batch], -1 beyond a sentence's end; arguments: `apply`."""
        logits = self.apply(params, words, characters, lengths=lengths, engine=engine)
        found = jnp.argmax(logits, axis=-1).astype(jnp.int32)
        if lengths is None:
            return found
        return jnp.where(masking.before_end(jnp.asarray(lengths), len(logits)), found, NO_TAG)

    @property
    def _network(self) -> ReadoutModel:
        return ReadoutModel(self.cell, self.tags)

    def _words(self, params: TaggerParams, words: Any, key: jax.Array | None) -> jax.Array:
        if key is not None and self.word_dropout:
            dropped = jax.random.bernoulli(jax.random.fold_in(key, 0), self.word_dropout, words.shape)
            words = jnp.where(dropped, Vocabulary.UNKNOWN, words)
        return self.embedding.features**0.5 * self.embedding.apply(params.embedding, words)

    def _check(self, tags: Any, valid: jax.Array) -> None:
        traced = isinstance(tags, jax.core.Tracer)
        tags = tags if traced else np.asarray(tags)
        if not jnp.issubdtype(tags.dtype, jnp.integer):
            raise TypeError(f"Tagger: tags must be integers, got {tags.dtype}")
        if tags.shape != valid.shape:
            raise ValueError(f"Tagger: tags must be {list(valid.shape)}, as words, got shape {list(tags.shape)}")
        if traced or isinstance(valid, jax.core.Tracer):
            return
        if np.any(strange := np.asarray(valid) & ((tags < 0) | (tags >= self.tags))):
            raise ValueError(f"Tagger: tags must be in [0, {self.tags}), got {tags[strange][0]}")
