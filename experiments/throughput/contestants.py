"""Contestants of a comparison: a layer in rnn_jax, by its default engine and by `Scan`, and in each other library."""

import functools
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp

import rnn_jax
from experiments import peers
from experiments.peers.programs import Data, Prepare, Programs, jax_programs

DEFAULT, SCAN = "rnn_jax", "Scan"
REFERENCE = "torch"  # the others' times are multiples of its time
JAX_LIBRARIES = ("linen", "nnx", "haiku", "keras")
LIBRARIES = (REFERENCE, *JAX_LIBRARIES)  # modules of `experiments.peers`


def unroll_programs(cell: rnn_jax.Cell, data: Data, exact: bool = False, **options: Any) -> Programs:
    """Returns the programs of `unroll(cell, ..., **options)`; rounded data is computed in float32 if `exact`."""
    used = cell if exact or data.xs.dtype == jnp.float32 else rnn_jax.MixedPrecision(cell)
    data = jax.tree.map(lambda a: a.astype(jnp.float32), data)
    return jax_programs(lambda params, xs: rnn_jax.unroll(used, params, xs, **options)[1], data.params, data)


ENGINES: dict[str, Prepare] = {
    DEFAULT: unroll_programs,
    SCAN: functools.partial(unroll_programs, engine=rnn_jax.Scan()),
}


def find(names: Iterable[str] | None = None) -> tuple[dict[str, Prepare], dict[str, str]]:
    """Returns the libraries that can take part, of all or of `names`, and why each of the others cannot."""
    libraries, missing = {}, dict[str, str]()
    for name in LIBRARIES if names is None else names:
        try:
            library = peers.load(name)
            if name == REFERENCE:
                library.match_jax()
            libraries[name] = library.programs
        except ImportError as error:
            missing[name] = str(error)
    return libraries, missing
