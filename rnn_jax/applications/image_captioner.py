"""A decoder that describes images."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from rnn_jax import files
from rnn_jax.applications.application import Application, evaluate
from rnn_jax.data import Examples, Vocabulary, read_image, read_pixels
from rnn_jax.data.pixels import image_paths
from rnn_jax.models import Captioner, SearchResult, greedy

BATCH = 200  # images at a time


@dataclasses.dataclass(frozen=True)
class ImageCaptioner(Application):
    """Returns a sentence about each image.

    Args:
      model: captioner of images with one channel, or of square ones with three, to which files are resized.
      vocabulary: words.
      max_length: tokens of a sentence at most, END included.
    """

    model: Captioner
    vocabulary: Vocabulary
    max_length: int

    def predict(self, params: Any, inputs: Any, seed: int = 0) -> list[str]:
        """Returns the sentences about images [N, height, width] or [N, size, size, 3], floats in [0, 1]."""
        images = np.asarray(inputs) if self._coloured else np.asarray(inputs)[..., None]
        if images.shape[1:] != self.model.images.shape:
            got, shape = (list(np.shape(inputs)), self.model.images.shape[: 3 if self._coloured else 2])
            raise ValueError(f"images must be [N, {', '.join(map(str, shape))}], as in training, got shape {got}")
        result = evaluate(self, ImageCaptioner.search, params, Examples({}, {"scene": jnp.asarray(images)}), BATCH)
        rows = zip(result.tokens, result.lengths, strict=True)
        return [" ".join(self.vocabulary.decode(row[:length])) for row, length in rows]

    def search(self, params: Any, batch: Examples) -> SearchResult:
        """Returns the most probable words of a batch; whole: scene, images [B, height, width, 1]."""
        start = self.model.encode(params, batch.whole["scene"])
        return greedy(self.model.decoder, start.params, start.state, max_length=self.max_length)

    @property
    def _coloured(self) -> bool:
        return self.model.images.shape[-1] == 3

    def read(self, path: Any) -> np.ndarray:
        """Returns the image in a PNG file, or the images [N, height, width] in a `.npy` file.

        With colours: the image in a PNG or JPEG file, or those in a folder, in the natural order of their names.
        """
        if self._coloured:
            paths = image_paths(files.expanded(path)) if files.expanded(path).is_dir() else [path]
            if not paths:
                raise ValueError(f"{path}: must hold PNG or JPEG images, got none")
            return np.stack([read_image(each, self.model.images.shape[0]) for each in paths]) / np.float32(255)
        pixels = read_pixels(path)
        return pixels[None] if pixels.ndim == 2 else pixels

    def lines(self, inputs: Any, answers: Any) -> Sequence[str]:
        return answers
