"""The loss of integer labels, those that cannot be refused."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax


def nats(name: str, logits: jax.Array, labels: Any, none: int | None = None) -> jax.Array:
    """-log p(label) of each, [...].

    A label out of range would be that of another class, counted from the end, or clipped to the last. Where labels are
    traced, such a one makes its loss NaN.

    Args:
      name: of the labels, for messages, as "Classifier: labels".
      logits: [..., C].
      labels: integers [...] in [0, C).
      none: what stands where there is no label; the loss there is 0.

    Raises:
      TypeError: where labels are not integers.
      ValueError: where they are of another shape, or one that can be read is not in [0, C).
    """
    traced = isinstance(labels, jax.core.Tracer)
    labels = labels if traced else np.asarray(labels)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"{name} must be integers, got {labels.dtype}")
    if labels.shape != logits.shape[:-1]:
        raise ValueError(f"{name} must be {list(logits.shape[:-1])}, got shape {list(labels.shape)}")
    strange = (labels < 0) | (labels >= logits.shape[-1])
    absent = labels == none
    if not traced and np.any(strange & ~absent):
        raise ValueError(f"{name} must be in [0, {logits.shape[-1]}), got {labels[strange & ~absent][0]}")
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.where(strange, 0, labels))
    return jnp.where(strange, jnp.where(absent, 0.0, jnp.nan), losses)
