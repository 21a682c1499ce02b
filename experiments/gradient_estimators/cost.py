"""What a gradient costs over T: time, and memory beside the inputs."""

import concurrent.futures
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from experiments.common import timing
from experiments.gradient_estimators.config import Config, Problem
from rnn_jax import machine
from rnn_jax.gradients import Estimator

BATCH = 8
ROUNDS, SECONDS = 3, 1.0


@dataclasses.dataclass(frozen=True)
class Cost:
    """Of one gradient of a sum over steps of squared outputs."""

    cell_name: str
    estimator: str
    steps: int
    milliseconds: float  # median
    temporary_bytes: int  # beside inputs and results, as the compiler has planned


def measure(problem: Problem, config: Config, steps: int) -> list[Cost]:
    """All estimators of a problem's cell at one length, in turn. Nothing else should run beside it."""
    programs = {name: _lower(problem, e, steps) for name, e in problem.estimators(config).items()}
    with concurrent.futures.ThreadPoolExecutor(machine.cores()) as pool:
        compiled = dict(zip(programs, pool.map(lambda lowered: lowered.compile(), programs.values()), strict=True))
    key = jax.random.key(config.seed)
    params, xs = problem.model.init(key), jax.random.normal(key, (steps, BATCH, problem.task.input_size))

    def call(name: str) -> timing.Call:
        return lambda: jax.block_until_ready(compiled[name](params, xs, key))

    times = timing.interleave({name: call(name) for name in compiled}, ROUNDS, SECONDS)
    return [
        Cost(
            problem.cell_name,
            name,
            steps,
            timing.statistics(times[name])["median_ms"],
            program.memory_analysis().temp_size_in_bytes,
        )
        for name, program in compiled.items()
    ]


def _lower(problem: Problem, estimator: Estimator, steps: int) -> Any:
    cell = problem.model.cell

    def loss(readout: Any, hs: jax.Array, targets: jax.Array) -> jax.Array:
        return jnp.sum(hs[..., 0] ** 2)

    def gradient(params: Any, xs: jax.Array, key: jax.Array) -> Any:
        carry = estimator.init(cell, params, xs, key=key)
        return estimator(cell, loss, params, carry, xs, xs).gradient.cell

    key = jax.eval_shape(lambda: jax.random.key(0))
    xs = jax.ShapeDtypeStruct((steps, BATCH, problem.task.input_size), jnp.float32)
    return jax.jit(gradient).lower(jax.eval_shape(problem.model.init, key), xs, key)
