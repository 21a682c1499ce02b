"""Nearest neighbour by dynamic time warping, the usual baseline of time series classification.

Sakoe and Chiba 1978, "Dynamic programming algorithm optimization for spoken word recognition"; of several channels all
are warped alike ("dependent"): Shokoohi-Yekta et al. 2017, "Generalizing DTW to the multi-dimensional case requires an
adaptive approach".
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax.data import pad


@dataclasses.dataclass
class NearestSeries:
    """A classifier that returns the class of the nearest training series.

    Args:
      band: share of the longer series by which two are warped at most, and at least by their difference in length.
      most: number of training series to compare with at most, drawn at random.
      seed: seed of that draw.
    """

    band: float
    most: int
    seed: int = 0

    def fit(self, series: Sequence[np.ndarray], labels: np.ndarray) -> "NearestSeries":
        """Keeps training series [T, channels] and their labels [N]."""
        chosen = np.random.default_rng(self.seed).permutation(len(series))[: self.most]
        self.known, self.labels = [series[i] for i in chosen], labels[chosen]
        return self

    def predict(self, series: Sequence[np.ndarray]) -> np.ndarray:
        """Returns the labels of the training series nearest to each series."""
        return self.labels[np.argmin(distances(series, self.known, self.band), axis=1)]


def distances(queries: Sequence[np.ndarray], known: Sequence[np.ndarray], band: float = 1.0) -> np.ndarray:
    """Returns the squared distance of every query [S, channels] to every known series [T, channels], [Q, N].

        D[i, j] = |known_i - query_j|^2 + min(D[i-1, j-1], D[i-1, j], D[i, j-1])    for |i - j| <= radius

    with radius = max(band * longer length, difference of the lengths); the distance is that of both ends. Cells with
    equal i + j depend on earlier ones only: they are computed together, of all known series. Time grows with Q N T^2.
    """
    (ours, lengths), (theirs, sizes) = (pad([np.asarray(each, np.float32) for each in s]) for s in (known, queries))
    radius = np.maximum(np.floor(band * np.maximum(sizes[:, None], lengths)), np.abs(sizes[:, None] - lengths))
    result = _distances(theirs.transpose(1, 2, 0), sizes, ours.transpose(2, 0, 1), lengths, radius)
    return np.asarray(result)


@jax.jit
def _distances(
    queries: jax.Array, sizes: jax.Array, known: jax.Array, lengths: jax.Array, radius: jax.Array
) -> jax.Array:
    """Returns `distances` of padded series: queries [Q, C, S], known [C, T, N], radius [Q, N]."""
    channels, steps, count = known.shape
    span, places = queries.shape[-1], jnp.arange(steps)[:, None]

    def to_all(each: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        query, size, radius = each
        # On a diagonal j falls as i rises.
        backwards = jnp.pad(query[:, ::-1], ((0, 0), (steps, steps)))

        def step(
            carry: tuple[jax.Array, jax.Array, jax.Array], diagonal: jax.Array
        ) -> tuple[tuple[jax.Array, jax.Array, jax.Array], None]:
            before, last, result = carry  # D on the last but one and the last diagonal [T, N], by i
            facing = jax.lax.dynamic_slice_in_dim(backwards, span - 1 - diagonal + steps, steps, axis=1)  # [C, T]
            # A sum over the axis of channels is 25 times slower on a CPU (jaxlib 0.10.2), which does not vectorise it.
            cost = jax.lax.fori_loop(
                0,
                channels,
                lambda c, total: total + (known[c] - facing[c, :, None]) ** 2,
                jnp.zeros_like(last),
                unroll=8,
            )
            least = jnp.minimum(jnp.minimum(_shifted(before), _shifted(last)), last)
            j = diagonal - places
            allowed = (j >= 0) & (j < size) & (jnp.abs(places - j) <= radius[None])
            now = jnp.where(allowed, cost + jnp.where(diagonal == 0, 0, least), jnp.inf)
            at_end = jnp.take_along_axis(now, (lengths - 1)[None], axis=0)[0]
            return (last, now, jnp.where(diagonal == lengths + size - 2, at_end, result)), None

        none = jnp.full((steps, count), jnp.inf)
        (_, _, result), _ = jax.lax.scan(step, (none, none, none[0]), jnp.arange(steps + span - 1))
        return result

    return jax.lax.map(to_all, (queries, sizes, radius))


def _shifted(values: jax.Array) -> jax.Array:
    """Returns values [T, N] of i - 1."""
    return jnp.pad(values[:-1], ((1, 0), (0, 0)), constant_values=jnp.inf)
