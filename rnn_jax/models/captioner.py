"""Image to sentence, one-to-many: convolutions see the image, a decoder writes what is on it."""

import dataclasses
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from rnn_jax.models import bridge
from rnn_jax.models.decoder import Begun, Decoder, DecoderParams
from rnn_jax.models.image_encoder import ImageEncoder


class CaptionerParams(NamedTuple):
    """Parameters of the convolutions, of the map's places, of the bridge to the decoder's state, of the decoder."""

    images: Any
    places: jax.Array  # P [h, w, F]; [0] without attention
    bridge: Any  # from `bridge.init`
    decoder: DecoderParams


@dataclasses.dataclass(frozen=True)
class Captioner:
    """p(y_1 .. y_T | image): a map of features, and a decoder that begins with it, and may look at it.

        M = convolutions(image) [h, w, F],   state_0 = tanh(seen W + b)
        without attention   seen = vec(layernorm(M))
        with it             seen = mean of M over its places,   memory = layernorm(M) + P

    Without it that of Vinyals et al. 2015 (arXiv:1411.4555), but that the image is the first state, not the first
    input; with it that of Xu et al. 2015 (arXiv:1502.03044), soft attention, with two things more. A learnt P tells the
    vector at each place where it stands: convolutions do not, and what is "left of" would be seen by no query. The
    normalisation, without a scale of its own, keeps the vectors as long as P's: else the attention settles on a place
    before there is anything to see. The mean tells what there is, and leaves it to the attention to find where: with
    the whole map as first state a decoder learns every thing at every place anew, and looks at nothing. Compares and
    hashes by value.

    Args:
      images: sees the image.
      decoder: of the sentence.

    Raises:
      TypeError: where one is not what it should be.
      ValueError: where the decoder's attention does not read as many features as the map has.
    """

    images: ImageEncoder
    decoder: Decoder

    def __post_init__(self) -> None:
        if not isinstance(self.images, ImageEncoder):
            raise TypeError(f"Captioner: images must be an ImageEncoder, got {self.images!r}")
        if not isinstance(self.decoder, Decoder):
            raise TypeError(f"Captioner: decoder must be a Decoder, got {self.decoder!r}")
        wanted, features = self.decoder.memory_size, self.images.map_shape[-1]
        if wanted is not None and wanted != features:
            raise ValueError(
                f"Captioner: the decoder's attention must have the memory_size {features}, the last of the images' "
                f"widths, got {wanted}"
            )

    def init(self, key: jax.Array) -> CaptionerParams:
        key_images, key_places, key_bridge, key_decoder = jax.random.split(key, 4)
        height, width, features = self.images.map_shape
        decoder = self.decoder.init(key_decoder)
        places = jax.random.normal(key_places, (height, width, features) if self.decoder.attends else (0,))
        seen = features if self.decoder.attends else height * width * features
        crossing = bridge.init(key_bridge, seen, self.decoder.state_of(decoder))
        return CaptionerParams(self.images.init(key_images), places, crossing, decoder)

    def read(self, params: CaptionerParams, images: Any) -> Begun:
        """Looks at images [B, height, width, channels]: all that `greedy`, `beam_search` and `Decoder.step` need.

        The memory has h * w vectors, row by row: so the weights of the attention are a map.

        Raises:
          TypeError, ValueError: as `ImageEncoder.apply`; where images are not a batch.
        """
        if jnp.ndim(images) != 4:
            wanted = ", ".join(map(str, self.images.shape))
            raise ValueError(f"Captioner: images must be [B, {wanted}], got shape {list(jnp.shape(images))}")
        maps, decoder = self.images.apply(params.images, images), params.decoder
        batch = len(maps)
        normalised = _normalised(maps)
        seen = normalised.reshape(batch, -1)
        if self.decoder.attends:
            seen = jnp.mean(maps, axis=(1, 2))
            memory = (normalised + params.places[None]).reshape(batch, -1, maps.shape[-1])
            decoder = self.decoder.with_memory(decoder, jnp.swapaxes(memory, 0, 1))
        state = bridge.apply(params.bridge, seen, self.decoder.state_of(params.decoder))
        return Begun(decoder, self.decoder.begin(decoder, (batch,), state))

    def loss(
        self,
        params: CaptionerParams,
        images: Any,
        targets: Any,
        target_lengths: Any,
        key: jax.Array | None = None,
        own: Any = 0.0,
    ) -> jax.Array:
        """-mean log p(y_t | y_1 .. y_{t-1}, image), in nats per token of the batch.

        Args:
          params: from `init`.
          images: floats [B, height, width, channels].
          targets: ids [T, B], each sentence from its first token to END, without BEGIN.
          target_lengths: integers [B], END counted in.
          key: of the decoder's noise; None means evaluation.
          own: as `Decoder.apply`'s.

        Raises:
          TypeError, ValueError: as `read` and `Decoder.apply`.
        """
        begun = self.read(params, images)
        return self.decoder.loss(begun.params, targets, begun.state, lengths=target_lengths, key=key, own=own)


def _normalised(maps: jax.Array) -> jax.Array:
    normalised: Any = nn.LayerNorm(use_bias=False, use_scale=False).apply({}, maps)
    return normalised
