"""A word from its characters: a cell reads them from both ends, and its two last outputs are the word's features."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax.cell import Cell
from rnn_jax.data import Embedding, Vocabulary
from rnn_jax.engines import Engine, Hoisted
from rnn_jax.layers import Bidirectional
from rnn_jax.layers.bidirectional import BidirectionalParams
from rnn_jax.unrolling import unroll


class WordEncoderParams(NamedTuple):
    """Parameters of the characters' table and of the two cells."""

    embedding: Any
    cell: BidirectionalParams


@dataclasses.dataclass(frozen=True)
class WordEncoder:
    """e = [forward(c_1 .. c_L)_L, backward(c_L .. c_1)_1], of the characters c of a word.

    Ling et al. 2015 (arXiv:1508.02096); Lample et al. 2016 (arXiv:1603.01360), section 4.1. The rows of the table are
    scaled as `Encoded` scales them.

    Args:
      embedding: of the characters.
      cell: reads them, with parameters of its own in each direction; a cell or layer.

    Raises:
      TypeError: where they are no Embedding and no cell.
      ValueError: where the cell does not read as many features as the embedding gives.
    """

    embedding: Embedding
    cell: Cell

    def __post_init__(self) -> None:
        if not isinstance(self.embedding, Embedding):
            raise TypeError(f"WordEncoder: embedding must be an Embedding, got {self.embedding!r}")
        if not isinstance(self.cell, Cell):
            raise TypeError(f"WordEncoder: cell must be a cell or layer, got {self.cell!r}")
        if self.cell.input_size != self.embedding.features:
            raise ValueError(
                f"WordEncoder: cell must read the {self.embedding.features} features of the embedding, got "
                f"{type(self.cell).__name__} of input_size {self.cell.input_size}"
            )

    @property
    def features(self) -> int:
        """Of a word."""
        return 2 * self.cell.output_size

    def init(self, key: jax.Array) -> WordEncoderParams:
        key_embedding, key_cell = jax.random.split(key)
        return WordEncoderParams(self.embedding.init(key_embedding), Bidirectional(self.cell).init(key_cell))

    def apply(
        self,
        params: WordEncoderParams,
        characters: Any,
        *,
        engine: Engine = Hoisted(),
        key: jax.Array | None = None,
    ) -> jax.Array:
        """The features [*batch, features] of words.

        Args:
          params: from `init`.
          characters: ids [*batch, C], `Vocabulary.PADDING` behind each word's end and nowhere else, as
            `rnn_jax.data.spell` gives them. A word of none has features zero.
          engine: as `rnn_jax.unroll`'s.
          key: likewise.

        Raises:
          TypeError, ValueError: as `Embedding.apply`, or where there is no axis of words.
        """
        if jnp.ndim(characters) < 2:
            raise ValueError(f"WordEncoder: characters must be [*batch, C], got shape {list(jnp.shape(characters))}")
        # All words of all sentences at once: the characters are the time axis of a recurrence of their own.
        ids = jnp.moveaxis(jnp.asarray(characters), -1, 0)
        lengths = jnp.sum(ids != Vocabulary.PADDING, axis=0)
        xs = self.embedding.features**0.5 * self.embedding.apply(params.embedding, ids)
        _, ys = unroll(Bidirectional(self.cell), params.cell, xs, lengths=lengths, engine=engine, key=key)
        forward, backward = jnp.split(ys, 2, axis=-1)
        last = jnp.maximum(lengths - 1, 0)[None, ..., None]
        return jnp.concatenate([jnp.take_along_axis(forward, last, axis=0)[0], backward[0]], axis=-1)
