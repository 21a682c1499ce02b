"""A loop over time as one Pallas kernel for a TPU: constants and carry stay in VMEM, the rest streams through it.

    for t = 1..T, or T..1:      carry, y_t = body(constants, carry, x_t)

The grid runs over tiles of the batch and, for each of them, over blocks of time steps. While the steps of one block
run, Mosaic copies the next block of inputs into VMEM and the last block of outputs out of it. Neither the batch nor the
number of steps needs to be divisible: the last block has fewer steps, and rows beyond the batch are never written.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from rnn_jax import mesh
from rnn_jax.engines import invariants

# (constants, carry, x) -> (carry, y)
Body = Callable[[Any, Any, Any], tuple[Any, Any]]

MEMORY = 80 * 2**20  # bytes of VMEM that a kernel may fill; a v5e and a v6e have 128 MiB
STREAMS = 16 * 2**20  # bytes of VMEM for blocks of inputs and outputs, if more than a step fits
INTERPRETER = pltpu.InterpretParams(detect_races=True, num_cores_or_threads=2, out_of_bounds_reads="raise")


class Limits(NamedTuple):
    """The most sequences in a tile and steps in a block."""

    rows: int
    steps: int


DEVICE = Limits(rows=256, steps=64)
INTERPRETED = Limits(rows=8, steps=4)  # so that small tests have several blocks


class TooLarge(ValueError):
    """A kernel needs more VMEM than there is."""

    def __init__(self, needed: int, constants: int) -> None:
        parts = f"{needed / 2**20:.0f} MiB, {constants / 2**20:.0f} of them constants"
        super().__init__(f"one step of the kernel takes {parts}, of the {MEMORY // 2**20} MiB of VMEM that it may fill")
        self.needed = needed

    def most(self, units: int) -> int:
        """Returns about how many units would fit, if memory grows with their square."""
        return max(1, int(units * math.sqrt(MEMORY / self.needed)) // 128 * 128)


def scan(body: Body, constants: Any, carry: Any, xs: Any, *, reverse: bool = False, interpret: bool = False) -> Any:
    """Returns y_t of all steps, leaves [T, B, ...].

    Args:
      body: pure function; it gets tiles of the batch, over which it must not reduce.
      constants: pytree of arrays.
      carry: carry before the first step, leaves [B, ...].
      xs: inputs, leaves [T, B, ...].
      reverse: whether steps run from the last to the first.
      interpret: whether the kernel is interpreted on any platform, which finds races and reads out of bounds.

    Raises:
      TooLarge: if a single step of the smallest tile does not fit into VMEM.
    """
    steps, batch = jax.tree.leaves(xs)[0].shape[:2]
    size, memory = blocks(body, constants, carry, xs, INTERPRETED if interpret else DEVICE)
    parts, state, x = _trace(body, constants, carry, xs, size.rows)
    count = pl.cdiv(steps, size.steps)

    def place(k: Any) -> Any:
        return count - 1 - k if reverse else k

    def length(k: Any) -> jax.Array:
        return jnp.minimum(size.steps, steps - place(k) * size.steps)

    def tile(leaf: Any) -> pl.BlockSpec:
        return pl.BlockSpec((size.rows, *leaf.shape[1:]), lambda i, k: (i, *(0,) * (leaf.ndim - 1)))

    def block(leaf: Any) -> pl.BlockSpec:
        shape = (size.steps, size.rows, *leaf.shape[2:])
        return pl.BlockSpec(shape, lambda i, k: (place(k), i, *(0,) * (leaf.ndim - 2)))

    values = [_at_least_2d(value) for value in parts.before(constants)]
    carry, xs = (jax.tree.map(functools.partial(_pack, axes=axes), tree) for tree, axes in ((carry, 1), (xs, 2)))
    y = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((steps, batch, *leaf.shape[1:]), leaf.dtype), parts.results[1])
    outputs = [jax.eval_shape(functools.partial(_pack, axes=2), leaf) for leaf in jax.tree.leaves(y)]
    ys = pl.pallas_call(
        _kernel(parts, state, x, length, reverse),
        grid=(pl.cdiv(batch, size.rows), count),
        in_specs=(list(map(_whole, values, parts.values)), jax.tree.map(tile, carry), jax.tree.map(block, xs)),
        out_specs=list(map(block, outputs)),
        out_shape=outputs,
        scratch_shapes=[pltpu.VMEM((size.rows, *leaf.shape[1:]), leaf.dtype) for leaf in jax.tree.leaves(carry)],
        compiler_params=pltpu.CompilerParams(dimension_semantics=("parallel", "arbitrary"), vmem_limit_bytes=memory),
        interpret=INTERPRETER if interpret else False,
        name="time_loop_reverse" if reverse else "time_loop",
    )(values, carry, xs)
    _, ys = mesh.vary_together(xs, (), ys)
    return jax.tree.unflatten(jax.tree.structure(y), list(map(_unpack, ys, jax.tree.leaves(y))))


def _kernel(
    parts: invariants.Parts, state: Any, x: Any, length: Callable[[Any], jax.Array], reverse: bool
) -> Callable[..., None]:
    """Returns the function that runs the steps of one block, from references to blocks in VMEM."""

    def kernel(values: Any, first: Any, xs: Any, *refs: Any) -> None:
        outputs = len(jax.tree.leaves(parts.results[1]))
        ys, carry = refs[:outputs], refs[outputs:]

        @pl.when(pl.program_id(1) == 0)
        def _() -> None:
            _write(carry, ..., _read(first, ..., state))

        steps = length(pl.program_id(1))

        def step(i: jax.Array, _: None) -> None:
            t = steps - 1 - i if reverse else i
            known = list(map(_constant, values, parts.values))
            after, y = parts.inside(known, _read(carry, ..., state), _read(xs, t, x))
            _write(carry, ..., after)
            _write(ys, t, y)

        jax.lax.fori_loop(0, steps, step, None)

    return kernel


def blocks(body: Body, constants: Any, carry: Any, xs: Any, most: Limits = DEVICE) -> tuple[Limits, int]:
    """Returns the sequences of a tile and the steps of a block, and the bytes of VMEM to be reserved for them.

    Raises:
      TooLarge: if not even one step of eight sequences fits.
    """
    steps, batch = jax.tree.leaves(xs)[0].shape[:2]
    parts, _, _ = _trace(body, constants, carry, xs, batch)
    resident = sum(_bytes(value.shape) for value in parts.values)
    rows = min(batch, most.rows)
    while True:
        carried, streamed = (_row_bytes(tree, rows) for tree in (carry, (xs, parts.results[1])))
        length = max(1, min(most.steps, steps, STREAMS // (2 * streamed)))
        needed = resident + 3 * carried + (2 * length + 4) * streamed  # copies of the carry, two buffers, temporaries
        if needed <= MEMORY:
            return Limits(rows, pl.cdiv(steps, pl.cdiv(steps, length))), needed + 16 * 2**20
        if rows <= 8:
            raise TooLarge(needed, resident)
        rows = max(8, rows // 2 // 8 * 8)  # rows are tiled by 8


def _trace(body: Body, constants: Any, carry: Any, xs: Any, rows: int) -> tuple[invariants.Parts, Any, Any]:
    """Returns the parts of the body for tiles of some rows, and the shapes of its carry and of its x."""
    state = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((rows, *leaf.shape[1:]), leaf.dtype), carry)
    x = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((rows, *leaf.shape[2:]), leaf.dtype), xs)
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), constants)
    return invariants.split(body, shapes, state, x), state, x


# Layouts. In a kernel every array has two axes or more, and booleans are integers.


def _pack(leaf: jax.Array, axes: int) -> jax.Array:
    """Returns an array with more than `axes` axes."""
    leaf = leaf.astype(jnp.int32) if leaf.dtype == jnp.bool_ else leaf
    return leaf[..., None] if leaf.ndim == axes else leaf


def _unpack(packed: jax.Array, like: Any) -> jax.Array:
    value = packed if packed.shape == like.shape else jnp.reshape(packed, like.shape)
    return value != 0 if like.dtype == jnp.bool_ else value


def _read(refs: Any, index: Any, like: Any) -> Any:
    leaves = [_unpack(ref[index], leaf) for ref, leaf in zip(jax.tree.leaves(refs), jax.tree.leaves(like), strict=True)]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def _write(refs: Any, index: Any, tree: Any) -> None:
    for ref, leaf in zip(jax.tree.leaves(refs), jax.tree.leaves(tree), strict=True):
        ref[index] = _pack(leaf, 1)


def _at_least_2d(value: jax.Array) -> jax.Array:
    value = value.astype(jnp.int32) if value.dtype == jnp.bool_ else value
    return jnp.reshape(value, (1,) * (2 - value.ndim) + value.shape)


def _constant(ref: Any, like: Any) -> jax.Array:
    return _unpack(ref[...] if like.shape else ref[0, 0], like)


def _whole(value: jax.Array, like: Any) -> pl.BlockSpec:
    """Returns the block of a constant, which has one buffer, as it is copied once; a number is in scalar memory."""
    if not like.shape:
        return pl.BlockSpec((1, 1), lambda i, k: (0, 0), memory_space=pltpu.SMEM)
    return pl.BlockSpec(value.shape, lambda i, k: (0,) * value.ndim, pipeline_mode=pl.Buffered(1))


def _row_bytes(tree: Any, rows: int) -> int:
    """Returns the bytes of `rows` sequences of one step; leaves end with [B] or [B, F]."""
    return sum(_bytes((rows, leaf.shape[-1])) for leaf in jax.tree.leaves(tree))


def _bytes(shape: tuple[int, ...]) -> int:
    """Returns the bytes of an array of 32-bit numbers in tiles of 8 by 128."""
    *more, rows, columns = (1, 1, *shape)
    return 4 * math.prod(more) * pl.cdiv(rows, 8) * 8 * pl.cdiv(columns, 128) * 128
