"""All steps in one Pallas kernel, forward and backward, made from the cell's own functions. For TPUs.

    forward     for t = 1..T:   s_t = step(params, s_{t-1}, d_t)
    backward    for t = T..1:   lambda_t = dL/ds_t + s_bar
                                s_bar = vjp of step by s_{t-1} with lambda_t

XLA starts several operations for each step of a loop, and each of them reads its operands from memory. Here the loop is
one operation: weights and state stay on the chip (as in Diamos et al. 2016, ICML), and drives, states and adjoints
stream. Everything else is a large product before the first kernel or after the second: the drives d_t = project(x_t),
and the gradients of parameters and inputs from all lambda_t (`rnn_jax.engines.adjoint`). The kernel's body is the
cell's `step`, for a `SplitCell` its `recurrent` and `activate`, or `jax.vjp` of it; what depends on parameters alone is
computed before the kernel (`rnn_jax.engines.invariants`).
"""

import dataclasses
import functools
import logging
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import jax
import jax.numpy as jnp

from rnn_jax import mesh
from rnn_jax.cell import Cell, Params, State
from rnn_jax.engines import adjoint, decisions
from rnn_jax.engines.hoisted import Hoisted
from rnn_jax.static import Static
from rnn_jax.trees import floats, refill
from rnn_jax.wrapper import Wrapper

if TYPE_CHECKING:
    from rnn_jax.engines.time_kernel import Body

_TYPES = ("float32", "bfloat16", "int32", "bool")


@dataclasses.dataclass(frozen=True)
class Fused(Static):
    """For a TPU, and for any cell whose state and drive are vectors of real numbers.

    The platform is decided when a program is lowered, also for a TPU that is not there: on a TPU the steps are a
    kernel, elsewhere a loop. Compiled for v5e and v6e, not run: `Hoisted` is the default until this has been timed.

    A program that the kernel cannot take runs as by `Hoisted`, and the reason is logged: a state or drive that is
    complex, of double precision or of higher rank, a step that mixes the sequences of its batch, a program split over
    devices, or weights that do not fit into the chip's memory (80 MiB: an LSTM of up to about 2,000 units). An
    operation for which Pallas has no TPU code is refused by JAX when the program is lowered, by the operation's name.

    Memory of the backward pass: the states, and temporarily the drives, cotangents and one array of each step's
    intermediates, O(T). Forward-mode differentiation of the result and derivatives of its gradient are refused: use
    `Scan` for them.

    >>> from rnn_jax import LSTM, unroll
    >>> cell = LSTM(2, 3)
    >>> params, xs = cell.init(jax.random.key(0)), jnp.ones((10, 4, 2))
    >>> jax.grad(lambda p: unroll(cell, p, xs, engine=Fused())[1].sum())(params).w_h.shape
    (3, 12)

    Args:
      interpret: whether the kernel is interpreted, on any platform and slowly, with checks of its memory accesses, in
        blocks of 4 steps and 8 sequences: to test a cell's kernel without a TPU.

    Raises:
      TypeError: if the result is differentiated in forward mode, or its gradient once more.
    """

    interpret: bool = False

    def __call__(self, cell: Cell, params: Params, state: State, inputs: Any) -> tuple[State, State]:
        shape = jax.tree.leaves(inputs)[0].shape[:-1]
        if not math.prod(shape):  # there is nothing to run
            return Hoisted()(cell, params, state, inputs)
        fold, unfold = _folding(shape[1:])
        reason = _refusal(cell, params, state, inputs) or _too_large(cell, params, *fold(state, inputs))
        if reason:
            _warn(f"Fused: {_innermost(cell)} runs as by Hoisted(): {reason}")
            return Hoisted()(cell, params, state, inputs)
        if not self.interpret and jax.default_backend() != "tpu":
            _warn(f"Fused: on a {jax.default_backend()} the steps run as a loop; the kernel is for programs of a TPU")
        return unfold(*adjoint.solve(self, cell, params, *fold(state, inputs)))

    def states(self, cell: Cell, params: Params, state: State, inputs: Any) -> tuple[State, None]:
        body = functools.partial(_step, cell)
        return self._scan(body, params, state, cell.project(params, inputs), reverse=False), None

    def adjoints(self, cell: Cell, params: Params, before: State, inputs: Any, kept: Any, grad_states: State) -> State:
        del kept
        start = [jnp.zeros_like(s[0]) for s in floats(before)]
        xs = before, cell.project(params, inputs), floats(grad_states)
        return refill(grad_states, self._scan(functools.partial(_adjoint_step, cell), params, start, xs, reverse=True))

    def _scan(self, body: "Body", params: Params, carry: Any, xs: Any, reverse: bool) -> Any:
        from rnn_jax.engines import time_kernel  # importing Pallas takes a third of a second

        kernel = functools.partial(time_kernel.scan, body, reverse=reverse, interpret=self.interpret)
        loop = functools.partial(_loop, body, reverse)
        if self.interpret:
            # The interpreter does not take the grid that `jax.vmap` makes of a kernel's (jax 0.10.2).
            run = jax.custom_batching.sequential_vmap(kernel)
        else:
            run = functools.partial(jax.lax.platform_dependent, tpu=kernel, default=loop)
        return _differentiated_once(run)(params, carry, xs)


