"""What the 64-bit tests share: every registered cell at a point where nothing is zero, one or symmetric."""

import functools
import importlib
import os
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import CELLS, Cell, unroll
from tests import registry

STEPS, BATCH, INPUTS, HIDDEN = 6, 2, 3, 4


class Problem(NamedTuple):
    """A cell and what it is run on."""

    cell: Cell
    params: Any
    state: Any  # before the first step
    xs: jax.Array  # [T, B, D]


def _scattered(tree, rng, scale):
    """The tree moved off its initial values, so that no bias is zero and no matrix is the identity."""
    return jax.tree.map(lambda leaf: leaf + scale * jnp.asarray(rng.normal(size=leaf.shape)), tree)


_init = jax.jit(lambda cell: cell.init(jax.random.key(0)), static_argnums=0)
_run = jax.jit(unroll, static_argnums=0)


@functools.cache
def _make_problem(cell, batch_shape=(BATCH,)):
    rng = np.random.default_rng(0)
    params = _scattered(_init(cell), rng, 0.3)
    # A state that the cell has reached is a valid one, whatever a state of it may be.
    warm_up, xs = (jnp.asarray(rng.normal(size=(STEPS, *batch_shape, cell.input_size))) for _ in range(2))
    return Problem(cell, params, _run(cell, params, warm_up, cell.initial_state(params, batch_shape))[0], xs)


def _weigh(*trees):
    """A scalar that reads every number of the trees, each with a random weight of its own, always the same."""
    rng = np.random.default_rng(1)
    leaves = jax.tree.leaves(trees)
    parts = [part for leaf in leaves for part in ((leaf.real, leaf.imag) if jnp.iscomplexobj(leaf) else (leaf,))]
    return sum(jnp.sum(jnp.asarray(rng.normal(size=part.shape)) * part) for part in parts)


@pytest.fixture
def make_problem():
    """Called with a cell and, if wanted, a batch shape; gives a `Problem`."""
    return _make_problem


@pytest.fixture(params=registry.NAMES)
def problem(request):
    """A `Problem` for every cell of the registry."""
    return _make_problem(CELLS[request.param](INPUTS, HIDDEN))


@pytest.fixture(params=registry.SLOW_VARIANTS)
def common_problem(request):
    """A `Problem` for every cell; slow for variants, whose contract in 32 bits shows the same."""
    return _make_problem(CELLS[request.param](INPUTS, HIDDEN))


@pytest.fixture
def run():
    """`unroll`, compiled once for a cell and a shape and shared by all tests."""
    return _run


@pytest.fixture
def weigh():
    """A loss with random cotangents on all it is given."""
    return _weigh


@pytest.fixture
def keras(monkeypatch):
    monkeypatch.setitem(os.environ, "KERAS_BACKEND", "jax")  # read when keras is imported
    pytest.importorskip("keras", reason="keras is not installed")
    module = importlib.import_module("keras")
    if module.backend.backend() != "jax":
        pytest.skip(f"keras was already imported with the backend {module.backend.backend()}")
    return module
