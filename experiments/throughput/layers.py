"""One layer, forward and forward and backward, in every library, with the same weights and inputs; and the same over T.

Outputs and gradients with respect to the inputs are first compared with those of `Scan`: only equal functions are
timed.
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.common import timing
from experiments.common.figures import grouped_bars
from experiments.throughput import part, peers
from experiments.throughput.part import Options, Record
from experiments.throughput.peers import DEFAULT, REFERENCE, SCAN, Contestant, Programs
from experiments.throughput.problem import Problem, Shape
from rnn_jax import Cell, Scan, plotting

MODES = ("forward", "forward_backward")
# Largest difference, over the largest value, that rounding explains; in float32 the differences are about 1e-6.
TOLERANCES = {"float32": 2e-5, "bfloat16": 0.1}
STEPS = (100, 316, 1000, 3162, 10_000)  # T of `lengths`
LENGTH_PEERS = ("torch", "linen")


def compare(
    options: Options, contestants: Sequence[Contestant], modes: Sequence[str], problem: Problem
) -> list[Record]:
    """Checks that the contestants compute the same on a problem, then times them.

    Raises:
      RuntimeError: if one computes something else.
    """
    data = problem.draw(options.seed)
    references: dict[Cell, Programs] = {}
    programs: dict[str, Programs] = {}
    checks: dict[str, Record] = {}
    for each in contestants:
        cell, params = each.function(problem, data)
        if cell not in references:
            references[cell] = peers.cell_programs(cell, params, data, engine=Scan())
        programs[each.name] = each.prepare(problem, data)
        checks[each.name] = {
            "contestant": each.name,
            "same_function": cell == problem.cell,
            "function": type(cell).__name__,
            **differences(each.name, problem, programs[each.name], references[cell]),
        }
    records = []
    for mode in modes:
        calls = {name: getattr(program, mode) for name, program in programs.items()}
        statistics = timing.compare(calls, options.repeats, options.seconds)
        records += [{**problem.record(), "mode": mode, **checks[name], **statistics[name]} for name in programs]
    return records


def differences(name: str, problem: Problem, programs: Programs, reference: Programs) -> dict[str, Any]:
    """Returns the largest difference over the reference's largest value, of outputs and of gradients of the inputs.

    Raises:
      RuntimeError: if one is more than rounding.
    """
    result = {}
    for what in ("outputs", "input_gradients"):
        actual, expected = getattr(programs, what)(), getattr(reference, what)()
        difference = float(np.max(np.abs(actual - expected)) / np.max(np.abs(expected)))
        if not difference <= TOLERANCES[problem.dtype]:  # also if it is NaN
            raise RuntimeError(
                f"{name} computes something else for {problem.cell_name} {problem.shape} {problem.dtype}: "
                f"{what} differ from Scan's by {difference:.1e} of the largest, more than {TOLERANCES[problem.dtype]}"
            )
        result[f"{what}_difference"] = difference
    return result


def _reference(records: Sequence[Record]) -> str:
    """Returns the contestant whose time is 1: PyTorch, or `Scan` if PyTorch did not take part."""
    names = part.values(records, "contestant")
    return REFERENCE if REFERENCE in names else SCAN.name


def _ratio(record: Record, records: Sequence[Record]) -> float:
    return part.ratio(record, records, "mode", "cell", "shape", contestant=_reference(records))


def _text(record: Record, records: Sequence[Record]) -> str:
    if record["contestant"] == _reference(records):
        return f"{part.digits(record['median_ms'])} ms"
    return part.digits(_ratio(record, records)) + "*" * (not record["same_function"])


def _findings(records: Sequence[Record]) -> list[str]:
    sentences, reference = [], _reference(records)
    for mode in part.values(records, "mode"):
        for title, others in {reference: [reference], "the fastest other JAX library": peers.JAX_LIBRARIES}.items():
            subject = f"{mode}, {DEFAULT.name} against {title}"
            sentences += part.finding(subject, part.select(records, mode=mode), others, "cell", "shape")
    return sentences


def _figure(records: Sequence[Record]) -> Figure:
    """Draws bars of forward and backward time over the reference's: a panel for each cell, a group for each shape."""
    reference, cells = _reference(records), part.values(records, "cell")
    figure = plotting.figure((11, 3.2 * len(cells)))
    axes = figure.subplots(len(cells), 1, squeeze=False)[:, 0]
    for axis, cell in zip(axes, cells, strict=True):
        panel = part.select(records, mode="forward_backward", cell=cell)
        names = [name for name in part.values(panel, "contestant") if name != reference]
        bars = {name: [_ratio(r, panel) for r in part.select(panel, contestant=name)] for name in names}
        grouped_bars(axis, part.values(panel, "shape"), bars)
        axis.axhline(1, color="black", lw=1)
        axis.set(title=cell, ylabel=f"time / {reference}'s")
    axes[-1].set_xlabel("B x T x D x H")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    figure.suptitle(f"Forward and backward: median time as a multiple of {reference}'s (line), less is faster")
    return figure


def _layer_jobs(options: Options, libraries: Sequence[Contestant]) -> part.Jobs:
    problems = [Problem(cell, shape, options.dtype) for shape in options.problem_shapes() for cell in options.cells]
    run = functools.partial(compare, options, [DEFAULT, SCAN, *libraries], MODES)
    return {f"{problem.cell_name} {problem.shape}": functools.partial(run, problem) for problem in problems}


def _length_jobs(options: Options, libraries: Sequence[Contestant]) -> part.Jobs:
    contestants = [DEFAULT, SCAN, peers.CHECKPOINTED, *(each for each in libraries if each.name in LENGTH_PEERS)]
    shapes = [Shape(batch=16, steps=steps, input_size=64, hidden_size=64) for steps in options.lengths(*STEPS)]
    run = functools.partial(compare, options, contestants, MODES[1:])
    return {f"T = {shape.steps}": functools.partial(run, Problem("lstm", shape, options.dtype)) for shape in shapes}


LAYERS = part.Part(
    "layers",
    _layer_jobs,
    "{mode}",
    {"cell": "cell", "BxTxDxH": "shape", "{}": _text},
    f"One time in ms, the others as multiples of it: less is faster. {DEFAULT.name}: unroll with its default engine; "
    "Scan: the plain one. Same weights, inputs and loss; outputs equal within {outputs_difference:.0e} of the largest, "
    "gradients of the inputs within {input_gradients_difference:.0e}. * another function (haiku: ReLU for tanh, the "
    "GRU's reset before the product), checked against that function.",
    by="contestant",
    figure=_figure,
    findings=_findings,
)
SWEEP = "over T: LSTM, B = {batch}, D = {input_size}, H = {hidden_size}, forward and backward"
LENGTHS = part.Part(
    "lengths",
    _length_jobs,
    SWEEP,
    {"T": "steps", "{}": _text},
    "One time in ms, the others as multiples of it.",
    by="contestant",
    figure=part.curves("contestant", ["steps"], "median_ms", SWEEP, "median time (ms)"),
)
