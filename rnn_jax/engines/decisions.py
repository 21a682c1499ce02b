"""The decisions of `Hoisted` for each platform, with reason and measurement.

On a CPU (`rnn_jax.engines.cpu`), and any platform that is not below:

| decision                         | reason                                         | measured                         |
|----------------------------------|------------------------------------------------|----------------------------------|
| Arguments of all steps are kept  | New memory costs 3.5 us for a page of 4 KB;    | LSTM (16, 3162, 64, 64): 123 ms  |
| below 32 MB, or if expensive:    | the C library reuses blocks below 32 MB.       | kept, 139 recomputed; (128, 784, |
| `keep_arguments`                 | Expensive: over 250 operations for each        | 1, 128): 527 and 516             |
|                                  | number.                                        |                                  |
|----------------------------------|------------------------------------------------|----------------------------------|
| Others are recomputed, 25 steps  | Enough steps for a large product, few enough   | 50 steps: the same time          |
| at a time: `SEGMENT`             | for the cache.                                 |                                  |
|----------------------------------|------------------------------------------------|----------------------------------|
| One array is kept for two if     | If `activate` reads drive + r only, there is   | LSTM: 4H numbers a step, not 8H  |
| that suffices: `reads_only_sum`  | one array to write, and one cotangent.         |                                  |
|----------------------------------|------------------------------------------------|----------------------------------|
| Inputs are projected inside the  | The product is used while it is in the cache;  | one gate (B 32, H 128): 8 us,    |
| loop                             | otherwise a gate reads a slice of [T, B, 4H].  | not 54                           |
|----------------------------------|------------------------------------------------|----------------------------------|
| Cotangents overwrite the kept    | No other array of that size is written. XLA    | GRU: 0.68 to 0.86 of the time    |
| rows; the next row is read from  | copies the whole array at every step if a row  |                                  |
| the result                       | is read before the array is written.           |                                  |
|----------------------------------|------------------------------------------------|----------------------------------|
| W_h^T is stored once, before the | XLA transposes W_h at every step. A single     | batches of 2 to 8: 0.73 to 0.86  |
| loop: `transpose_once`           | sequence reads W_h as it is.                   | of the time; from 64: equal      |
|----------------------------------|------------------------------------------------|----------------------------------|
| Steps and sequences are folded   | With two axes to sum over, XLA makes a         | unfolded: 1.0 to 1.4 of the      |
| into one axis if one CPU device  | transposed copy. Over devices, folding would   | time, same bits; over 4 devices: |
| runs all: `folded_shape`         | gather all sequences on each.                  | 7 MB temporary, folded 44        |
|----------------------------------|------------------------------------------------|----------------------------------|
| A batch split over a mesh that   | Each recomputed segment would sum its          | one sum over devices in a        |
| is set: all arguments kept       | gradients over devices.                        | training step                    |
|----------------------------------|------------------------------------------------|----------------------------------|
| Mesh axis `model`: arguments of  | Gates read columns of all devices.             | exchanges in each time step: 1   |
| `activate` are gathered          |                                                | forward, 2 backward              |
|----------------------------------|------------------------------------------------|----------------------------------|

Times are of forward and backward passes on two CPU cores with jaxlib 0.10.2 (November 2026); shapes are (batch, steps,
input, hidden). BUILD_NOTES.md, "Engines", lists further attempts without gain.

On a TPU or GPU (`rnn_jax.engines.accelerator`); `PLANS` has what differs between the two:

| decision                         | reason                                         | compiled, not run                |
|----------------------------------|------------------------------------------------|----------------------------------|
| Inputs are projected before the  | One large product; in the loop, one more       | v5e: RNN (64, 200, 64, 256)      |
| loop                             | operation a step, and a copy of x_t.           | forward 2,277 cycles, not 13,293 |
|----------------------------------|------------------------------------------------|----------------------------------|
| Arguments are not kept, but      | One product for all steps costs less than an   | v5e: RNN (32, 100, 128, 128)     |
| recomputed before the loop, 512  | array written in each.                         | 4,322 cycles, not 6,687          |
| MB at once:`accelerator_segment` |                                                |                                  |
|----------------------------------|------------------------------------------------|----------------------------------|
| States s_{t-1} are rows of an    | A row of [T, B, H] at t - 1 and a comparison   | v5e: LSTM (32, 100, 128, 128)    |
| array that is shifted before     | with 0 are operations of their own; so is the  | backward 8,557 cycles, not       |
| the loop; no row is overwritten  | row that a CPU reads ahead.                    | 12,750                           |
|----------------------------------|------------------------------------------------|----------------------------------|
| Of two arguments (GRU), lambda_t | One array of H columns a step, not two of 3H;  | v5e: GRU (64, 200, 64, 256)      |
| alone is kept in the loop        | their cotangents are one vjp after the loop.   | 15,220 cycles, not 25,904        |
|----------------------------------|------------------------------------------------|----------------------------------|
| TPU: derivatives of `activate`   | The loop is left with products and sums, which | v5e: LSTM (32, 100, 128, 128)    |
| for all steps before the loop:   | XLA fuses into fewer operations. Memory: LSTM  | backward 6,461 cycles, not 8,557 |
| `linearise`                      | (128, 784, 1, 128) 882 MB; by `Scan` 956.      |                                  |
|----------------------------------|------------------------------------------------|----------------------------------|
| TPU: a single sequence runs      | XLA makes sums of a product with one row;      | v5e: LSTM (1, 1000, 64, 128)     |
| forward as 8 equal rows: `rows`  | 8 are one tile of the matrix unit.             | forward 7,701 cycles, not 12,275 |
|----------------------------------|------------------------------------------------|----------------------------------|
| GPU: the backward step begins    | XLA splits the sum of a small product over     | H200: LSTM 4 launches, not 5.    |
| with the product of step t + 1:  | blocks; its second part is fused with what     | v5e: up to 27 operations, as XLA |
| `product_first`                  | follows.                                       | transposes all arrays            |
|----------------------------------|------------------------------------------------|----------------------------------|
| GPU: arrays of a state (LSTM h   | Each would be written by a launch of its own.  | H200: LSTM forward 3 launches,   |
| and c) are written as one: `pack`|                                                | not 4. v5e: no gain              |
|----------------------------------|------------------------------------------------|----------------------------------|

Compiled on 2026-11-30 with jax 0.10.2 and libtpu 0.0.52, at default precision; cycles are the compiler's estimate for
one step; a GPU's loop counter is not counted. `python -m experiments.throughput --compile_for=v5e,h200` prints such
figures.
"""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import jax

