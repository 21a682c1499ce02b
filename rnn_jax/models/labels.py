"""Checks of integer labels, and their cross entropy."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax


def checked(name: str, labels: Any, shape: tuple[int, ...], classes: int, *, like: str = "", valid: Any = None) -> Any:
    """Returns labels as an array, after checks of dtype, shape and (unless they are traced) range.

    Args:
      name: name of the labels in messages, as "Classifier: labels".
      labels: integers of the given shape in [0, classes).
      shape: expected shape.
      classes: number of classes.
      like: name of the argument that determines the shape, for messages.
      valid: booleans of the given shape: the labels whose range is checked; None means all.

    Raises:
      TypeError: if labels are not integers.
      ValueError: if they have another shape, or one is not in [0, classes).
    """
    traced = isinstance(labels, jax.core.Tracer)
    labels = labels if traced else np.asarray(labels)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"{name} must be integers, got {labels.dtype}")
    if labels.shape != shape:
        reason = f", as {like}" if like else ""
        raise ValueError(f"{name} must be {list(shape)}{reason}, got shape {list(labels.shape)}")
    if traced or isinstance(valid, jax.core.Tracer):
        return labels
    invalid = (labels < 0) | (labels >= classes)
    if valid is not None:
        invalid &= np.asarray(valid)
    if np.any(invalid):
        raise ValueError(f"{name} must be in [0, {classes}), got {labels[invalid][0]}")
    return labels


def cross_entropy(name: str, logits: jax.Array, labels: Any, ignored: int | None = None) -> jax.Array:
    """Returns -log p(label) of each label, [...].

    Indexing would count a negative label from the end, and clip one that is too large. So a traced label out of range
    gives NaN.

    Args:
      name: name of the labels in messages, as "Classifier: labels".
      logits: logits [..., C].
      labels: integers [...] in [0, C).
      ignored: label of entries without a class, whose loss is 0; None: all entries have one.

    Raises:
      TypeError, ValueError: as `checked`.
    """
    labels = labels if isinstance(labels, jax.core.Tracer) else np.asarray(labels)
    absent = ignored is not None and labels == ignored
    labels = checked(name, labels, logits.shape[:-1], logits.shape[-1], valid=None if ignored is None else ~absent)
    invalid = (labels < 0) | (labels >= logits.shape[-1])
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.where(invalid, 0, labels))
    return jnp.where(invalid, jnp.where(absent, 0.0, jnp.nan), losses)
