"""Sequence to sequence: an encoder reads the whole source, a decoder writes the target."""

import dataclasses
from typing import Any, NamedTuple

import jax

from rnn_jax.cell import Cell, Params
from rnn_jax.data import Encoder
from rnn_jax.models import bridge
from rnn_jax.models.decoder import Begun, Decoder, DecoderParams
from rnn_jax.noise import keys
from rnn_jax.unrolling import unroll


class EncoderDecoderParams(NamedTuple):
    """Parameters of the table of the source's tokens, the encoder, the bridge to the decoder's state, the decoder."""

    tokens: Any
    encoder: Params
    bridge: Any  # from `bridge.init`; () where the state is handed over as it is
    decoder: DecoderParams


@dataclasses.dataclass(frozen=True)
class EncoderDecoder:
    """p(y_1 .. y_T | x_1 .. x_S): a layer over the source, and a decoder that begins where the layer ended.

        s_S, m_1 .. m_S = encoder(sqrt(n) E_x),   state_0 = bridge(s_S),   memory = m_1 .. m_S

    A final state that fits the decoder's cell is handed over as it is (Sutskever et al. 2014, arXiv:1409.3215). Any
    other, as that of a bidirectional layer, goes through tanh(s_S W + b), all of its numbers side by side (Bahdanau et
    al. 2015, arXiv:1409.0473, of which it is the backward half alone). Compares and hashes by value.

    Args:
      tokens: of the source's ids to the encoder's inputs: `Embedding(len(vocabulary), features)` or `OneHot`.
      encoder: any cell or layer; with a decoder that attends, its outputs are the memory.
      decoder: of the target.

    Raises:
      TypeError: where the encoder is no cell or layer, or the decoder no decoder.
      ValueError: where the encoder does not read as many features as `tokens` gives, or gives not as many as the
        decoder's attention reads.
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
        wanted = self.decoder.memory_size
        if wanted is not None and wanted != self.encoder.output_size:
            raise ValueError(
                f"EncoderDecoder: the decoder's attention must have the memory_size {self.encoder.output_size}, the "
                f"encoder's output_size, got {wanted}"
            )

    def init(self, key: jax.Array) -> EncoderDecoderParams:
        key_tokens, key_encoder, key_bridge, key_decoder = jax.random.split(key, 4)
        encoder, decoder = self.encoder.init(key_encoder), self.decoder.init(key_decoder)
        given, wanted = self._states(encoder, decoder)
        crossing: Any = ()
        if not _alike(given, wanted):
            size = jax.eval_shape(bridge.numbers, given).shape[-1]
            crossing = bridge.init(key_bridge, size, wanted)
        return EncoderDecoderParams(self.tokens.init(key_tokens), encoder, crossing, decoder)

    def read(
        self, params: EncoderDecoderParams, source: Any, lengths: Any = None, *, key: jax.Array | None = None
    ) -> Begun:
        """Reads a source.

        Args:
          params: from `init`.
          source: ids [S, B].
          lengths: of the sources, integers [B]; None means S.
          key: of the encoder's noise; None means evaluation.

        Raises:
          TypeError, ValueError: as `rnn_jax.unroll` and the encoder of ids.
        """
        xs = self.tokens.features**0.5 * self.tokens.apply(params.tokens, source)
        final_state, memory = unroll(self.encoder, params.encoder, xs, lengths=lengths, key=key)
        given, wanted = self._states(params.encoder, params.decoder)
        if not _alike(given, wanted):
            final_state = bridge.apply(params.bridge, bridge.numbers(final_state), wanted)
        decoder = self.decoder.with_memory(params.decoder, memory, lengths)
        return Begun(decoder, self.decoder.begin(decoder, xs.shape[1:-1], final_state))

    def loss(
        self,
        params: EncoderDecoderParams,
        source: Any,
        source_lengths: Any,
        targets: Any,
        target_lengths: Any,
        key: jax.Array | None = None,
        own: Any = 0.0,
    ) -> jax.Array:
        """-mean log p(y_t | y_1 .. y_{t-1}, x), in nats per token of the batch.

        Args:
          params: from `init`.
          source: ids [S, B].
          source_lengths: integers [B].
          targets: ids [T, B], each sequence from its first token to END, without BEGIN.
          target_lengths: integers [B], END counted in.
          key: of all noise; None means evaluation.
          own: as `Decoder.apply`'s.

        Raises:
          TypeError, ValueError: as `read` and `Decoder.apply`.
        """
        key_encoder, key_decoder = keys(key, 2)
        begun = self.read(params, source, source_lengths, key=key_encoder)
        return self.decoder.loss(begun.params, targets, begun.state, lengths=target_lengths, key=key_decoder, own=own)

    def _states(self, encoder: Params, decoder: DecoderParams) -> tuple[Any, Any]:
        """The shapes of the encoder's state and of the one that the decoder's cell begins with."""
        given = jax.eval_shape(lambda p: self.encoder.initial_state(p), encoder)
        return given, self.decoder.state_of(decoder)


def _alike(given: Any, wanted: Any) -> bool:
    def shapes(tree: Any) -> Any:
        return [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree)]

    its_tree: Any = jax.tree.structure(given)
    return bool(its_tree == jax.tree.structure(wanted)) and shapes(given) == shapes(wanted)