from rnn_jax import machine, mesh
from rnn_jax.cell import Cell, Params, State
from rnn_jax.trees import floats, refill

SEGMENT = 25  # steps recomputed at once
EXPENSIVE = 250  # floating-point operations for each number of an array, above which it is kept
_MARK = 1009  # size of a batch axis in a trace: a prime that no other axis has
NEW_MEMORY = 2**25  # bytes of a block that the C library requests anew each time (glibc's largest M_MMAP_THRESHOLD)

SEGMENT_BYTES = 2**29  # of arguments that an accelerator recomputes at once


@dataclasses.dataclass(frozen=True)
class Plan:
    """What the programs for accelerators (`rnn_jax.engines.accelerator`) differ in.

    Args:
      linearise: whether the derivatives of `activate` are computed for all steps before the backward loop.
      product_first: whether an iteration of the backward loop begins with the product of the step after it.
      pack: whether arrays of a state that are alike are written as one.
      rows: number of equal rows that stand for a single sequence in the forward loop.
    """

    linearise: bool
    product_first: bool
    pack: bool
    rows: int


_TPU = Plan(linearise=True, product_first=False, pack=False, rows=8)
_GPU = Plan(linearise=False, product_first=True, pack=True, rows=1)
PLANS = {"tpu": _TPU, "cuda": _GPU, "rocm": _GPU}  # by platform; any other one runs the program for a CPU


def plans() -> dict[str, Plan]:
    """Returns the plans of platforms that this process may compile for.

    To trace the others' programs, too, doubles the time before compilation: 0.18 s, not 0.09, for a gradient of an
    LSTM. So `jax.export` for a platform whose compiler is not installed holds the program for a CPU.
    """
    return {platform: plan for platform, plan in PLANS.items() if platform in machine.platforms()}


