"""One layer, forward and forward and backward, in every library, with the same weights and inputs; and the same over T.

A recurrence in JAX keeps one core of a CPU busy. With all cores its batch is split over as many devices as divide it.

Outputs and gradients with respect to the inputs are first compared with those of `Scan`: only equal functions are
timed.
"""

import functools
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax

from experiments.common import timing
from experiments.common.figures import bar_panels, curves
from experiments.common.tables import Record, Records, digits, select, values
from experiments.peers.programs import Programs, differences
from experiments.throughput import contestants, part
from experiments.throughput.contestants import DEFAULT, ENGINES, JAX_LIBRARIES, REFERENCE, SCAN
from experiments.throughput.problem import Problem
from rnn_jax import Cell, Checkpointed, Scan, mesh

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MODES = ("forward", "forward_backward")
ONE, ALL = "one device", "all cores"
# Largest difference, over the largest value, that rounding explains; in float32 the differences are about 1e-6.
TOLERANCES = {"float32": 2e-5, "bfloat16": 0.1}
STEPS = (100, 316, 1000, 3162, 10_000)  # T of `lengths`
LENGTH_PEERS = ("torch", "linen")


def compare(modes: Sequence[str], options: part.Options, compared: part.Contestants, problem: Problem) -> Records:
    """Checks that the contestants compute the same on a problem, then times them.

    Raises:
      RuntimeError: if one computes something else.
    """
    data, tolerance = problem.draw(options.seed), TOLERANCES[problem.dtype]
    references: dict[Cell, Programs] = {}
    checks: dict[str, Record] = {}
    programs = {name: prepare(problem.cell, data) for name, prepare in compared.items()}
    for name, each in programs.items():
        cell, params = each.other or (problem.cell, data.params)
        if cell not in references:
            given = data._replace(params=params)
            references[cell] = contestants.unroll_programs(cell, given, exact=True, engine=Scan())
        checks[name] = {"same_function": cell == problem.cell, "function": type(cell).__name__}
        for what, difference in differences(each, references[cell]).items():
            if not difference <= tolerance:  # also if it is NaN
                raise RuntimeError(
                    f"{name} computes something else for {problem} {problem.dtype}: "
                    f"{what} differ from Scan's by {difference:.1e} of the largest, more than {tolerance}"
                )
            checks[name][f"{what}_difference"] = difference
    records = []
    for mode in modes:
        calls = {name: getattr(each, mode) for name, each in programs.items()}
        for name, statistics in timing.compare(calls, options.repeats, options.seconds).items():
            cores = {"cores": ONE, "mode": mode, "contestant": name}
            records.append({**problem.record(), **cores, **checks[name], **statistics})
    return records


def _measure(options: part.Options, libraries: part.Contestants, problem: Problem) -> Records:
    compared = {**ENGINES, **libraries}
    records = compare(MODES, options, compared, problem)
    if jax.local_device_count() == 1:
        return records
    parts = max(n for n in range(1, jax.local_device_count() + 1) if problem.batch % n == 0)
    with jax.set_mesh(mesh.MeshShape(data=parts).build()):
        split = compare(MODES, options, compared, problem)
    return records + [record | {"cores": ALL, "parts": parts} for record in split]


def _measure_length(options: part.Options, libraries: part.Contestants, problem: Problem) -> Records:
    checkpointed = functools.partial(contestants.unroll_programs, engine=Checkpointed())
    chosen = {name: libraries[name] for name in LENGTH_PEERS if name in libraries}
    return compare(MODES[1:], options, {**ENGINES, "Checkpointed": checkpointed, **chosen}, problem)


def _reference(records: Records) -> str:
    """Returns the contestant whose time is 1: PyTorch, or `Scan` if PyTorch did not take part."""
    return REFERENCE if select(records, contestant=REFERENCE) else SCAN


def _ratio(record: Record, records: Records) -> float:
    return part.ratio(record, records, "mode", "cores", "cell", "shape", contestant=_reference(records))


def _text(record: Record, records: Records) -> str:
    if record["contestant"] == _reference(records):
        return f"{digits(record['median_ms'])} ms"
    return digits(_ratio(record, records)) + "*" * (not record["same_function"])


def _findings(records: Records) -> list[str]:
    sentences, reference = [], _reference(records)
    for mode, cores in itertools.product(values(records, "mode"), values(records, "cores")):
        for title, others in {reference: [reference], "the fastest other JAX library": JAX_LIBRARIES}.items():
            subject = f"{mode}, {cores}, {DEFAULT} against {title}"
            sentences += part.finding(subject, select(records, mode=mode, cores=cores), others, "cell", "shape")
    return sentences


def _figure(records: Records) -> "Figure":
    """Draws bars of forward and backward time over the reference's: a panel for each cell, a group for each shape."""
    reference = _reference(records)
    figure = bar_panels(
        [r for r in select(records, mode="forward_backward") if r["contestant"] != reference],
        lambda record: ("{cell}, {cores}".format_map(record), f"time / {reference}'s"),
        "{shape}",
        "contestant",
        lambda record: _ratio(record, records),
        f"Forward and backward: median time as a multiple of {reference}'s (line), less is faster",
    )
    for axis in figure.axes:
        axis.axhline(1, color="black", lw=1)
    figure.supxlabel("B x T x D x H")
    return figure


LAYERS = part.Part(
    lambda options: options.problems(options.dtype),
    _measure,
    "{mode}, {cores}",
    {"cell": "cell", "BxTxDxH": "shape", "{}": _text},
    f"One time in ms, the others as multiples of it: less is faster. {DEFAULT}: unroll with its default engine; "
    "Scan: the plain one. Same weights, inputs and loss; outputs equal within {outputs_difference:.0e} of the largest, "
    "gradients of the inputs within {input_gradients_difference:.0e}. * another function (haiku: ReLU for tanh, the "
    "GRU's reset before the product), checked against that function. all cores: JAX's batch is split over devices.",
    by="contestant",
    figure=_figure,
    findings=_findings,
)
SWEEP = "over T: LSTM, B = {batch}, D = {input_size}, H = {hidden_size}, forward and backward"
LENGTHS = part.Part(
    lambda options: {f"T = {n}": Problem("lstm", 16, n, 64, 64, dtype=options.dtype) for n in options.lengths(STEPS)},
    _measure_length,
    SWEEP,
    {"T": "steps", "{}": _text},
    "One time in ms, the others as multiples of it.",
    by="contestant",
    figure=curves("contestant", ["steps"], "median_ms", SWEEP, "median time (ms)"),
)
