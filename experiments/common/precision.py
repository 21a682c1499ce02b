"""Precision of float32 matrix products: the flag of every experiment that computes.

By default JAX rounds the operands of a float32 product to bfloat16 on a TPU, and to TF32 (10 bits) on an NVIDIA GPU
from Ampere on. Gradients that are measured over many steps would be those of other numbers.
"""

import concurrent.futures
import contextlib
from collections.abc import Iterator

import jax

# Names in JAX, and what they mean; a CPU's products are full under each of them.
PRODUCTS = {
    "highest": "full",
    "high": "TF32 on a GPU, three passes of bfloat16 on a TPU",
    "default": "TF32 on a GPU, one pass of bfloat16 on a TPU",
}


@contextlib.contextmanager
def products(precision: str) -> Iterator[None]:
    """Sets JAX's precision of matrix products for all threads while its body runs."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:  # this thread may be inside JAX's context manager
        before = pool.submit(getattr, jax.config, "jax_default_matmul_precision").result()
    jax.config.update("jax_default_matmul_precision", precision)
    try:
        with jax.default_matmul_precision(precision):
            yield
    finally:
        jax.config.update("jax_default_matmul_precision", before)


def in_force() -> str:
    """Returns the name of the precision that this thread computes in."""
    return jax.config.jax_default_matmul_precision or "default"  # type: ignore[attr-defined]


def caption() -> str:
    """Returns the sentence of a table's caption on the precision in force."""
    return f"Float32 products: {PRODUCTS[in_force()]}."
