"""How time, memory and compile time grow with T, B, H, layers and seeds: forward and backward of an LSTM.

A quantity that grows as size^p has the slope p. The mathematics asks for 1, and over H for 2 in time, as a product has
H^2 terms. A larger slope would be a fault; a smaller one is work that does not grow.
"""

import dataclasses
import functools
import math
import statistics
import time
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

import rnn_jax
from experiments.common import figures, timing
from experiments.common.tables import Record, Records, digits, select, values
from experiments.throughput import part
from rnn_jax import plotting, targets
from rnn_jax.seeds import over_seeds, place

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MULTIPLES = (1, 2, 4, 8, 16)
COMPILATIONS = 3  # at most, of each program
TIME, MEMORY, COMPILATION = "time (ms)", "temporary memory (MB)", "compile time (s)"


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Sizes of a program; by default those of the smallest one, as D = H."""

    T: int = 100
    B: int = 16
    H: int = 32
    layers: int = 1
    seeds: int = 1


OVER = {field.name: field.name for field in dataclasses.fields(Sizes)} | {"seeds by vmap": "seeds"}


def _program(over: str, sizes: Sizes, seed: int) -> tuple[Any, Any]:
    """Returns the compiled gradient of all seeds, not traced yet, and its argument."""
    cell = rnn_jax.Stack((rnn_jax.LSTM(sizes.H, sizes.H),) * sizes.layers)

    def loss(params: Any, xs: jax.Array) -> jax.Array:
        return jnp.sum(rnn_jax.unroll(cell, params, xs)[1])

    def gradient(one_seed: Any) -> Any:
        return jax.grad(loss, argnums=(0, 1))(*one_seed)

    keys = jax.random.split(jax.random.key(seed), sizes.seeds)
    xs = jax.vmap(lambda key: jax.random.normal(key, (sizes.T, sizes.B, sizes.H)))(keys)
    all_seeds = jax.vmap(cell.init)(keys), xs
    if over == "seeds by vmap":
        return jax.jit(jax.vmap(gradient)), all_seeds
    return jax.jit(lambda per_seed: over_seeds(gradient, per_seed)), place(all_seeds)


def _measure(options: part.Options, __: part.Contestants, over: str) -> Records:
    smallest, field = Sizes(), OVER[over]
    multiples = [multiple for multiple in MULTIPLES if multiple * smallest.T <= options.longest]
    calls: dict[int, timing.Call] = {}
    records: Records = []

    def add(quantity: str, multiple: int, value: float, **fields: Any) -> None:
        size = multiple * getattr(smallest, field)
        records.append(
            {"over": over, "size": size, "multiple": multiple, "quantity": quantity, "value": value} | fields
        )

    for multiple in multiples:
        sizes = dataclasses.replace(smallest, **{field: multiple * getattr(smallest, field)})
        program, argument = _program(over, sizes, options.seed)
        seconds = []
        for _ in range(min(COMPILATIONS, options.repeats)):
            jax.clear_caches()
            start = time.perf_counter()
            compiled = program.lower(argument).compile()
            seconds.append(time.perf_counter() - start)
        add(MEMORY, multiple, targets.memory(compiled).temporary / 1e6)
        add(COMPILATION, multiple, statistics.median(seconds))
        calls[multiple] = functools.partial(_run, compiled, argument)
    for multiple, times in timing.compare(calls, options.repeats, options.seconds).items():
        add(TIME, multiple, times["median_ms"], **times)
    return records


def _run(compiled: jax.stages.Compiled, argument: Any) -> None:
    jax.block_until_ready(compiled(argument))


def slope(records: Records) -> float:
    """Returns the power with which a quantity grows from the smallest size to the largest; NaN for one size."""
    first, last = records[0], records[-1]
    if first is last:
        return math.nan
    return math.log(last["value"] / first["value"]) / math.log(last["multiple"] / first["multiple"])


def _slope(record: Record, records: Records) -> str:
    return digits(slope(select(records, over=record["over"], quantity=record["quantity"])))


def _figure(records: Records) -> "Figure":
    """Draws a panel for each quantity, a line for what grows."""
    quantities = values(records, "quantity")
    figure = plotting.figure((1 + 5 * len(quantities), 4.8))
    for axis, quantity in zip(figure.subplots(1, len(quantities)), quantities, strict=True):
        figures.lines(axis, select(records, quantity=quantity), "over", "multiple", "value")
        axis.set(xlabel="size, as a multiple of the smallest", ylabel=quantity)
    axis.legend(frameon=False)
    figure.suptitle("Forward and backward of an LSTM, as one of its sizes grows")
    return figure


GROWTH = part.Part(
    lambda _: {f"over {over}": over for over in OVER},
    _measure,
    "growth: {quantity}",
    {"over": "over", "x {}": ("value", 1), "slope": _slope},
    "LSTM, forward and backward; "
    + ", ".join(f"{name} = {value}" for name, value in dataclasses.asdict(Sizes()).items())
    + " at x 1, D = H. slope: p of a growth as size^p. seeds: one after the other, as the trainer runs them.",
    by="multiple",
    figure=_figure,
)