def mixes_sequences(cell: Cell, params: Params, state: State, inputs: Any) -> bool:
    """Whether a step mixes the sequences of its batch, by its operations, so that its gradient holds for it only.

    An operation does so if it makes an array without a batch axis of one with it (a mean, some rows), works along that
    axis (a sort, a permutation, a product with a matrix of rows by rows), or numbers the rows (random draws of a fixed
    key). A reshape that reorders them is not seen. A step that takes no other batch than the given one counts too.
    """
    batch_dims = jax.tree.leaves(inputs)[0].ndim - 2

    def rows(leaf: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((_MARK,) * batch_dims + leaf.shape[batch_dims:], leaf.dtype)

    def step(params: Params, state: State, x: Any) -> State:
        return cell.step(params, state, cell.project(params, x))

    x = jax.eval_shape(lambda xs: jax.tree.map(lambda leaf: leaf[0], xs), inputs)
    try:
        return batch_dims > 0 and _mixes(jax.make_jaxpr(step)(params, *jax.tree.map(rows, (state, x))).jaxpr)
    except (TypeError, ValueError):
        return True


def _mixes(jaxpr: Any) -> bool:
    return any(_works_along_batch(eqn) or any(map(_mixes, _parts(eqn))) for eqn in jaxpr.eqns)


def _has_batch(variable: Any) -> bool:
    return any(map(_is_batch, getattr(variable.aval, "shape", ())))


def _is_batch(size: Any) -> bool:
    return isinstance(size, int) and size > 0 and size % _MARK == 0


def _works_along_batch(eqn: Any) -> bool:
    given, made = any(map(_has_batch, eqn.invars)), any(map(_has_batch, eqn.outvars))
    repeats = eqn.primitive.name == "broadcast_in_dim" or _parts(eqn)
    if (given and not made) or (made and not given and not repeats):
        return True
    return any(isinstance(axis, int) and _is_batch(shape[axis]) for shape, along in _axes(eqn) for axis in along)


def _axes(eqn: Any) -> Iterator[tuple[Any, Any]]:
    """Returns the shapes of an operation's arguments, each with the axes along which it does not work by element."""
    shapes, params = [getattr(variable.aval, "shape", ()) for variable in eqn.invars], eqn.params
    name, numbers = eqn.primitive.name, params.get("dimension_numbers")
    if name == "scan":
        yield (params["length"],), (0,)
    elif name == "dot_general":
        yield from zip(shapes, numbers[0], strict=True)
    elif name == "gather":
        yield shapes[0], numbers.start_index_map
    elif name.startswith("scatter"):
        yield shapes[0], numbers.scatter_dims_to_operand_dims
    elif shapes:
        for axes in (params.get(key) for key in ("axis", "axes", "dimension", "dimensions")):
            yield shapes[0], axes if isinstance(axes, tuple) else (axes,)


def _parts(eqn: Any) -> list[Any]:
    """Returns the jaxprs in an equation's parameters."""
    parts = jax.tree.leaves(list(eqn.params.values()), is_leaf=lambda part: hasattr(part, "eqns"))
    return [getattr(part, "jaxpr", part) for part in parts if hasattr(part, "eqns")]


def keep_arguments(cell: Any, params: Params, arguments: Any, inputs: Any) -> bool:
    """Decides whether the forward pass keeps each step's arguments, or the backward pass recomputes them.

    Args:
      cell: any cell.
      params: its parameters.
      arguments: shapes of the arguments of one step.
      inputs: shapes of the inputs [T, *batch, features].
    """
    steps, *batch, features = jax.tree.leaves(inputs)[0].shape
    numbers = sum(leaf.size for leaf in floats(arguments))
    kept_bytes = steps * sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(arguments))
    # Products with all weights; a cell that is not split recomputes its projection only.
    products = math.prod(batch) * sum(leaf.size for leaf in floats(params)) if cell.is_split else numbers * features
    return (mesh.batch_parts(inputs) or 1) > 1 or kept_bytes < NEW_MEMORY or 2 * products > EXPENSIVE * numbers


