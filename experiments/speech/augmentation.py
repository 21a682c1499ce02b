"""The losses: of frames that are louder or softer, a few bands and a few steps of which are hidden.

Park et al. 2019, "SpecAugment" (arXiv:1904.08779), with one mask of each kind: what is told apart by one band or one
moment alone is not learnt so.
"""

from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.data import Examples
from rnn_jax.models import CTC, Classifier

GAIN = 0.5  # standard deviation of a recording's loudness, in those of a band
BANDS = 0.2  # share of the bands hidden, at the most
STEPS = 8  # hidden, at the most


def augmented(frames: jax.Array, lengths: jax.Array, key: jax.Array) -> jax.Array:
    """Standardised frames [T, B, bands], another loudness and other masks for each recording; a mask is the mean, 0."""
    steps, batch_size, bands = frames.shape
    key_gain, key_bands, key_steps = jax.random.split(key, 3)
    gains = GAIN * jax.random.normal(key_gain, (1, batch_size, 1))
    band_starts, band_widths = _masks(key_bands, jnp.full(batch_size, bands), round(BANDS * bands))
    step_starts, step_widths = _masks(key_steps, lengths, STEPS)
    in_bands = _inside(jnp.arange(bands)[None], band_starts[:, None], band_widths[:, None])
    in_steps = _inside(jnp.arange(steps)[:, None], step_starts[None], step_widths[None])
    return jnp.where(in_bands[None] | in_steps[..., None], 0, frames + gains)


def _masks(key: jax.Array, sizes: jax.Array, most: int) -> tuple[jax.Array, jax.Array]:
    key_start, key_width = jax.random.split(key)
    starts = jnp.floor(jax.random.uniform(key_start, sizes.shape) * sizes)
    return starts, jnp.floor(jax.random.uniform(key_width, sizes.shape) * (most + 1))


def _inside(places: jax.Array, starts: jax.Array, widths: jax.Array) -> jax.Array:
    return (places >= starts) & (places < starts + widths)


def of_classes(model: Classifier, params: Any, batch: Examples, key: jax.Array) -> jax.Array:
    """Of recordings of one digit."""
    (frames, digits), (lengths, _) = batch
    key_frames, key_model = jax.random.split(key)
    return model.loss(params, augmented(frames, lengths, key_frames), digits[0], lengths, key=key_model)


def of_sequences(model: CTC, params: Any, batch: Examples, key: jax.Array) -> jax.Array:
    """Of recordings of several digits; digit d is the label d + 1."""
    (frames, digits), (lengths, counts) = batch
    key_frames, key_model = jax.random.split(key)
    frames = augmented(frames, lengths, key_frames)
    return model.loss(params, frames, lengths, digits + 1, counts, key=key_model)
