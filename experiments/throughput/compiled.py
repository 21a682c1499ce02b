"""What a layer would cost on a device that is not here: `--compile_for` compiles it for that device, and runs nothing.

The program is that of `layers`: a weighted sum of all outputs, and its gradients by parameters and inputs.
"""

import concurrent.futures
import contextlib
import dataclasses
import datetime
import importlib.metadata
import math
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from matplotlib.figure import Figure

import rnn_jax
from experiments import peers
from experiments.common import networks
from experiments.common.figures import grouped_bars
from experiments.common.flags import UserError, setting
from experiments.throughput import part
from experiments.throughput.problem import CELLS, Problem
from rnn_jax import bundles, engines, plotting, targets

PEERS = ("linen", "nnx", "haiku")
Layer = tuple[Callable[..., Any], Any, bool]  # function of (params, xs), shapes of params, whether batch first


@dataclasses.dataclass(frozen=True)
class Options(part.Options):
    """Flags of all parts, and of this one."""

    compile_for: tuple[str, ...] | None = setting(
        None,
        f"Comma list of {', '.join(targets.TARGETS)}: compiles for devices that are not here; times nothing.",
        choices=tuple(targets.TARGETS),
        replaces="parts",
    )
    engines: tuple[str, ...] | None = setting(
        None,
        f"Comma list of {', '.join(engines.ENGINES)}, for --compile_for; by default all that take the cell.",
        choices=tuple(engines.ENGINES),
    )

    def check(self) -> None:
        """Checks what can be checked before anything is written.

        Raises:
          UserError: if a shape or cell is none, or the compiler for a device is not installed.
        """
        unknown = [name for name in self.cells if name not in CELLS]
        if unknown and not self.compile_for:
            raise UserError(f"--cells: unknown {unknown[0]!r}: known are {', '.join(CELLS)}")
        with contextlib.suppress(RuntimeError):  # JAX has started already
            if self.compile_for:
                jax.config.update("jax_platforms", "cpu")  # it need not search for the devices
        for problem in self.problems(self.dtype).values():
            networks.probe(f"--cells: {problem.cell_name!r}", problem.cell.init)
        for target in self.compile_for or ():
            try:
                targets.find(target)
            except ImportError as error:
                raise UserError(f"--compile_for: {error}") from error


def _cases(options: Options) -> Mapping[str, tuple[str, Problem, str]]:
    cases: dict[str, tuple[str, Problem, str]] = {}
    for problem in options.problems(options.dtype).values():
        names = options.engines or [name for name in engines.ENGINES if _is_allowed(name, problem.cell)]
        for target in options.compile_for or ():
            cases |= {f"{problem} {name} for {target}": (target, problem, name) for name in (*names, *PEERS)}
    return cases


def _is_allowed(engine: str, cell: rnn_jax.Cell) -> bool:
    """Returns whether an engine takes a kind of cell."""
    try:
        _shapes(_unrolled(engine, cell), 1, 1, cell, "float32")
    except (TypeError, ValueError):
        return False
    except RuntimeError:  # CuDNN, on a machine without a GPU: the table says so
        pass
    return True


def _unrolled(engine: str, cell: rnn_jax.Cell) -> Layer:
    params = jax.eval_shape(cell.init, jax.random.key(0))
    return lambda p, xs: rnn_jax.unroll(cell, p, xs, engine=engines.ENGINES[engine]())[1], params, False


def _shapes(layer: Layer, batch: int, steps: int, cell: rnn_jax.Cell, dtype: str) -> tuple[Any, Any, Any]:
    """Returns the shapes of a layer's parameters, inputs and outputs."""
    apply, params, batch_first = layer
    leading = (batch, steps) if batch_first else (steps, batch)
    xs = jax.ShapeDtypeStruct((*leading, cell.input_size), dtype)
    return params, xs, jax.eval_shape(apply, params, xs)


def _compile(layer: Layer, problem: Problem, steps: int, target: str) -> jax.stages.Compiled:
    def loss(params: Any, xs: jax.Array, loss_weights: jax.Array) -> jax.Array:
        products = jax.tree.map(jnp.multiply, layer[0](params, xs), loss_weights)
        return sum(map(jnp.sum, jax.tree.leaves(products)), jnp.zeros(()))

    shapes = _shapes(layer, problem.batch, steps, problem.cell, problem.dtype)
    return targets.compile_for(jax.value_and_grad(loss, argnums=(0, 1)), *shapes, target=target)


def _measure(_: Options, libraries: part.Contestants, case: tuple[str, Problem, str]) -> part.Records:
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


