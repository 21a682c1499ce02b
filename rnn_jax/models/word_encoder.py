"""A word from its characters: the last outputs of a cell that reads them in both directions."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import integers, noise, parameters
from rnn_jax.cell import Cell
from rnn_jax.data import Embedding, Vocabulary
from rnn_jax.engines import Engine, Hoisted
from rnn_jax.layers import Bidirectional
from rnn_jax.layers.bidirectional import BidirectionalParams
from rnn_jax.models import embedding
from rnn_jax.static import Static
from rnn_jax.unrolling import unroll


class WordEncoderParams(NamedTuple):
    """Parameters of the table of characters and of the two cells."""

    embedding: Any
    cell: BidirectionalParams


@dataclasses.dataclass(frozen=True)
class WordEncoder(Static):
    """e = [forward(c_1 .. c_L)_L, backward(c_L .. c_1)_1], with c the embedded characters of a word.

    Ling et al. 2015 (arXiv:1508.02096); Lample et al. 2016 (arXiv:1603.01360), section 4.1.

    Args:
      embedding: embedding of the characters.
      cell: cell or layer that reads them, with separate parameters for each direction.

    Raises:
      TypeError: if `embedding` is not an `Embedding`, or `cell` not a cell.
      ValueError: if the cell's input_size is not the embedding's number of features.
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
        """Number of features of a word."""
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
        key: noise.Key = noise.NOT_GIVEN,
    ) -> jax.Array:
        """Encodes words.

        Args:
          params: parameters from `init`.
          characters: ids [*batch, C], with `Vocabulary.PADDING` after each word's end and nowhere else, as
            `rnn_jax.data.spell` gives them.
          engine: solver of the recurrence.
          key: random key of the cell's noise, required if there is some; None means evaluation.

        Returns:
          The features [*batch, features], zero for a word without characters.

        Raises:
          TypeError, ValueError: as `Embedding.apply`; if there is no axis of words.
        """
        parameters.check(self, params)
        if jnp.ndim(characters) < 2:
            raise ValueError(f"WordEncoder: characters must be [*batch, C], got shape {list(jnp.shape(characters))}")
        # All words of all sentences form one batch; time runs over their characters.
        ids = jnp.moveaxis(jnp.asarray(integers.int32(characters, "WordEncoder: characters")), -1, 0)
        lengths = jnp.sum(ids != Vocabulary.PADDING, axis=0)
        xs = embedding.scaled(self.embedding, params.embedding, ids)
        _, ys = unroll(Bidirectional(self.cell), params.cell, xs, lengths=lengths, engine=engine, key=key)
        forward, backward = jnp.split(ys, 2, axis=-1)
        last = jnp.maximum(lengths - 1, 0)[None, ..., None]
        return jnp.concatenate([jnp.take_along_axis(forward, last, axis=0)[0], backward[0]], axis=-1)
