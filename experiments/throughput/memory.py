"""Temporary memory of a gradient over T: of each engine, and of truncated backpropagation through time.

The gradient of a loss on the final state with respect to the parameters. Counted is what the program needs besides its
results and its arguments, of which the inputs are the largest: 4 T B D bytes in every row.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

import rnn_jax
from experiments.common import figures
from experiments.common.tables import Records
from experiments.throughput import part
from rnn_jax import targets

STEPS = (100, 400, 1600, 6400)
BATCH, LSTM = 32, rnn_jax.LSTM(16, 64)
SEGMENT_LENGTH = 100  # of truncated backpropagation
LEARNING_RATE = 1e-3

TRUNCATED = f"truncated, {SEGMENT_LENGTH} steps"
WAYS: dict[str, tuple[rnn_jax.Cell, rnn_jax.engines.Engine]] = {
    "Scan": (LSTM, rnn_jax.Scan()),
    "Hoisted": (LSTM, rnn_jax.Hoisted()),
    "Checkpointed": (LSTM, rnn_jax.Checkpointed()),
    "Checkpointed, recursive": (LSTM, rnn_jax.Checkpointed(recursive=True)),
    "Associative, minLSTM": (rnn_jax.MinLSTM(16, 64), rnn_jax.Associative()),
    TRUNCATED: (LSTM, rnn_jax.Scan()),
}


def _measure(_: part.Options, __: part.Contestants, case: tuple[str, int]) -> Records:
    way, steps = case
    cell = WAYS[way][0]
    record = {"way": way, "cell": type(cell).__name__, "steps": steps, "batch": BATCH}
    record |= {"input_size": cell.input_size, "hidden_size": cell.hidden_size}
    memory = targets.memory(compiled(way, steps))
    return [record | {"argument_bytes": memory.arguments, "temporary_bytes": memory.temporary}]


def compiled(way: str, steps: int) -> jax.stages.Compiled:
    """Returns a way's program compiled for T steps."""
    cell, _ = WAYS[way]
    xs = jax.ShapeDtypeStruct((steps, BATCH, cell.input_size), jnp.float32)
    return jax.jit(program(way)).lower(jax.eval_shape(cell.init, jax.random.key(0)), xs).compile()


def program(way: str) -> Callable[..., Any]:
    """Returns a function of (params, xs): the gradient, or with truncated backpropagation (new params, final state)."""
    cell, engine = WAYS[way]

    def loss(params: Any, state: Any, xs: jax.Array) -> tuple[jax.Array, Any]:
        final, _ = rnn_jax.unroll(cell, params, xs, state, engine=engine)
        return jax.tree.reduce(jnp.add, jax.tree.map(jnp.sum, final)), final

    if way != TRUNCATED:
        return lambda params, xs: jax.grad(lambda p: loss(p, None, xs)[0])(params)

    def one_segment(carry: Any, xs: jax.Array) -> Any:
        params, state = carry
        gradients, final = jax.grad(loss, has_aux=True)(params, state, xs)
        params = jax.tree.map(lambda p, g: p - LEARNING_RATE * g, params, gradients)
        return (params, final), None  # no gradient goes back through `final`: its segment's is already computed

    def truncated(params: Any, xs: jax.Array) -> Any:
        segments = jnp.reshape(xs, (-1, SEGMENT_LENGTH, *xs.shape[1:]))
        return jax.lax.scan(one_segment, (params, cell.initial_state(params, (BATCH,))), segments)[0]

    return truncated


MEMORY = part.Part(
    lambda options: {f"{way}, T = {n}": (way, n) for way in WAYS for n in options.lengths(STEPS)},
    _measure,
    "temporary memory of a gradient, MB: B = {batch}, D = {input_size}, H = {hidden_size}",
    {"": "way", "T={}": ("temporary_bytes", 1e-6)},
    "Gradient of a loss on the final state with respect to the parameters; memory of the compiled program besides "
    "arguments (inputs) and results. LSTM, except minLSTM. truncated: one gradient step per segment, the state carried "
    "on.",
    by="steps",
    figure=figures.curves(
        "way", ["steps"], "temporary_bytes", "Gradient of a loss on the final state", "temporary memory (MB)", 1e-6
    ),
)
