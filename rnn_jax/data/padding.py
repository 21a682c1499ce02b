"""Sequences of different lengths to one time-major array with their lengths, and back."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from rnn_jax import checks, integers


class Padded(NamedTuple):
    """A time-major batch of sequences: the xs (after encoding) and lengths of `rnn_jax.unroll`."""

    values: np.ndarray  # [T, B, ...]
    lengths: np.ndarray  # int32 [B]


def pad(sequences: Sequence[Any], length: int | None = None, value: float = 0) -> Padded:
    """Pads sequences at their ends to one length.

    >>> from rnn_jax import data
    >>> batch = data.pad([[1, 2, 3], [4]])
    >>> batch.values.tolist(), batch.lengths.tolist()  # values [T, B]
    ([[1, 4], [2, 0], [3, 0]], [3, 1])

    Args:
      sequences: B arrays [n_i, ...], all integer or all floating point, of one dtype and trailing shape.
      length: number of steps, T; None means the longest sequence. Sequences are never truncated.
      value: value of the padded steps.

    Returns:
      Values [T, B, ...] in the dtype of the sequences, and lengths, int32 [B].

    Raises:
      TypeError: if sequences are not numbers or differ in dtype, or value does not have that dtype.
      ValueError: if there is no sequence, one is longer than length or has no time axis, their trailing shapes differ,
        or value is out of the dtype's range.
    """
    arrays = ragged(sequences, "pad")
    lengths = np.array([len(array) for array in arrays], np.int32)
    if length is None:
        length = int(lengths.max())
    else:
        checks.integer_at_least(0, length, "pad: length")
    longer = np.flatnonzero(lengths > length)
    if longer.size:
        index = longer[0]
        raise ValueError(f"pad: sequence {index} must have at most length = {length} steps, got {lengths[index]}")
    dtype = arrays[0].dtype
    if np.issubdtype(dtype, np.integer):
        # NumPy would truncate 0.5 to 0.
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
            raise TypeError(f"pad: value must be an integer as the sequences are {dtype}, got {value!r}")
        if not np.iinfo(dtype).min <= value <= np.iinfo(dtype).max:
            raise ValueError(f"pad: value must be in the range of {dtype}, got {value!r}")
    values = np.full((length, len(arrays), *arrays[0].shape[1:]), value, dtype)
    for column, array in enumerate(arrays):
        values[: len(array), column] = array
    return Padded(values, lengths)


def unpad(values: Any, lengths: Any) -> list[np.ndarray]:
    """Returns the sequences of a padded batch, each [n_i, ...]: the inverse of `pad`.

    >>> from rnn_jax import data
    >>> [sequence.tolist() for sequence in data.unpad(*data.pad([[1, 2, 3], [4]]))]
    [[1, 2, 3], [4]]

    Args:
      values: padded sequences [T, B, ...].
      lengths: length of each sequence, integers [B].

    Raises:
      TypeError: if lengths are not integers.
      ValueError: if the shapes do not fit, or a length is not in [0, T].
    """
    values, lengths = np.asarray(values), np.asarray(integers.int32(lengths, "unpad: lengths"))
    if values.ndim < 2:
        raise ValueError(f"unpad: values must be [T, B, ...], got shape {values.shape}")
    if lengths.shape != values.shape[1:2]:
        raise ValueError(
            f"unpad: lengths must be [{values.shape[1]}], as values has columns, got shape {lengths.shape}"
        )
    invalid = np.flatnonzero((lengths < 0) | (lengths > len(values)))
    if invalid.size:
        index = invalid[0]
        raise ValueError(f"unpad: lengths must be in [0, {len(values)}], got {lengths[index]} at {index}")
    return [values[:n, column] for column, n in enumerate(lengths.tolist())]


def ragged(sequences: Sequence[Any], who: str) -> list[np.ndarray]:
    """Returns the sequences as arrays [n_i, ...] of one dtype and trailing shape.

    Args:
      sequences: anything `np.asarray` takes.
      who: name of the calling function, for error messages.

    Raises:
      TypeError: if a sequence is not integer or floating point, or has another dtype than the first.
      ValueError: if there is no sequence, one has no time axis, or another trailing shape than the first.
    """
    arrays = [np.asarray(sequence) for sequence in sequences]
    if not arrays:
        raise ValueError(f"{who}: sequences must hold at least one sequence, got none")
    first = arrays[0]
    for index, array in enumerate(arrays):
        if not np.issubdtype(array.dtype, np.integer) and not np.issubdtype(array.dtype, np.floating):
            raise TypeError(f"{who}: sequence {index} must be integer or floating point, got {array.dtype}")
        if array.ndim < 1:
            raise ValueError(f"{who}: sequence {index} must be [n, ...], got shape {array.shape}")
        if array.dtype != first.dtype:
            raise TypeError(f"{who}: sequence {index} must be {first.dtype} as sequence 0, got {array.dtype}")
        if array.shape[1:] != first.shape[1:]:
            raise ValueError(
                f"{who}: sequence {index} must have the trailing shape {first.shape[1:]} of sequence 0, "
                f"got {array.shape[1:]}"
            )
    return arrays
