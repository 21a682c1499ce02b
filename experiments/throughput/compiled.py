"""What a layer would cost on a device that is not here: `--compile_for` compiles it for that device, and runs nothing.

The program is that of `layers`: a weighted sum of all outputs, and its gradients by parameters and inputs.
"""

import dataclasses
import datetime
import functools
import importlib.metadata
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

import rnn_jax
from experiments import peers
from experiments.common import tables
from experiments.common.figures import bar_panels
from experiments.common.tables import Record, Records, digits
from experiments.peers.programs import Layer
from experiments.throughput import part
from experiments.throughput.problem import Problem
from rnn_jax import bundles, engines, targets

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PEERS = ("linen", "nnx", "haiku")


def _cases(options: part.Options) -> Mapping[str, tuple[str, Problem, str]]:
    cases: dict[str, tuple[str, Problem, str]] = {}
    for problem in options.problems(options.dtype).values():
        names = options.engines or [name for name in engines.ENGINES if _is_allowed(name, problem.cell)]
        for target in options.compile_for or ():
            cases |= {f"{problem} {name} for {target}": (target, problem, name) for name in (*names, *PEERS)}
    return cases


def _is_allowed(engine: str, cell: rnn_jax.Cell) -> bool:
    """Returns whether an engine takes a kind of cell."""
    layer = _unrolled(engine, cell)
    try:
        jax.eval_shape(layer.apply, layer.params, jnp.zeros((1, 1, cell.input_size)))
    except (TypeError, ValueError):
        return False
    except RuntimeError:  # CuDNN, on a machine without a GPU: the table says so
        pass
    return True


def _unrolled(engine: str, cell: rnn_jax.Cell) -> Layer:
    params = jax.eval_shape(cell.init, jax.random.key(0))
    return Layer(lambda p, xs: rnn_jax.unroll(cell, p, xs, engine=engines.ENGINES[engine]())[1], params)


def _compile(layer: Layer, problem: Problem, steps: int, target: str) -> jax.stages.Compiled:
    arguments = layer.arguments(problem.batch, steps, problem.input_size, problem.dtype)
    return targets.compile_for(layer.loss_and_gradients, *arguments, target=target)


def _measure(_: part.Options, libraries: part.Contestants, case: tuple[str, Problem, str]) -> Records:
    target, problem, name = case
    record = {**problem.record(), "target": target, "contestant": name, "versions": _versions(target), "reason": None}
    try:
        layer = _layer(problem, name, libraries)
    except (KeyError, peers.Unsupported):
        return []  # not installed, or without a counterpart of the cell
    try:
        compiled = _compile(layer, problem, problem.steps, target)
        numbers = _numbers(compiled, problem.steps)
        if numbers["kernels"] and targets.TARGETS[target].platform == "tpu":
            numbers |= _with_kernels(numbers, problem, name, target)
        largest = _largest_steps(layer, problem, target, compiled)
    except Exception as error:  # the result is that it does not compile, and why
        return [record | {"reason": f"{type(error).__name__}: {error}".splitlines()[0]}]
    return [record | numbers | {"largest_steps": largest}]


def _layer(problem: Problem, name: str, libraries: part.Contestants) -> Layer:
    if name not in PEERS:
        cell = problem.cell if problem.dtype == "float32" else rnn_jax.MixedPrecision(problem.cell)
        return _unrolled(name, cell)
    # It does not depend on the sizes that are drawn here.
    layer = libraries[name](problem.cell, dataclasses.replace(problem, batch=1, steps=1).draw(0)).layer
    assert layer is not None
    return layer


def _versions(target: str) -> str:
    libtpu = targets.TARGETS[target].platform == "tpu"
    return f"jax {jax.__version__}" + (f", libtpu {importlib.metadata.version('libtpu')}" if libtpu else "")


def _numbers(compiled: jax.stages.Compiled, steps: int) -> Record:
    """Returns what the loops launch in a time step, in each direction, and what the whole program does."""
    found, total, memory = targets.loops(compiled), targets.total(compiled), targets.memory(compiled)
    numbers: Record = dict.fromkeys(targets.Cost._fields) if total is None else total._asdict()
    for direction, is_backward in (("forward", False), ("backward", True)):
        each = [loop for loop in found if loop.is_backward == is_backward]
        numbers[f"{direction}_ops"] = sum(loop.ops * loop.iterations for loop in each) / steps
        cycles = sum((loop.cycles or 0) * loop.iterations for loop in each) / steps
        numbers[f"{direction}_cycles"] = None if numbers["cycles"] is None else cycles
    return numbers | {f"{name}_bytes": value for name, value in memory._asdict().items()}


