"""Sequence to sequence: an encoder reads the whole source, a decoder writes the target."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from rnn_jax import noise, parameters
from rnn_jax.cell import Cell, Params
from rnn_jax.data import Embedding, Encoder
from rnn_jax.layers import Bidirectional, Dropout
from rnn_jax.models import bridge, embedding
from rnn_jax.models.attending import BahdanauCell, LuongCell
from rnn_jax.models.attention import Additive, Dot, General
from rnn_jax.models.decoder import Decoder, DecoderParams, DecoderStart
from rnn_jax.static import Static
from rnn_jax.unrolling import unroll

ATTENTIONS: dict[str, Callable[..., Any]] = {"general": General, "dot": Dot, "additive": Additive}


class EncoderDecoderParams(NamedTuple):
    """Parameters of the source's token encoder, the recurrent encoder, the bridge to the decoder, and the decoder."""

    tokens: Any
    encoder: Params
    bridge: Any  # from `bridge.init`; () if the encoder's final state fits the decoder's cell
    decoder: DecoderParams


@dataclasses.dataclass(frozen=True)
class EncoderDecoder(Static):
    """p(y_1 .. y_T | x_1 .. x_S): a recurrent encoder of the source, and a decoder that starts from its final state.

        s_S, m_1 .. m_S = encoder(sqrt(n) E_x),   state_0 = bridge(s_S),   memory = m_1 .. m_S

    A final state that fits the decoder's cell is passed on unchanged (Sutskever et al. 2014, arXiv:1409.3215). Any
    other, such as that of a bidirectional layer, passes through tanh(s_S W + b), with all its numbers in one vector
    (Bahdanau et al. 2015, arXiv:1409.0473, use the backward half only). Compares and hashes by value.

    >>> import jax, jax.numpy as jnp
    >>> from rnn_jax import GRU
    >>> from rnn_jax.data import Embedding
    >>> from rnn_jax.models import Decoder, EncoderDecoder, beam_search, greedy
    >>> model = EncoderDecoder(Embedding(9, 3), GRU(3, 4), Decoder(Embedding(7, 3), GRU(3, 4)))
    >>> params = model.init(jax.random.key(0))
    >>> start = model.encode(params, jnp.array([[4, 5], [6, 8], [7, 4]]))  # source ids [S, B]
    >>> greedy(model.decoder, start.params, start.state, max_length=5).tokens.shape
    (2, 5)
    >>> beam_search(model.decoder, start.params, start.state, width=3, max_length=5).scores.shape
    (2,)

    Args:
      tokens: encoder of the source's ids: `Embedding(len(vocabulary), features)` or `OneHot(len(vocabulary))`.
      encoder: cell or layer that reads the source; its outputs are the memory of a decoder that attends.
      decoder: decoder of the target.

    Raises:
      TypeError: if `encoder` is not a cell or layer, or `decoder` not a `Decoder`.
      ValueError: if the encoder's input_size is not the number of features of `tokens`, or its output_size not the
        memory_size of the decoder's attention.
    """

    tokens: Encoder
    encoder: Cell
    decoder: Decoder

    def __post_init__(self) -> None:
        if not isinstance(self.encoder, Cell):
            raise TypeError(f"EncoderDecoder: encoder must be a cell or layer, got {self.encoder!r}")
        if not isinstance(self.decoder, Decoder):
            raise TypeError(f"EncoderDecoder: decoder must be a Decoder, got {self.decoder!r}")
        if self.encoder.input_size != self.tokens.features:
            raise ValueError(
                f"EncoderDecoder: encoder must read the {self.tokens.features} features of {self.tokens!r}, got "
                f"{type(self.encoder).__name__} of input_size {self.encoder.input_size}"
            )
        memory_size = self.decoder.memory_size
        if memory_size is not None and memory_size != self.encoder.output_size:
            raise ValueError(
                f"EncoderDecoder: the decoder's attention must have the memory_size {self.encoder.output_size}, the "
                f"encoder's output_size, got {memory_size}"
            )

    def init(self, key: jax.Array) -> EncoderDecoderParams:
        key_tokens, key_encoder, key_bridge, key_decoder = jax.random.split(key, 4)
        encoder, decoder = self.encoder.init(key_encoder), self.decoder.init(key_decoder)
        source, target = self._state_shapes(encoder, decoder)
        bridge_params: Any = ()
        if not _same_shapes(source, target):
            size = jax.eval_shape(lambda state: bridge.flatten(state, 0), source).shape[-1]
            bridge_params = bridge.init(key_bridge, size, target)
        return EncoderDecoderParams(self.tokens.init(key_tokens), encoder, bridge_params, decoder)

    def encode(
        self, params: EncoderDecoderParams, source: Any, lengths: Any = None, *, key: noise.Key = noise.NOT_GIVEN
    ) -> DecoderStart:
        """Reads a source.

        Args:
          params: parameters from `init`.
          source: ids [S, B].
          lengths: number of tokens of each source, integers [B]; None means S.
          key: random key of the encoder's noise, required if there is some; None means evaluation.

        Returns:
          The parameters (with the memory) and state for `greedy`, `beam_search` and the methods of `decoder`.

        Raises:
          TypeError, ValueError: as `rnn_jax.unroll` and `Encoder.apply`.
        """
        parameters.check(self, params)
        xs = embedding.scaled(self.tokens, params.tokens, source)
        state, memory = unroll(self.encoder, params.encoder, xs, lengths=lengths, key=key)
        source_shapes, target_shapes = self._state_shapes(params.encoder, params.decoder)
        if not _same_shapes(source_shapes, target_shapes):
            state = bridge.apply(params.bridge, bridge.flatten(state, xs.ndim - 2), target_shapes)
        decoder = self.decoder.with_memory(params.decoder, memory, lengths)
        return DecoderStart(decoder, self.decoder.initial_state(decoder, xs.shape[1:-1], state))

    def loss(
        self,
        params: EncoderDecoderParams,
        source: Any,
        source_lengths: Any,
        targets: Any,
        target_lengths: Any,
        key: noise.Key = noise.NOT_GIVEN,
        sampling_probability: Any = 0.0,
    ) -> jax.Array:
        """Returns -mean log p(y_t | y_1 .. y_{t-1}, x), in nats per token of the batch.

        Args:
          params: parameters from `init`.
          source: ids [S, B].
          source_lengths: number of tokens of each source, integers [B].
          targets: ids [T, B], each sequence from its first token (without BEGIN) to END.
          target_lengths: number of tokens of each target, END included, integers [B].
          key: random key of all noise, required if there is some; None means evaluation.
          sampling_probability: probability of scheduled sampling, as in `Decoder.apply`.

        Raises:
          TypeError, ValueError: as `encode` and `Decoder.apply`.
        """
        key_encoder, key_decoder = noise.keys(key, 2)
        start = self.encode(params, source, source_lengths, key=key_encoder)
        return self.decoder.loss(
            start.params,
            targets,
            start.state,
            lengths=target_lengths,
            key=key_decoder,
            sampling_probability=sampling_probability,
        )

    def log_probability(
        self, params: EncoderDecoderParams, source: Any, source_lengths: Any, targets: Any, target_lengths: Any
    ) -> jax.Array:
        """Returns log p(y_1 .. y_T | x) of each target [B], without noise; arguments as for `loss`."""
        start = self.encode(params, source, source_lengths, key=None)
        return self.decoder.log_probability(start.params, targets, start.state, lengths=target_lengths, key=None)

    def _state_shapes(self, encoder: Params, decoder: DecoderParams) -> tuple[Any, Any]:
        """Returns the shapes of the encoder's state and of the initial state of the decoder's cell."""
        source = jax.eval_shape(lambda p: self.encoder.initial_state(p), encoder)
        return source, self.decoder.cell_state_shapes(decoder)


