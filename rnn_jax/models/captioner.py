"""Image to sentence, one-to-many: convolutions encode the image, a decoder writes the sentence."""

import dataclasses
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from rnn_jax import noise, parameters
from rnn_jax.models import bridge
from rnn_jax.models.decoder import Decoder, DecoderParams, DecoderStart
from rnn_jax.models.image_encoder import ImageEncoder
from rnn_jax.static import Static


class CaptionerParams(NamedTuple):
    """Parameters of the convolutions, of the position vectors, of the bridge to the decoder, and of the decoder."""

    images: Any
    places: jax.Array  # P [h, w, F]; [0] without attention
    bridge: Any  # from `bridge.init`
    decoder: DecoderParams


@dataclasses.dataclass(frozen=True)
class Captioner(Static):
    """p(y_1 .. y_T | image): a map of image features, and a decoder that starts from it, and may attend to it.

        M = convolutions(image) [h, w, F],   state_0 = tanh(features W + b)
        without attention   features = vec(layernorm(M))
        with attention      features = mean of M over its positions,   memory = layernorm(M) + P

    Without attention this is the model of Vinyals et al. 2015 (arXiv:1411.4555), except that the image gives the first
    state, not the first input. With attention it is that of Xu et al. 2015 (arXiv:1502.03044), "soft", and two
    additions. The learned P marks each position: convolutions do not, and without it no query could express "left of".
    The normalisation, which has no learned scale, keeps the vectors as long as those of P; otherwise the attention
    settles on a position before the features mean anything. The first state gets the mean only: given the whole map, a
    decoder learns every object at every position separately, and ignores its attention. Compares and hashes by value.

    >>> import jax, jax.numpy as jnp
    >>> from rnn_jax import GRU
    >>> from rnn_jax.data import Embedding
    >>> from rnn_jax.models import Captioner, Decoder, ImageEncoder, greedy
    >>> model = Captioner(ImageEncoder((8, 8, 1), widths=(4,), strides=(2,)), Decoder(Embedding(7, 3), GRU(3, 5)))
    >>> params = model.init(jax.random.key(0))
    >>> start = model.encode(params, jnp.ones((2, 8, 8, 1)))
    >>> greedy(model.decoder, start.params, start.state, max_length=6).tokens.shape
    (2, 6)

    Args:
      images: encoder of the image.
      decoder: decoder of the sentence.

    Raises:
      TypeError: if `images` is not an `ImageEncoder`, or `decoder` not a `Decoder`.
      ValueError: if the memory_size of the decoder's attention is not the map's number of features.
    """

    images: ImageEncoder
    decoder: Decoder

    def __post_init__(self) -> None:
        if not isinstance(self.images, ImageEncoder):
            raise TypeError(f"Captioner: images must be an ImageEncoder, got {self.images!r}")
        if not isinstance(self.decoder, Decoder):
            raise TypeError(f"Captioner: decoder must be a Decoder, got {self.decoder!r}")
        memory_size, features = self.decoder.memory_size, self.images.map_shape[-1]
        if memory_size is not None and memory_size != features:
            raise ValueError(
                f"Captioner: the decoder's attention must have the memory_size {features}, the last of the images' "
                f"widths, got {memory_size}"
            )

    def init(self, key: jax.Array) -> CaptionerParams:
        key_images, key_places, key_bridge, key_decoder = jax.random.split(key, 4)
        height, width, features = self.images.map_shape
        decoder = self.decoder.init(key_decoder)
        places = jax.random.normal(key_places, (height, width, features) if self.decoder.attends else (0,))
        size = features if self.decoder.attends else height * width * features
        bridge_params = bridge.init(key_bridge, size, self.decoder.cell_state_shapes(decoder))
        return CaptionerParams(self.images.init(key_images), places, bridge_params, decoder)

    def encode(self, params: CaptionerParams, images: Any) -> DecoderStart:
        """Encodes images.

        Args:
          params: parameters from `init`.
          images: floats [B, height, width, channels].

        Returns:
          The parameters (with the memory) and state for `greedy`, `beam_search` and the methods of `decoder`. The
          memory has h * w vectors, row by row, so attention weights [.., h * w] are a map of the image.

        Raises:
          TypeError, ValueError: as `ImageEncoder.apply`; if images are not a batch.
        """
        parameters.check(self, params)
        if jnp.ndim(images) != 4:
            expected = ", ".join(map(str, self.images.shape))
            raise ValueError(f"Captioner: images must be [B, {expected}], got shape {list(jnp.shape(images))}")
        maps, decoder = self.images.apply(params.images, images), params.decoder
        batch = len(maps)
        normalised = _normalised(maps)
        features = normalised.reshape(batch, -1)
        if self.decoder.attends:
            features = jnp.mean(maps, axis=(1, 2))
            memory = (normalised + params.places[None]).reshape(batch, -1, maps.shape[-1])
            decoder = self.decoder.with_memory(decoder, jnp.swapaxes(memory, 0, 1))
        state = bridge.apply(params.bridge, features, self.decoder.cell_state_shapes(params.decoder))
        return DecoderStart(decoder, self.decoder.initial_state(decoder, (batch,), state))

    def loss(
        self,
        params: CaptionerParams,
        images: Any,
        targets: Any,
        target_lengths: Any,
        key: noise.Key = noise.NOT_GIVEN,
        sampling_probability: Any = 0.0,
    ) -> jax.Array:
        """Returns -mean log p(y_t | y_1 .. y_{t-1}, image), in nats per token of the batch.

        Args:
          params: parameters from `init`.
          images: floats [B, height, width, channels].
          targets: ids [T, B], each sentence from its first token (without BEGIN) to END.
          target_lengths: number of tokens of each sentence, END included, integers [B].
          key: random key of the decoder's noise, required if there is some; None means evaluation.
          sampling_probability: probability of scheduled sampling, as in `Decoder.apply`.

        Raises:
          TypeError, ValueError: as `encode` and `Decoder.apply`.
        """
        start = self.encode(params, images)
        return self.decoder.loss(
            start.params,
            targets,
            start.state,
            lengths=target_lengths,
            key=key,
            sampling_probability=sampling_probability,
        )


def _normalised(maps: jax.Array) -> jax.Array:
    normalised: Any = nn.LayerNorm(use_bias=False, use_scale=False).apply({}, maps)
    return normalised
