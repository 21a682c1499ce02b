"""Convolutions: images or frames to maps of features, the input of a recurrent network."""

import dataclasses
import functools
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from rnn_jax import arrays, checks
from rnn_jax.static import Static

SIZE = 3  # height and width of every kernel


@dataclasses.dataclass(frozen=True)
class ImageEncoder(Static):
    """A stack of 3 x 3 convolutions with a ReLU after each.

    Strides replace pooling: Springenberg et al. 2015 (arXiv:1412.6806) report equal accuracy, and on a CPU the gradient
    of a maximum costs several times the convolution. Compares and hashes by value.

    Args:
      shape: (height, width, channels) of an image.
      widths: number of features of each convolution, in order.
      strides: stride of each convolution; 2 halves height and width.

    Raises:
      ValueError: if shape is not three positive integers, widths are empty, strides are not as many as widths, or one
        of them is not positive.
    """

    shape: tuple[int, int, int]
    widths: tuple[int, ...] = (16, 32, 64)
    strides: tuple[int, ...] = (2, 2, 2)

    def __post_init__(self) -> None:
        if len(self.shape) != 3:
            raise ValueError(f"ImageEncoder: shape must be (height, width, channels), got {self.shape}")
        if not self.widths:
            raise ValueError("ImageEncoder: widths must name at least one convolution, got none")
        for size in self.shape:
            checks.integer_at_least(1, size, "ImageEncoder: shape")
        for width in self.widths:
            checks.integer_at_least(1, width, "ImageEncoder: widths")
        if len(self.strides) != len(self.widths):
            raise ValueError(f"ImageEncoder: strides must be {len(self.widths)}, as widths, got {len(self.strides)}")
        for stride in self.strides:
            checks.integer_at_least(1, stride, "ImageEncoder: strides")

    @property
    def map_shape(self) -> tuple[int, int, int]:
        """(height, width, features) of a map: the image's size divided by the strides, rounded up."""
        height, width = (-(-size // math.prod(self.strides)) for size in self.shape[:2])
        return height, width, self.widths[-1]

    def init(self, key: jax.Array) -> Any:
        """Draws the kernels, flax.linen variables."""
        return self._layers.init(key, jnp.zeros((1, *self.shape)))

    def apply(self, params: Any, images: Any) -> jax.Array:
        """Encodes images.

        Args:
          params: parameters from `init`.
          images: floats [*batch, height, width, channels]; a range near [0, 1] suits the initialisation.

        Returns:
          The maps [*batch, h, w, F].

        Raises:
          TypeError: if images are not floating point.
          ValueError: if they have another shape.
        """
        images = jnp.asarray(arrays.native(images, "ImageEncoder", "images"))
        if not jnp.issubdtype(images.dtype, jnp.floating):
            raise TypeError(f"ImageEncoder: images must be floating point, got {images.dtype}")
        if images.shape[-3:] != self.shape:
            expected = ", ".join(map(str, self.shape))
            raise ValueError(f"ImageEncoder: images must be [*batch, {expected}], got shape {list(images.shape)}")
        # One batch axis: over several, flax would loop, one convolution at a time.
        flat: Any = self._layers.apply(params, images.reshape(-1, *self.shape))
        return flat.reshape(*images.shape[:-3], *self.map_shape)

    @property
    def _layers(self) -> nn.Sequential:
        layers: list[Any] = []
        for width, stride in zip(self.widths, self.strides, strict=True):
            layers += [nn.Conv(width, (SIZE, SIZE), strides=stride, conv_general_dilated=_convolution), nn.relu]
        return nn.Sequential(layers)


def _convolution(images: jax.Array, kernel: jax.Array, strides: Any, padding: Any, **options: Any) -> jax.Array:
    """Replaces `jax.lax.conv_general_dilated` in the convolutions of this file.

    On a CPU it is one matrix product: inside a loop, such as that over seeds, XLA's gradient of a convolution takes six
    times as long as outside (jaxlib 0.10.2; github.com/jax-ml/jax/issues/12868), that of a product does not. Outside a
    loop the convolution is twice as fast. The product can go once that issue is fixed.
    """

    def convolve(images: jax.Array, kernel: jax.Array) -> jax.Array:
        return jax.lax.conv_general_dilated(images, kernel, strides, padding, **options)

    product = functools.partial(_product, strides[0])
    return jax.lax.platform_dependent(images, kernel, cpu=product, default=convolve)


def _product(stride: int, images: jax.Array, kernel: jax.Array) -> jax.Array:
    """Returns the convolution [N, h, w, F] of images [N, H, W, C] with a kernel [3, 3, C, F], with "SAME" padding."""
    count, *sizes, channels = images.shape
    spans = [stride * (-(-size // stride) - 1) + 1 for size in sizes]  # pixels from the first output to the last
    missing = [max(span + SIZE - 1 - size, 0) for span, size in zip(spans, sizes, strict=True)]
    images = jnp.pad(images, ((0, 0), *((m // 2, m - m // 2) for m in missing), (0, 0)))
    shifted = [
        jax.lax.slice(images, (0, i, j, 0), (count, i + spans[0], j + spans[1], channels), (1, stride, stride, 1))
        for i in range(SIZE)
        for j in range(SIZE)
    ]
    return jnp.concatenate(shifted, axis=-1) @ kernel.reshape(-1, kernel.shape[-1])
