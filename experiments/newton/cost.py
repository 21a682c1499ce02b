"""What a gradient costs by each engine: time and memory on this machine; launches, one after another, on others."""

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from experiments.common import timing
from experiments.common.tables import Record
from experiments.newton.config import Config, Plan
from rnn_jax import GRU, Associative, Cell, Hoisted, MinGRU, Newton, Scan, diagnostics, targets, tasks, unroll
from rnn_jax.engines import Engine

ROUNDS, SECONDS = 3, 2.0
WIDE = (8, 32)  # sequences and units of the shape that has more work in a step
MOST = 1000  # T of that shape

WAYS: dict[str, tuple[type[Cell], Engine]] = {
    "Scan": (GRU, Scan()),
    "Hoisted": (GRU, Hoisted()),
    "Newton": (GRU, Newton()),
    "Associative (minGRU)": (MinGRU, Associative()),
}


def gradient(cell: Cell, engine: Engine) -> Callable[[Any, jax.Array], Any]:
    """Returns the gradient of a loss on all outputs by the parameters, as a function of (params, xs)."""
    return jax.grad(lambda params, xs: jnp.mean(unroll(cell, params, xs, engine=engine)[1] ** 2))


def _arguments(cell: Cell, length: int, batch: int, seed: int) -> tuple[Any, jax.Array]:
    return cell.init(jax.random.key(seed)), tasks.Adding(length).sample(jax.random.key(seed), batch).inputs


def time_engines(config: Config, plan: Plan) -> list[Record]:
    """Returns time and temporary memory of every engine on this machine, for every T of two shapes."""
    records = []
    shapes = [(1, config.hidden_size, n) for n in plan.lengths] + [(*WIDE, n) for n in plan.lengths if n <= MOST]
    for batch, units, length in shapes:
        calls, memory = {}, {}
        for name, (make, engine) in WAYS.items():
            cell = make(2, units)
            arguments = _arguments(cell, length, batch, config.seed)
            compiled = jax.jit(gradient(cell, engine)).lower(*arguments).compile()
            memory[name] = targets.memory(compiled).temporary
            calls[name] = lambda call=compiled, given=arguments: jax.block_until_ready(call(*given))
        for name, times in timing.compare(calls, ROUNDS, SECONDS).items():
            shape = {"batch": batch, "length": length, "hidden_size": units, "temporary_bytes": memory[name]}
            run = f"time/{name}/{batch}x{length}x{units}"
            records.append({"run": run, "seed": 0, "engine": name, **shape, **times})
    return records


def count_launches(config: Config, plan: Plan, report: Callable[[str], None]) -> list[Record]:
    """Returns what each engine launches one after another for one sequence; compiled for each target, not run.

    A target whose compiler is not installed is reported, and left out.
    """
    records = []
    for target in config.compile_for or ():
        try:
            targets.find(target)
        except ImportError as error:
            report(f"launches are not counted for {target}: {error}")
            continue
        for length, (name, (make, engine)) in itertools.product(plan.lengths, WAYS.items()):
            cell = make(2, config.hidden_size)
            arguments = _arguments(cell, length, 1, config.seed)
            compiled = targets.compile_for(gradient(cell, engine), *arguments, target=target)
            iterations = None
            if isinstance(engine, Newton):
                # The first loop is that over iterations; the other one runs steps if they do not converge.
                count = int(diagnostics.newton_iterations(cell, *arguments).iterations)
                iterations = [count, *(0 for _ in targets.loops(compiled)[1:])]
            cost, memory = targets.total(compiled, iterations), targets.memory(compiled).temporary
            assert cost is not None
            record = {"run": f"launches/{target}/{name}/T {length}", "seed": 0, "engine": name, "target": target}
            shape = {"length": length, "hidden_size": config.hidden_size, "temporary_bytes": memory}
            records.append({**record, **shape, "launches": cost.ops, "cycles": cost.cycles})
    return records
