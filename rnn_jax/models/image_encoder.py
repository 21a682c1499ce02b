"""Images to maps of features, by convolutions: what a recurrent network reads of a picture or of a frame."""

import dataclasses
import functools
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from rnn_jax import checks

SIZE = 3  # of every convolution's kernel, both ways


@dataclasses.dataclass(frozen=True)
class ImageEncoder:
    """Convolutions of 3 x 3, a ReLU after each.

    Strides in place of pooling, as Springenberg et al. 2015 (arXiv:1412.6806) found as good: on a CPU the gradient of
    a maximum costs several times the convolution. Compares and hashes by value.

    Args:
      shape: (height, width, channels) of an image.
      widths: features of each convolution, the first one first.
      strides: of each: 2 halves height and width.

    Raises:
      ValueError: where shape is not three positive integers, there is no convolution, not as many strides as widths, or
        one of them is not positive.
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
        """(height, width, features) of a map: an image's over the strides, rounded up."""
        height, width = (-(-size // math.prod(self.strides)) for size in self.shape[:2])
        return height, width, self.widths[-1]

    def init(self, key: jax.Array) -> Any:
        """Draws the kernels, flax.linen variables."""
        return self._layers.init(key, jnp.zeros((1, *self.shape)))

    def apply(self, params: Any, images: Any) -> jax.Array:
        """The map [*batch, h, w, F] of every image.

        Args:
          params: from `init`.
          images: floats [*batch, height, width, channels]; about [0, 1] suits the initialisation.

        Raises:
          TypeError: where images are not floating point.
          ValueError: where their shape is another.
        """
        images = jnp.asarray(images)
        if not jnp.issubdtype(images.dtype, jnp.floating):
            raise TypeError(f"ImageEncoder: images must be floating point, got {images.dtype}")
        if images.shape[-3:] != self.shape:
            wanted = ", ".join(map(str, self.shape))
            raise ValueError(f"ImageEncoder: images must be [*batch, {wanted}], got shape {list(images.shape)}")
        # All leading axes are one batch: flax would map over the others one convolution at a time.
        flat: Any = self._layers.apply(params, images.reshape(-1, *self.shape))
        return flat.reshape(*images.shape[:-3], *self.map_shape)

    @property
    def _layers(self) -> nn.Sequential:
        layers: list[Any] = []
        for width, stride in zip(self.widths, self.strides, strict=True):
            layers += [nn.Conv(width, (SIZE, SIZE), strides=stride, conv_general_dilated=_convolution), nn.relu]
        return nn.Sequential(layers)


def _convolution(images: jax.Array, kernel: jax.Array, strides: Any, padding: Any, **how: Any) -> jax.Array:
    """As `jax.lax.conv_general_dilated`, for the convolutions of this file.

    On a CPU by one matrix product: in a loop, such as that over seeds, XLA's gradient of a convolution takes six times
    as long as out of it (jaxlib 0.10.2; github.com/jax-ml/jax/issues/12868), the product's no longer. Out of a loop
    the convolution is the faster one, by two.
    """

    def convolve(images: jax.Array, kernel: jax.Array) -> jax.Array:
        return jax.lax.conv_general_dilated(images, kernel, strides, padding, **how)

    product = functools.partial(_product, strides[0])
    return jax.lax.platform_dependent(images, kernel, cpu=product, default=convolve)


def _product(stride: int, images: jax.Array, kernel: jax.Array) -> jax.Array:
    """The convolution [N, h, w, F] of images [N, H, W, C] with a kernel [3, 3, C, F], padded as "SAME" has it."""
    count, *sizes, channels = images.shape
    reach = [stride * (-(-size // stride) - 1) + 1 for size in sizes]  # of an output's first pixel, over all outputs
    missing = [max(r + SIZE - 1 - size, 0) for r, size in zip(reach, sizes, strict=True)]
    images = jnp.pad(images, ((0, 0), *((m // 2, m - m // 2) for m in missing), (0, 0)))
    shifted = [
        jax.lax.slice(images, (0, i, j, 0), (count, i + reach[0], j + reach[1], channels), (1, stride, stride, 1))
        for i in range(SIZE)
        for j in range(SIZE)
    ]
    return jnp.concatenate(shifted, axis=-1) @ kernel.reshape(-1, kernel.shape[-1])
