"""A user's own images with captions, by split, as arrays; and the scores of captions beside all references."""

import dataclasses
import functools
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from experiments.common import splits, text_scores
from rnn_jax import significance
from rnn_jax.data import CaptionedImages, Examples, Vocabulary, pad, read_captioned_images
from rnn_jax.data.pairs import Words


@dataclasses.dataclass(frozen=True, eq=False)
class Data:
    """Data of a run."""

    source: str
    note: str  # first lines of output
    parts: dict[str, CaptionedImages]
    words: Vocabulary  # of the training set
    longest: int  # tokens of the longest training caption, END included
    training: Examples  # whole: image uint8 [N, size, size, 3], target [N, K, T], length [N, K], count [N]

    def images(self, name: str) -> np.ndarray:
        """Returns the images of a split, floats [N, size, size, 3] in [0, 1]."""
        return np.stack(self.parts[name].images) / np.float32(255)


def load(config: splits.SplitFiles, data: str | None, size: int, seed: int) -> Data:
    """Returns the captioned images of given splits, or of one folder; they are resized.

    Raises:
      UserError: if they cannot be read or split.
    """
    source, read = str(config.train or data), functools.partial(read_captioned_images, size=size)
    parts, how = splits.read_folder(config, source, read, "images", seed)
    captions = parts["training"].captions
    words = Vocabulary.of(caption for each in captions for caption in each)
    most, ids = max(map(len, captions)), [[words.encode(c, end=True) for c in each] for each in captions]
    longest = max(len(row) for each in ids for row in each)
    padded = [pad([each[k % len(each)] for k in range(most)], longest) for each in ids]
    whole = {
        "image": jnp.asarray(np.stack(parts["training"].images)),
        "target": jnp.asarray(np.stack([each.values.T for each in padded])),
        "length": jnp.asarray(np.stack([each.lengths for each in padded])),
        "count": jnp.array([len(each) for each in captions]),
    }
    repeated = splits.repeats({name: part.keys for name, part in parts.items()}, bytes)
    sizes = ", ".join(
        f"{len(part.images):,} {name} ({sum(map(len, part.captions)):,} captions)" for name, part in parts.items()
    )
    note = (
        f"{source}: UTF-8, columns image and caption; images resized to {size} x {size} in colour; "
        f"{how}: {sizes}.\n{len(words):,} words in the vocabulary; images without a row: "
        f"{max(part.left_out for part in parts.values())}. {splits.repeats_note(repeated, 'images')}"
    )
    return Data(source, note, parts, words, longest, Examples({}, whole))


class Test(NamedTuple):
    """Captions of a split."""

    rouge: np.ndarray  # ROUGE-L with the best reference [seeds, N]
    bleu: np.ndarray  # [seeds], from 0 to 1
    captions: list[Words]  # of the first seed, like the weights
    weights: np.ndarray  # attention weights [N, T, h * w]; h * w is 0 without attention

    @property
    def scored(self) -> significance.Scored:
        """ROUGE-L, as the main score."""
        return significance.means(self.rouge)


def scores(part: CaptionedImages, per_seed: list[list[Words]], weights: np.ndarray) -> Test:
    """Returns the scores of captions [seeds][N] of a split."""
    texts = [[" ".join(caption) for caption in each] for each in per_seed]
    references = [[" ".join(caption) for caption in each] for each in part.captions]
    rouge = [
        [text_scores.rouge([text], [each])["rougeL"] for text, each in zip(seed, references, strict=True)]
        for seed in texts
    ]
    bleu = [text_scores.bleu(seed, references)[0] / 100 for seed in texts]
    return Test(np.array(rouge), np.array(bleu), per_seed[0], weights)