def reads_only_sum(cell: Any, params: Params, state: State, drive: Any, r: jax.Array) -> bool:
    """Whether `activate` of a split cell is a function of drive + r, by its operations."""
    if [(d.shape, d.dtype) for d in floats(drive)] != [(r.shape, r.dtype)]:
        return False

    def step(d: jax.Array, r: jax.Array) -> Any:
        refilled = refill(drive, [d])
        return cell.enter(params, state, refilled), cell.activate(params, state, refilled, r)

    jaxpr = jax.make_jaxpr(step)(floats(drive)[0], r).jaxpr
    both = set(jaxpr.invars)
    readers = [eqn for eqn in jaxpr.eqns if both & {v for v in eqn.invars if not hasattr(v, "val")}]
    adds = len(readers) == 1 and readers[0].primitive.name == "add" and set(readers[0].invars) == both
    return adds and not both & {v for v in jaxpr.outvars if not hasattr(v, "val")}


def transpose_once(cell: Any, params: Params, state: State, batch: tuple[int, ...]) -> bool:
    """Whether the weights of `recurrent` are laid out for the backward loop before it.

    Only for JAX's own product: one with bfloat16 operands (`rnn_jax.bfloat16`) lays out its weights itself.
    """
    if math.prod(batch) == 1 or mesh.size("model") > 1 or not cell.is_split:
        return False
    return any(eqn.primitive.name == "dot_general" for eqn in jax.make_jaxpr(cell.recurrent)(params, state).eqns)


def accelerator_segment(arguments: Any, inputs: Any) -> int:
    """Returns the number of steps whose arguments an accelerator recomputes at once.

    Args:
      arguments: shapes of the arguments of one step.
      inputs: inputs [T, *batch, features]; if their batch is split over a mesh, all steps are one segment.
    """
    steps = len(jax.tree.leaves(inputs)[0])
    if (mesh.batch_parts(inputs) or 1) > 1:
        return steps
    return max(1, min(steps, SEGMENT_BYTES // max(1, _bytes(arguments))))


def enters_state(cell: Any, params: Params, state: State, drive: Any) -> bool:
    """Whether `recurrent` reads the state as it is, by the operations of `enter`."""
    jaxpr = jax.make_jaxpr(lambda s, d: cell.enter(params, s, d))(state, drive).jaxpr
    return list(jaxpr.outvars) == list(jaxpr.invars[: len(jaxpr.outvars)])


def read_by_activate(
    cell: Any, params: Params, state: State, drive: Any, r: jax.Array | None
) -> tuple[list[Any], list[bool]]:
    """Returns the parameters that `activate` reads, and for each floating-point array of the state whether it does.

    Its derivatives at all steps are not computed at once if one of those parameters is a matrix: with them, that would
    be in memory once for each step.
    """

    def step(params: Params, arrays: list[jax.Array], product: jax.Array) -> Any:
        return cell.activate(params, refill(state, arrays), drive, product)

    given = params, floats(state), floats(drive)[0] if r is None else r
    jaxpr = jax.make_jaxpr(step)(*given).jaxpr
    read = [*jaxpr.outvars, *(variable for eqn in jaxpr.eqns for variable in eqn.invars)]
    used = {variable for variable in read if not hasattr(variable, "val")}
    flags = [variable in used for variable in jaxpr.invars]
    leaves = jax.tree.leaves(params)
    weights = [leaf for leaf, flag in zip(leaves, flags, strict=False) if flag]
    return weights, flags[len(leaves) : len(leaves) + len(given[1])]


def _bytes(tree: Any) -> int:
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def folded_shape(inputs: Any) -> tuple[int, ...]:
    """Returns the leading axes of a product over all steps and sequences, for inputs [T, *batch, features].

    They are one only if a CPU device certainly has all sequences. Within `jax.jit` with `in_shardings` this cannot be
    known, so in a process with several devices and without a mesh they stay apart.
    """
    return (-1,) if mesh.batch_parts(inputs) == 1 else jax.tree.leaves(inputs)[0].shape[:-1]