def _with_kernels(numbers: Record, problem: Problem, name: str, target: str) -> Record:
    """Returns the cycles with those of kernels, one iteration of whose loop is a time step."""
    counts = bundles.measure(_compile_named, problem, name, target)
    backward = sum(count for kernel, count in counts.items() if "reverse" in kernel)
    forward = sum(counts.values()) - backward
    added = {"forward_cycles": forward, "backward_cycles": backward, "cycles": problem.steps * (forward + backward)}
    return {field: (numbers[field] or 0) + count for field, count in added.items()}


def _compile_named(problem: Problem, name: str, target: str) -> jax.stages.Compiled:
    return _compile(_layer(problem, name, {}), problem, problem.steps, target)


def _largest_steps(layer: Layer, problem: Problem, target: str, compiled: jax.stages.Compiled) -> float:
    """Returns the T that fits in the device's memory: on the line through this T and a much larger one."""
    device, used = targets.TARGETS[target], sum(targets.memory(compiled))
    # So large that what stays on the chip hardly counts.
    on_chip = device.on_chip_bytes // (4 * problem.batch * (problem.input_size + problem.hidden_size))
    steps = max(4 * problem.steps, on_chip)
    try:
        larger = sum(targets.memory(_compile(layer, problem, steps, target)))
    except jax.errors.JaxRuntimeError:  # it does not fit
        return math.nan
    return problem.steps + (device.memory_bytes - used) * (steps - problem.steps) / (larger - used)


def _pair(field: str, record: Record, _: Records) -> str:
    forward, backward = (record.get(f"{direction}_{field}") for direction in ("forward", "backward"))
    return tables.MISSING if forward is None or backward is None else f"{digits(forward)} + {digits(backward)}"


def _findings(records: Records) -> list[str]:
    """Returns why programs do not compile, each reason once."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for r in records:
        if r["reason"]:
            title = f"{r['cell']} {r['shape']} for {r['target']}"
            reasons.setdefault((r["contestant"], r["reason"]), []).append(title)
    return [f"{name} does not compile, {', '.join(where)}: {reason}" for (name, reason), where in reasons.items()]


def _figure(records: Records) -> "Figure":
    """Draws bars of what a time step costs: a row for each cell, a column for each target, a group for each shape."""
    names = tables.values([record for record in records if not record["reason"]], "contestant")

    def panel(record: Record) -> tuple[str, str]:
        unit = "estimated cycles" if _field(record) == "cycles" else "launched operations"
        return f"{record['cell']}, {targets.TARGETS[record['target']].title}", f"{unit} / T"

    figure = bar_panels(
        [record for record in records if record["contestant"] in names],
        panel,
        "{shape}",
        "contestant",
        lambda record: (record.get(_field(record)) or math.nan) / record["steps"],
        "Forward and backward: the whole program over T; compiled, not run",
        len(tables.values(records, "target")),
    )
    figure.supxlabel("B x T x D x H")
    return figure


def _field(record: Record) -> str:
    return "cycles" if targets.TARGETS[record["target"]].platform == "tpu" else "ops"


COMPILED = part.Part(
    _cases,
    _measure,
    "{target}, B x T x D x H = {shape}: compiled, not run",
    {
        "cell": "cell",
        "program": "contestant",
        "ops/step": functools.partial(_pair, "ops"),
        "cycles/step": functools.partial(_pair, "cycles"),
        "Mcycles": ("cycles", 1e-6),
        "MB": ("temporary_bytes", 1e-6),
        "largest T": ("largest_steps", 1),
    },
    f"Compiled, not run: {datetime.date.today()}, {{versions}}. Forward and backward. ops, cycles: launched operations "
    "(kernels) and the compiler's estimate in the loops, forward + backward, a time step; Mcycles: of the whole "
    "program; a Pallas kernel's are the instruction bundles of its loop. MB: temporary memory outside the chip. "
    "largest T: that fits in the device's memory, on a line through two compilations. -: not known, or rejected for "
    "the reason below. haiku's RNN and GRU are other functions.",
    figure=_figure,
    findings=_findings,
)
