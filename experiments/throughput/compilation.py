"""Time from a layer to its first gradient in every library: JAX traces, lowers and compiles; PyTorch runs at once."""

import collections
import time

import jax

from experiments.common import timing
from experiments.common.tables import Records, digits, select
from experiments.peers.programs import Prepare
from experiments.throughput import part
from experiments.throughput.contestants import DEFAULT, ENGINES, REFERENCE
from experiments.throughput.problem import Problem

BATCH, STEPS, SIZE = 32, 100, 64
LINEN = "linen"  # the others' times are multiples of its time


def _measure(options: part.Options, libraries: part.Contestants, problem: Problem) -> Records:
    compared = {**ENGINES, **libraries}
    times: dict[tuple[str, str], list[float]] = collections.defaultdict(list)
    for repeat in range(options.repeats):
        for name in timing.round_order(list(compared), repeat):
            for stage, duration in seconds(compared[name], problem, options.seed).items():
                times[name, stage].append(duration)
    return [
        {**problem.record(), "contestant": name, "stage": stage, **timing.statistics(each)}
        for (name, stage), each in times.items()
    ]


def seconds(prepare: Prepare, problem: Problem, seed: int) -> dict[str, float]:
    """Returns the time of each stage, with nothing cached, and their sum: to the first gradient but for running it."""
    data = problem.draw(seed)
    programs = prepare(problem.cell, data)
    if programs.layer is None:  # nothing is compiled
        start = time.perf_counter()
        programs.forward_backward()
        return {"total": time.perf_counter() - start}
    arguments = programs.layer.arguments(problem.batch, problem.steps, problem.input_size, problem.dtype)
    jax.clear_caches()
    start = time.perf_counter()
    lowered = jax.jit(programs.layer.loss_and_gradients).lower(*arguments)
    middle = time.perf_counter()
    lowered.compile()
    end = time.perf_counter()
    return {"lower": middle - start, "compile": end - middle, "total": end - start}


def _ratio(record: dict, records: Records) -> str:
    return digits(part.ratio(record, records, "cell", "stage", contestant=LINEN))


COMPILATION = part.Part(
    lambda options: {f"{cell}": Problem(cell, BATCH, STEPS, SIZE, SIZE) for cell in options.cells},
    _measure,
    "time to compile forward and backward: B x T x D x H = {shape}",
    {"cell": "cell", "library": "contestant", "{}, s": ("median_ms", 1e-3), f"total / {LINEN}'s": _ratio},
    f"lower: trace and lower. Nothing is cached. {REFERENCE} compiles nothing: its first call.",
    by="stage",
    findings=lambda records: part.finding(
        f"compilation, {DEFAULT} against {LINEN}", select(records, stage="total"), [LINEN], "cell"
    ),
)
