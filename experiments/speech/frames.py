"""Recordings as frames, standardised by the training part, in buckets of static lengths."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax.data import Buckets, Examples, pad


@dataclasses.dataclass(frozen=True)
class Scale:
    """Of each band the mean and standard deviation over the training part's frames."""

    mean: np.ndarray  # [bands]
    deviation: np.ndarray

    @classmethod
    def of(cls, frames: Sequence[np.ndarray]) -> "Scale":
        together = np.concatenate(frames)
        return cls(together.mean(axis=0), together.std(axis=0) + 1e-6)

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        return (frames - self.mean) / self.deviation


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """Of a split: standardised frames, and what was said."""

    frames: list[np.ndarray]  # [T, bands] each
    digits: list[list[int]]
    buckets: Buckets  # the same for all parts, so that they share programs

    @functools.cached_property
    def examples(self) -> tuple[list[Examples], list[np.ndarray]]:
        """Examples of steps (frames [T, N, bands], digits [D, N]), whole (lengths [N], counts of digits [N]).

        Returns:
          The buckets, and of each the places of its recordings in the part.
        """
        lengths = np.array([len(each) for each in self.frames])
        most = max(len(each) for each in self.digits)
        found, members = [], []
        for length, places in zip(self.buckets.lengths, self.buckets.members(lengths), strict=True):
            if not len(places):
                continue
            members.append(places)
            frames, sizes = pad([self.frames[i].astype(np.float32) for i in places], length)
            digits, counts = pad([np.array(self.digits[i], np.int32) for i in places], most)
            steps, whole = (frames, digits), (sizes, counts)
            found.append(Examples(*jax.tree.map(jnp.asarray, (steps, whole))))
        return found, members


def parts(
    frames: Mapping[str, list[np.ndarray]], digits: Mapping[str, list[list[int]]], scale: Scale, buckets: int
) -> dict[str, Part]:
    """The parts of a split by name, standardised; they have their buckets in common."""
    lengths = Buckets.of([each for part in frames.values() for each in part], buckets)
    return {part: Part([scale(each) for each in frames[part]], digits[part], lengths) for part in frames}
