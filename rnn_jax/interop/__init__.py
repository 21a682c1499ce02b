"""Parameters from and to PyTorch, Keras and Flax, as mappings of names to arrays; see README.md in this folder.

PyTorch and Keras are not imported. Each module has a table `_LAYOUTS` with one entry per cell; a new cell is a new
entry.
"""

from rnn_jax.interop.flax_linen import from_flax_linen, to_flax_linen
from rnn_jax.interop.flax_nnx import from_flax_nnx, to_flax_nnx
from rnn_jax.interop.keras import from_keras, to_keras
from rnn_jax.interop.pytorch import from_pytorch, to_pytorch
from rnn_jax.interop.safetensors import read_safetensors, write_safetensors

__all__ = [
    "from_flax_linen",
    "from_flax_nnx",
    "from_keras",
    "from_pytorch",
    "read_safetensors",
    "to_flax_linen",
    "to_flax_nnx",
    "to_keras",
    "to_pytorch",
    "write_safetensors",
]
