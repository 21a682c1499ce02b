"""One layer, forward and forward and backward, in every library, with the same weights and inputs.

What a library computes is compared with `Scan` of the same function first, outputs and the gradients by the inputs: a
time is only told of what is equal.
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.throughput import timing
from experiments.throughput.config import Config
from experiments.throughput.job import Job, Record
from experiments.throughput.peers import ours
from experiments.throughput.peers.contestant import Contestant, Programs
from experiments.throughput.problem import Problem
from rnn_jax import Cell, Scan

MODES = ("forward", "forward_backward")
# The largest difference over the largest value that rounding explains; about 1e-6 is what is found in float32.
TOLERANCES = {"float32": 2e-5, "bfloat16": 0.1}


def jobs(config: Config, peers: Sequence[Contestant]) -> list[Job]:
    """A comparison a cell and shape."""
    problems = [Problem(c, shape, config.dtype) for shape in config.problem_shapes() for c in config.cells]
    return [
        Job(
            f"{problem.cell_name} {problem.shape}",
            functools.partial(compare, "layers", config, problem, [*ours.ENGINES, *peers], MODES),
        )
        for problem in problems
    ]


def compare(
    part: str, config: Config, problem: Problem, contestants: Sequence[Contestant], modes: Sequence[str]
) -> list[Record]:
    """Checks that the contestants are equal on a problem, then times them in turn.

    Raises:
      RuntimeError: where one computes something else.
    """
    data = problem.draw(config.seed)
    references: dict[Cell, Programs] = {}
    programs: dict[str, Programs] = {}
    told: dict[str, Record] = {}
    for contestant in contestants:
        cell, params = contestant.function(problem, data)
        if cell not in references:
            references[cell] = ours.run_cell(cell, params, data, Scan())
        programs[contestant.name] = contestant.prepare(problem, data)
        told[contestant.name] = {
            "contestant": contestant.name,
            "same_function": cell == problem.cell,
            "function": type(cell).__name__,
            **differences(contestant.name, problem, programs[contestant.name], references[cell]),
        }
    records = []
    for mode in modes:
        times = timing.interleave(
            {name: getattr(program, mode) for name, program in programs.items()}, config.repeats, config.seconds
        )
        for name, seconds in times.items():
            records.append({"part": part, **problem.record(), "mode": mode, **told[name], **timing.statistics(seconds)})
    return records


def differences(name: str, problem: Problem, programs: Programs, reference: Programs) -> dict[str, Any]:
    """The largest difference from the reference over its largest value, of outputs and of gradients by the inputs.

    Raises:
      RuntimeError: where it is more than rounding.
    """
    found = {}
    for what in ("outputs", "input_gradients"):
        got, wanted = getattr(programs, what)(), getattr(reference, what)()
        difference = float(np.max(np.abs(got - wanted)) / np.max(np.abs(wanted)))
        if not difference <= TOLERANCES[problem.dtype]:  # NaN is none
            raise RuntimeError(
                f"{name} computes something else for {problem.cell_name} {problem.shape} {problem.dtype}: "
                f"{what} differ from Scan's by {difference:.1e} of the largest, more than {TOLERANCES[problem.dtype]}"
            )
        found[f"{what}_difference"] = difference
    return found
