"""A tagger: reads words, and predicts the tag of each (aligned many-to-many)."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import checks, integers, masking, noise, parameters
from rnn_jax.cell import Cell
from rnn_jax.data import Embedding, Vocabulary
from rnn_jax.engines import Engine, Hoisted
from rnn_jax.models import embedding as embeddings
from rnn_jax.models import labels
from rnn_jax.models.crf import CRF, NO_TAG
from rnn_jax.models.language import nats_per_token
from rnn_jax.models.readout import ReadoutModel, ReadoutParams
from rnn_jax.models.word_encoder import WordEncoder
from rnn_jax.static import Static


class TaggerParams(NamedTuple):
    """Parameters of the word embedding, of the word encoder, of the recurrent layer and its readout, and of the CRF."""

    embedding: Any
    word_encoder: Any  # WordEncoderParams; None without a word encoder
    network: ReadoutParams
    crf: Any = None  # CRFParams; None without a CRF


@dataclasses.dataclass(frozen=True)
class Tagger(Static):
    """p(tag_t | w_1 .. w_T) = softmax(h_t V + c), with h_t the layer's output at word t.

        x_t = [sqrt(n) E_{w_t}, word_encoder(characters of w_t)]

    E [size, n] is the table of words; a word that is not in the vocabulary has the row of UNKNOWN. In training (with a
    key) a word becomes UNKNOWN with probability `word_dropout`, so that this row is trained, and the use of characters
    beside it. With `crf` the logits h_t V + c are those of a `CRF`, which also scores each tag after another, and
    `predict` returns the most probable tags of the sentence as a whole. Wang et al. 2015 (arXiv:1510.06168) and Huang
    et al. 2015 (arXiv:1508.01991) on words, the latter with a CRF; Ling et al. 2015 (arXiv:1508.02096), Plank et al.
    2016 (arXiv:1604.05529) and, with a CRF, Lample et al. 2016 (arXiv:1603.01360) with characters.

    >>> import jax, jax.numpy as jnp
    >>> from rnn_jax import LSTM, Bidirectional
    >>> from rnn_jax.data import Embedding
    >>> from rnn_jax.models import Tagger
    >>> model = Tagger(Embedding(9, 4), Bidirectional(LSTM(4, 3)), tags=5)
    >>> params = model.init(jax.random.key(0))
    >>> words = jnp.array([[4, 5], [6, 7], [8, 0]])  # ids [T, batch]
    >>> model.predict(params, words, lengths=jnp.array([3, 2]))[:, 1] == -1  # -1 beyond the sentence's end
    Array([False, False,  True], dtype=bool)

    Args:
      embedding: embedding of the words.
      cell: cell or layer that reads x_t, such as `Bidirectional(LSTM(...))`.
      tags: number of tags.
      word_encoder: encoder of the words' characters; None: the model reads words only.
      word_dropout: probability that a word becomes UNKNOWN in training.
      crf: whether tags are predicted by a `CRF` in place of a softmax at each word.

    Raises:
      TypeError: if an argument has the wrong type.
      ValueError: if the cell's input_size is not the number of features of a word, or a number is out of range.
    """

    embedding: Embedding
    cell: Cell
    tags: int
    word_encoder: WordEncoder | None = None
    word_dropout: float = 0.0
    crf: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.embedding, Embedding):
            raise TypeError(f"Tagger: embedding must be an Embedding, got {self.embedding!r}")
        if not isinstance(self.word_encoder, WordEncoder | None):
            raise TypeError(f"Tagger: word_encoder must be a WordEncoder or None, got {self.word_encoder!r}")
        if not isinstance(self.cell, Cell):
            raise TypeError(f"Tagger: cell must be a cell or layer, got {self.cell!r}")
        checks.integer_at_least(1, self.tags, "Tagger: tags")
        checks.rate(self.word_dropout, "Tagger: word_dropout")
        if not isinstance(self.crf, bool):
            raise TypeError(f"Tagger: crf must be True or False, got {self.crf!r}")
        if self.cell.input_size != self.features:
            raise ValueError(
                f"Tagger: cell must read the {self.features} features of a word, got {type(self.cell).__name__} of "
                f"input_size {self.cell.input_size}"
            )

    @property
    def features(self) -> int:
        """Number of features of a word, those of its characters included."""
        return self.embedding.features + (0 if self.word_encoder is None else self.word_encoder.features)

    def init(self, key: jax.Array) -> TaggerParams:
        key_embedding, key_encoder, key_network = jax.random.split(key, 3)
        return TaggerParams(
            self.embedding.init(key_embedding),
            None if self.word_encoder is None else self.word_encoder.init(key_encoder),
            self._network.init(key_network),
            CRF(self.tags).init(key) if self.crf else None,
        )

    def apply(
        self,
        params: TaggerParams,
        words: Any,
        characters: Any = None,
        *,
        lengths: Any = None,
        engine: Engine = Hoisted(),
        key: noise.Key = noise.NOT_GIVEN,
    ) -> jax.Array:
        """Computes the logits of every word's tag.

        Args:
          params: parameters from `init`.
          words: ids [T, *batch].
          characters: ids [T, *batch, C], as in `WordEncoder.apply`; None without a word encoder.
          lengths: number of words of each sentence, integers [*batch]; None means T.
          engine: solver of the recurrence.
          key: random key of word dropout and of the layers' noise, required if there is some; None means evaluation.

        Returns:
          The logits [T, *batch, tags], meaningless beyond a sentence's end.

        Raises:
          TypeError, ValueError: as `rnn_jax.unroll` and `Embedding.apply`; if characters are missing, not expected, or
            not those of as many words.
        """
        parameters.check(self, params)
        if (characters is None) != (self.word_encoder is None):
            problem = "are needed by the word encoder" if characters is None else "have no word encoder to read them"
            raise ValueError(f"Tagger: characters {problem}")
        words = integers.int32(words, "Tagger: words")
        # Keys by fold_in: word dropout draws the same with and without a word encoder.
        key_words, key_encoder, key_network = (
            key if key is None or isinstance(key, noise.NotGiven) else jax.random.fold_in(key, purpose)
            for purpose in range(3)
        )
        xs = self._embedded(params, words, key_words)
        if self.word_encoder is not None:
            characters = _masked_characters(characters, words, lengths)
            encoded = self.word_encoder.apply(params.word_encoder, characters, engine=engine, key=key_encoder)
            xs = jnp.concatenate([xs, encoded], axis=-1)
        return self._network.apply(params.network, xs, lengths=lengths, engine=engine, key=key_network)[1]

    def loss(
        self,
        params: TaggerParams,
        words: Any,
        tags: Any,
        characters: Any = None,
        *,
        lengths: Any = None,
        engine: Engine = Hoisted(),
        key: noise.Key = noise.NOT_GIVEN,
    ) -> jax.Array:
        """Returns -mean log p(tag), in nats per word, over the words of all sentences of the batch.

        With a CRF, -log p of the tags of all sentences over the number of their words.

        Args:
          params: parameters from `init`.
          words: ids [T, *batch].
          tags: integers [T, *batch] in [0, tags); any value beyond a sentence's end.
          characters: ids of characters, as in `apply`.
          lengths: lengths, as in `apply`.
          engine: solver of the recurrence.
          key: random key, as in `apply`.

        Raises:
          TypeError, ValueError: as `apply`; if tags are not integers, have not the shape of words, or (unless they are
            traced) are not in [0, tags).
        """
        logits = self.apply(params, words, characters, lengths=lengths, engine=engine, key=key)
        valid = jnp.ones(logits.shape[:-1], bool)
        if lengths is not None:
            valid = masking.before_end(lengths, len(logits))
        tags = labels.checked("Tagger: tags", tags, valid.shape, self.tags, like="words", valid=valid)
        tags = jnp.where(valid, tags, 0)
        if not self.crf:
            return nats_per_token(logits, tags, valid)
        log_likelihoods = CRF(self.tags).log_likelihood(params.crf, logits, tags, lengths)
        return -jnp.sum(log_likelihoods) / jnp.maximum(jnp.sum(valid), 1)

    def predict(
        self,
        params: TaggerParams,
        words: Any,
        characters: Any = None,
        *,
        lengths: Any = None,
        engine: Engine = Hoisted(),
    ) -> jax.Array:
        """Returns the most probable tags, int32 [T, *batch], -1 beyond a sentence's end; arguments as `apply`."""
        logits = self.apply(params, words, characters, lengths=lengths, engine=engine, key=None)
        if self.crf:
            return CRF(self.tags).decode(params.crf, logits, lengths)
        tags = jnp.argmax(logits, axis=-1).astype(jnp.int32)
        if lengths is None:
            return tags
        return jnp.where(masking.before_end(lengths, len(logits)), tags, NO_TAG)

    @property
    def _network(self) -> ReadoutModel:
        return ReadoutModel(self.cell, self.tags)

    def _embedded(self, params: TaggerParams, words: Any, key: noise.Key) -> jax.Array:
        key = noise.given(key, "Tagger: word_dropout") if self.word_dropout else None
        if key is not None:
            dropped = jax.random.bernoulli(key, self.word_dropout, words.shape)
            words = jnp.where(dropped, Vocabulary.UNKNOWN, words)
        return embeddings.scaled(self.embedding, params.embedding, words)


def _masked_characters(characters: Any, words: Any, lengths: Any) -> jax.Array:
    """Returns characters [T, *batch, C], PADDING beyond each sentence's end, so that no word is read there."""
    characters = jnp.asarray(integers.int32(characters, "Tagger: characters"))
    if characters.shape[:-1] != words.shape:
        raise ValueError(
            f"Tagger: characters must be {[*words.shape, 'C']}, as words are {list(words.shape)}, got shape "
            f"{list(characters.shape)}"
        )
    if lengths is None:
        return characters
    inside = masking.before_end(lengths, len(words))[..., None]
    return jnp.where(inside, characters, Vocabulary.PADDING)