def _differentiated_once(run: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the function, which is a part of a gradient's program and refuses to be differentiated itself."""
    once = jax.custom_jvp(run)

    def refuse(*_: Any) -> NoReturn:
        raise TypeError("Fused: derivatives must be first ones, got a derivative of a gradient; use engine=Scan()")

    once.defjvp(refuse)
    return once


def _loop(body: "Body", reverse: bool, params: Params, carry: Any, xs: Any) -> Any:
    return jax.lax.scan(functools.partial(body, params), carry, xs, reverse=reverse)[1]


def _step(cell: Cell, params: Params, state: State, drive: Any) -> tuple[State, State]:
    state = cell.step(params, state, drive)
    return state, state


def _adjoint_step(cell: Cell, params: Params, later: list[jax.Array], x: Any) -> tuple[list[jax.Array], Any]:
    """Returns s_bar and lambda_t, from the s_bar of step t + 1 and (s_{t-1}, d_t, dL/ds_t)."""
    before, drive, grad_state = x
    adjoint = [s_bar + grad for s_bar, grad in zip(later, grad_state, strict=True)]

    def step(leaves: list[jax.Array]) -> list[jax.Array]:
        return floats(cell.step(params, refill(before, leaves), drive))

    return jax.vjp(step, floats(before))[1](adjoint)[0], adjoint


# What the kernel does not take.


def _refusal(cell: Cell, params: Params, state: State, inputs: Any) -> str:
    """Returns why a loop takes the place of the kernel; empty if none does."""
    axes = len(jax.tree.leaves(inputs)[0].shape) - 1  # [T, *batch]
    first = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), inputs)
    drive = jax.eval_shape(cell.project, params, first)
    for name, tree in (("parameters", params), ("state", state), ("drive", drive)):
        for leaf in jax.tree.leaves(tree):
            if leaf.dtype.name not in _TYPES:
                return f"its {name} must be of {', '.join(_TYPES)}, got {leaf.dtype}"
            if name != "parameters" and leaf.ndim > axes:
                return f"its {name} must be [*batch, features] in every leaf, got {list(leaf.shape)}"
    if (mesh.batch_parts(inputs) or 1) * mesh.size("model") * mesh.size("seeds") > 1:
        return "the program is split over the devices of a mesh; split it by jax.shard_map around the unroll"
    if decisions.mixes_sequences(cell, params, state, inputs):
        return "its step mixes the sequences of the batch"
    return ""


def _innermost(cell: Cell) -> str:
    return _innermost(cell.cell) if isinstance(cell, Wrapper) else type(cell).__name__


def _too_large(cell: Cell, params: Params, state: State, inputs: Any) -> str:
    """Returns why the kernel of the backward pass, the larger one, does not fit into VMEM; empty if it does."""
    from rnn_jax.engines import time_kernel

    drives = jax.eval_shape(cell.project, params, inputs)
    steps = len(jax.tree.leaves(inputs)[0])
    states = jax.tree.map(lambda s: jax.ShapeDtypeStruct((steps, *s.shape), s.dtype), state)
    xs = states, drives, floats(states)
    try:
        time_kernel.blocks(functools.partial(_adjoint_step, cell), params, floats(state), xs)
    except time_kernel.TooLarge as error:
        return f"{error}; the most that fits is about {error.most(cell.hidden_size)} units"
    return ""


@functools.cache
def _warn(message: str) -> None:
    """Logs a message once."""
    logging.getLogger(__name__).warning(message)


def _folding(batch: tuple[int, ...]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Returns functions of a state and of sequences: one makes all batch axes one axis, the other undoes it."""
    axes, rows = len(batch), math.prod(batch)

    def fold(state: State, sequences: Any) -> tuple[State, Any]:
        return (
            jax.tree.map(lambda s: jnp.reshape(s, (rows, *s.shape[axes:])), state),
            jax.tree.map(lambda x: jnp.reshape(x, (len(x), rows, *x.shape[1 + axes :])), sequences),
        )

    def unfold(state: State, sequences: Any) -> tuple[State, Any]:
        return (
            jax.tree.map(lambda s: jnp.reshape(s, (*batch, *s.shape[1:])), state),
            jax.tree.map(lambda x: jnp.reshape(x, (len(x), *batch, *x.shape[2:])), sequences),
        )

    return fold, unfold
