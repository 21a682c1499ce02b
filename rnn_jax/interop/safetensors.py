"""Named arrays in safetensors files, the usual format of published PyTorch weights; reading one runs no code."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from rnn_jax import files
from rnn_jax.interop import mapping


def read_safetensors(path: str | Path) -> dict[str, np.ndarray]:
    """Reads the arrays of a safetensors file by name; bfloat16 arrays have the dtype of JAX.

        params = from_pytorch(LSTM(8, 16), read_safetensors("model.safetensors"), prefix="encoder.lstm.")

    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from rnn_jax import interop
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.safetensors"
    >>> interop.write_safetensors(path, {"encoder": {"bias": np.arange(3)}})
    >>> {name: array.tolist() for name, array in interop.read_safetensors(path).items()}
    {'encoder.bias': [0, 1, 2]}

    Args:
      path: file.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if the file is not a safetensors file, or is truncated.
    """
    path = files.expanded(path)
    with path.open("rb"):  # raises errors that name the path, which the library's own do not
        pass
    try:
        return safetensors.numpy.load_file(path)
    except (safetensors.SafetensorError, AttributeError) as error:  # AttributeError: a dtype that NumPy does not have
        raise ValueError(f"read_safetensors: cannot read {path}: {error}") from error


def write_safetensors(path: str | Path, arrays: Mapping[str, Any]) -> None:
    """Writes named arrays to a safetensors file, completely or not at all.

        write_safetensors("model.safetensors", to_pytorch(layer, params))

    Args:
      path: file; an existing one is replaced.
      arrays: arrays by name, anything `np.asarray` accepts; nested mappings are flattened to dotted names.

    Raises:
      TypeError: if `arrays` is not a mapping.
      ValueError: if the format does not support the dtype of an array.
    """
    mapping.check_mapping("write_safetensors", arrays)
    # Row-major copies, because the library writes memory as it is and would store a transposed view wrongly.
    contiguous = {name: np.asarray(value, order="C") for name, value in mapping.flatten(arrays).items()}
    try:
        content = safetensors.numpy.save(contiguous)
    except safetensors.SafetensorError as error:
        raise ValueError(f"write_safetensors: cannot write {path}: {error}") from error
    files.write(files.expanded(path), content)
