"""One layer, forward and forward and backward, in every library, with the same weights and inputs; and the same over T.

Outputs and gradients with respect to the inputs are first compared with those of `Scan`: only equal functions are
timed.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.common import timing
from experiments.common.figures import grouped_bars
from experiments.common.numbers import number
from experiments.common.run_folder import Table
from experiments.throughput import part
from experiments.throughput.part import Options, Record
from experiments.throughput.peers import JAX_LIBRARIES, REFERENCE, contestant
from experiments.throughput.peers.contestant import DEFAULT, SCAN, Contestant, Programs
from experiments.throughput.problem import Problem, Shape
from rnn_jax import Cell, Scan, plotting

MODES = ("forward", "forward_backward")
# Largest difference, over the largest value, that rounding explains; in float32 the differences are about 1e-6.
TOLERANCES = {"float32": 2e-5, "bfloat16": 0.1}
STEPS = (100, 316, 1000, 3162, 10_000)  # T of `lengths`
LENGTH_PEERS = ("torch", "linen")
PLACE = ("mode", "cell", "shape")  # in which a record and its reference are equal
SWEEP = "over T: LSTM, B = {batch}, D = {input_size}, H = {hidden_size}, forward and backward"


def _layer_jobs(options: Options, peers: Sequence[Contestant]) -> part.Jobs:
    problems = [Problem(cell, shape, options.dtype) for shape in options.problem_shapes() for cell in options.cells]
    run = functools.partial(compare, options, [DEFAULT, SCAN, *peers], MODES)
    return {f"{problem.cell_name} {problem.shape}": functools.partial(run, problem) for problem in problems}


def _length_jobs(options: Options, peers: Sequence[Contestant]) -> part.Jobs:
    contestants = [DEFAULT, SCAN, contestant.CHECKPOINTED, *(peer for peer in peers if peer.name in LENGTH_PEERS)]
    shapes = [Shape(batch=16, steps=steps, input_size=64, hidden_size=64) for steps in options.lengths(*STEPS)]
    run = functools.partial(compare, options, contestants, MODES[1:])
    return {f"T = {shape.steps}": functools.partial(run, Problem("lstm", shape, options.dtype)) for shape in shapes}


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
            references[cell] = contestant.cell_programs(cell, params, data, engine=Scan())
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
    names = part.values(records, "contestant")
    return REFERENCE if REFERENCE in names else SCAN.name


def _text(records: Sequence[Record]) -> Callable[[Record], str]:
    """Returns a function that formats a record of the reference in ms, any other as a multiple of it."""
    ratio = part.ratios(records, *PLACE, contestant=_reference(records))

    def text(record: Record) -> str:
        if record["contestant"] == _reference(records):
            return f"{number(record['median_ms'], 3)} ms"
        return number(ratio(record), 3) + "*" * (not record["same_function"])

    return text


def _layer_table(records: Sequence[Record]) -> Table:
    difference = max(max(r["outputs_difference"], r["input_gradients_difference"]) for r in records)
    caption = (
        f"{_reference(records)}: ms; the others: multiples of it, less is faster. {DEFAULT.name}: unroll with its "
        "default engine; Scan: the plain one. Same weights, inputs and loss; outputs and gradients of the inputs equal "
        f"within {difference:.0e} of the largest. * another function (haiku: ReLU for tanh, the GRU's reset before the "
        "product), checked against that function."
    )
    columns = {"cell": "cell", "BxTxDxH": "shape", "{}": _text(records)}
    return part.table(records, "{mode}", columns, caption, by="contestant")


def _length_table(records: Sequence[Record]) -> Table:
    caption = f"{_reference(records)}: ms; the others: multiples of it."
    return part.table(records, SWEEP, {"T": "steps", "{}": _text(records)}, caption, by="contestant")


def _findings(records: Sequence[Record]) -> list[str]:
    reference, sentences = _reference(records), []
    for mode in part.values(records, "mode"):
        for title, others in {reference: [reference], "the fastest other JAX library": JAX_LIBRARIES}.items():
            multiples = part.against(part.select(records, mode=mode), DEFAULT.name, others, "cell", "shape")
            sentences += part.won_and_lost(f"{mode}, {DEFAULT.name} against {title}", multiples)
    return sentences


def _layer_figure(records: Sequence[Record]) -> Figure:
    unit, cells, names = _reference(records), part.values(records, "cell"), part.values(records, "contestant")
    ratio = part.ratios(records, *PLACE, contestant=unit)
    figure = plotting.figure((11, 3.2 * len(cells)))
    axes = figure.subplots(len(cells), 1, squeeze=False)[:, 0]
    for axis, cell in zip(axes, cells, strict=True):
        panel = part.select(records, mode="forward_backward", cell=cell)
        bars = {n: [ratio(r) for r in part.select(panel, contestant=n)] for n in names if n != unit}
        grouped_bars(axis, part.values(panel, "shape"), bars)
        axis.axhline(1, color="black", lw=1)
        axis.set(title=cell, ylabel=f"time / {unit}'s")
    axes[-1].set_xlabel("B x T x D x H")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    figure.suptitle(f"Forward and backward: median time as a multiple of {unit}'s (line), less is faster")
    return figure


def _length_figure(records: Sequence[Record]) -> Figure:
    return part.curve_figure({"steps": records}, "contestant", "median_ms", SWEEP, "median time (ms)")


LAYERS = part.Part("layers", _layer_jobs, _layer_table, _layer_figure, _findings)
LENGTHS = part.Part("lengths", _length_jobs, _length_table, _length_figure)
