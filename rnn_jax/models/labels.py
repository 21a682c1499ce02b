"""Checks of integer labels, and their cross entropy."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from rnn_jax import integers


def checked(name: str, labels: Any, shape: tuple[int, ...], classes: int, *, like: str = "", valid: Any = None) -> Any:
    """Returns labels as an int32 array, after checks of dtype, shape and (unless they are traced) range.

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
    labels = integers.int32(labels, name)
    if labels.shape != shape:
        reason = f", as {like}" if like else ""
        raise ValueError(f"{name} must be {list(shape)}{reason}, got shape {list(labels.shape)}")
    if isinstance(labels, jax.core.Tracer) or isinstance(valid, jax.core.Tracer):
        return labels
    labels = np.asarray(labels)
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
    labels = integers.int32(labels, name)
    present = None if ignored is None else labels != ignored
    labels = checked(name, labels, logits.shape[:-1], logits.shape[-1], valid=present)
    invalid = (labels < 0) | (labels >= logits.shape[-1])
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.where(invalid, 0, labels))
    losses = jnp.where(invalid, jnp.nan, losses)
    return losses if present is None else jnp.where(present, losses, 0.0)
