"""Chunks of a sequence, one after the other, with a shorter rest."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def in_chunks(
    body: Callable[[Any, Any], tuple[Any, Any]], carry: Any, xs: Any, size: int | None, reverse: bool = False
) -> list[Any]:
    """Scans chunks of `size` steps of xs, leaves [T, ...], and a shorter rest; of all steps as one if `size` is None.

    Returns:
      The results of `body` in the order of time, leaves [chunks, ...]; the rest's are a list entry of their own.
    """
    steps = jax.tree.leaves(xs)[0].shape[0]
    size = size or steps or 1
    end = steps - steps % size
    parts = [jax.tree.map(lambda x: jnp.reshape(x[:end], (end // size, size, *x.shape[1:])), xs)]
    if end < steps:
        parts.append(jax.tree.map(lambda x: x[None, end:], xs))
    results = []
    for part in reversed(parts) if reverse else parts:
        if jax.tree.leaves(part)[0].shape[0] == 1:
            carry, result = body(carry, jax.tree.map(lambda x: x[0], part))
            results.append(jax.tree.map(lambda leaf: leaf[None], result))
        else:
            carry, result = jax.lax.scan(body, carry, part, reverse=reverse)
            results.append(result)
    return results[::-1] if reverse else results


def joined(results: list[Any]) -> Any:
    """Returns all steps of results of `in_chunks`, leaves [chunks, size, ...], as leaves [T, ...]."""
    steps = [jax.tree.map(lambda x: jnp.reshape(x, (-1, *x.shape[2:])), result) for result in results]
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *steps)