def _numbers(compiled: jax.stages.Compiled, steps: int) -> part.Record:
    """Returns what the loops launch in a time step, in each direction, and what the whole program does."""
    found, total, memory = targets.loops(compiled), targets.total(compiled), targets.memory(compiled)
    numbers: part.Record = dict.fromkeys(targets.Cost._fields) if total is None else total._asdict()
    for direction, is_backward in (("forward", False), ("backward", True)):
        each = [loop for loop in found if loop.is_backward == is_backward]
        numbers[f"{direction}_ops"] = sum(loop.ops * loop.iterations for loop in each) / steps
        cycles = sum((loop.cycles or 0) * loop.iterations for loop in each) / steps
        numbers[f"{direction}_cycles"] = None if numbers["cycles"] is None else cycles
    return numbers | {f"{name}_bytes": value for name, value in memory._asdict().items()}


def _with_kernels(numbers: part.Record, problem: Problem, name: str, target: str) -> part.Record:
    """Returns the cycles with those of kernels, one iteration of whose loop is a time step."""
    precision = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]  # as JAX documents
    # In a new process, because it takes a flag of the compiler's start, and several times as long.
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        counts = pool.submit(_bundles, problem, name, target, precision).result()
    backward = sum(count for kernel, count in counts.items() if "reverse" in kernel)
    forward = sum(counts.values()) - backward
    added = {"forward_cycles": forward, "backward_cycles": backward, "cycles": problem.steps * (forward + backward)}
    return {field: (numbers[field] or 0) + count for field, count in added.items()}


def _bundles(problem: Problem, name: str, target: str, precision: str) -> dict[str, int]:
    """Compiles again, with the programs of the kernels written down; returns the bundles of each one's loop."""
    bundles.record()
    jax.config.update("jax_platforms", "cpu")
    with jax.default_matmul_precision(precision):
        return bundles.of(_compile(_layer(problem, name, {}), problem, problem.steps, target))


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


def _pair(field: str) -> Callable[[part.Record, Sequence[part.Record]], str]:
    def text(record: part.Record, _: Sequence[part.Record]) -> str:
        forward, backward = (record.get(f"{direction}_{field}") for direction in ("forward", "backward"))
        return "-" if forward is None or backward is None else f"{part.digits(forward)} + {part.digits(backward)}"

    return text


def _text(field: str, scale: float) -> Callable[[part.Record, Sequence[part.Record]], str]:
    def text(record: part.Record, _: Sequence[part.Record]) -> str:
        value = record.get(field)
        return "-" if value is None else part.digits(float(f"{value * scale:.3g}"))  # 349,520 is 350,000

    return text


def _findings(records: Sequence[part.Record]) -> list[str]:
    """Returns why programs do not compile, each reason once."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for r in records:
        if r["reason"]:
            title = f"{r['cell']} {r['shape']} for {r['target']}"
            reasons.setdefault((r["contestant"], r["reason"]), []).append(title)
    return [f"{name} does not compile, {', '.join(where)}: {reason}" for (name, reason), where in reasons.items()]


def _figure(records: Sequence[part.Record]) -> Figure:
    """Draws bars of what a time step costs: a row for each cell, a column for each target, a group for each shape."""
    cells, shown = part.values(records, "cell"), part.values(records, "target")
    figure = plotting.figure((1.5 + 6 * len(shown), 3.2 * len(cells)))
    axes = figure.subplots(len(cells), len(shown), squeeze=False)
    names = part.values([r for r in records if not r["reason"]], "contestant")
    for row, cell in zip(axes, cells, strict=True):
        for axis, target in zip(row, shown, strict=True):
            panel = part.select(records, cell=cell, target=target)
            shapes = part.values(panel, "shape")
            field = "cycles" if targets.TARGETS[target].platform == "tpu" else "ops"
            heights = {(r["contestant"], r["shape"]): (r.get(field) or math.nan) / r["steps"] for r in panel}
            bars = {name: [heights.get((name, shape), math.nan) for shape in shapes] for name in names}
            grouped_bars(axis, shapes, bars)
            unit = {"cycles": "estimated cycles", "ops": "launched operations"}[field]
            axis.set(title=f"{cell}, {targets.TARGETS[target].title}", ylabel=f"{unit} / T")
    for axis in axes[-1]:
        axis.set_xlabel("B x T x D x H")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    figure.suptitle("Forward and backward: the whole program over T; compiled, not run")
    return figure


COMPILED = part.Part(
    _cases,
    _measure,
    "{target}, B x T x D x H = {shape}: compiled, not run",
    {
        "cell": "cell",
        "program": "contestant",
        "ops/step": _pair("ops"),
        "cycles/step": _pair("cycles"),
        "Mcycles": _text("cycles", 1e-6),
        "MB": _text("temporary_bytes", 1e-6),
        "largest T": _text("largest_steps", 1),
    },
    f"Compiled, not run: {datetime.date.today()}, {{versions}}. Forward and backward. ops, cycles: launched operations "
    "(kernels) and the compiler's estimate in the loops, forward + backward, a time step; Mcycles: of the whole "
    "program; a Pallas kernel's are the instruction bundles of its loop. MB: temporary memory outside the chip. "
    "largest T: that fits in the device's memory, on a line through two compilations. -: not known, or rejected for "
    "the reason below. haiku's RNN and GRU are other functions.",
    figure=_figure,
    findings=_findings,
)
