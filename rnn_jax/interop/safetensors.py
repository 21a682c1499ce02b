"""Named arrays in a safetensors file, the format that PyTorch's ecosystem exchanges weights in; it runs no code."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from rnn_jax import files
from rnn_jax.interop import mapping


def read_safetensors(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file by name; bfloat16 ones in the dtype that JAX uses.

        params = from_pytorch(LSTM(8, 16), read_safetensors("model.safetensors"), prefix="encoder.lstm.")

    Raises:
      FileNotFoundError: where there is no such file.
      ValueError: where it is no safetensors file, or not a whole one.
    """
    with open(path, "rb"):  # the system's own errors name the path
        pass
    try:
        return safetensors.numpy.load_file(path)
    except (safetensors.SafetensorError, AttributeError) as error:  # the latter: a dtype that NumPy does not have
        raise ValueError(f"read_safetensors: cannot read {path}: {error}") from error


def write_safetensors(path: str | Path, arrays: Mapping[str, Any]) -> None:
    """Writes named arrays as a safetensors file, whole or not at all.

        write_safetensors("model.safetensors", to_pytorch(layer, params))

    Args:
      path: the file; one that is there is replaced.
      arrays: names to anything `np.asarray` takes; nested mappings are flattened, with dotted names.

    Raises:
      TypeError: where `arrays` is no mapping.
      ValueError: where the format does not have an array's dtype.
    """
    mapping.check_mapping("write_safetensors", arrays)
    # In rows: the library writes the memory as it lies, a transposed view would come back as another array.
    rows = {name: np.asarray(value, order="C") for name, value in mapping.flatten(arrays).items()}
    try:
        content = safetensors.numpy.save(rows)
    except safetensors.SafetensorError as error:
        raise ValueError(f"write_safetensors: cannot write {path}: {error}") from error
    files.write(Path(path), content)