def sequence_to_sequence(
    make: Callable[[int, int], Cell],
    source: int,
    target: int,
    features: int,
    units: int,
    attention: str | None = "general",
    readout: int | None = None,
    dropout: float = 0.0,
) -> EncoderDecoder:
    """Returns a bidirectional encoder, and a decoder with or without attention over its outputs.

    >>> from rnn_jax import GRU
    >>> model = sequence_to_sequence(GRU, source=9, target=7, features=3, units=4)
    >>> model.encoder.output_size, model.decoder.cell.output_size, type(model.decoder.cell).__name__
    (4, 4, 'LuongCell')

    Args:
      make: function of (input_size, hidden_size) that returns a cell, such as a cell's class.
      source: number of tokens of the source's vocabulary.
      target: number of tokens of the target's vocabulary.
      features: features of a token, in encoder and decoder.
      units: units of the decoder, and of both directions of the encoder in total; even.
      attention: one of `ATTENTIONS`: "general" or "dot" (Luong et al. 2015), "additive" (Bahdanau et al. 2015); None
        for the encoder's final state alone (Sutskever et al. 2014).
      readout: features from which tokens are read with attention; None means `units`.
      dropout: share of the tokens' features dropped, in encoder and decoder.

    Raises:
      ValueError: if `units` is odd, or there is no such attention.
    """
    if units % 2:
        raise ValueError(f"sequence_to_sequence: units must be even, for two directions of one size, got {units}")
    if attention is not None and attention not in ATTENTIONS:
        raise ValueError(
            f"sequence_to_sequence: attention must be None or one of {', '.join(ATTENTIONS)}, got {attention!r}"
        )

    def wrap(cell: Cell) -> Cell:
        return Dropout(cell, dropout) if dropout else cell

    encoder, read = wrap(Bidirectional(make(features, units // 2))), units if readout is None else readout
    context = {None: 0, "additive": encoder.output_size}.get(attention, read)  # features that attention adds
    cell = wrap(make(features + context, units))
    if attention == "additive":
        cell = BahdanauCell(cell, Additive(units, encoder.output_size, units), read)
    elif attention is not None:
        cell = LuongCell(cell, ATTENTIONS[attention](units, encoder.output_size), read)
    return EncoderDecoder(Embedding(source, features), encoder, Decoder(Embedding(target, features), cell))


def _same_shapes(source: Any, target: Any) -> bool:
    """Whether two states have the same tree structure, shapes and dtypes."""
    source_tree: Any = jax.tree.structure(source)
    shapes = [[(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree)] for tree in (source, target)]
    return bool(source_tree == jax.tree.structure(target)) and shapes[0] == shapes[1]
