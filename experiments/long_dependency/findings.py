"""The findings in words: who solved what, and where the published numbers are met."""

import math
from collections.abc import Sequence

import numpy as np

from experiments.long_dependency import board
from experiments.long_dependency.recipe import Plateau, Published
from experiments.long_dependency.result import Result, by_length, by_task


def sentences(results: Sequence[Result]) -> list[str]:
    """What was found, a paragraph each; all of it computed from the results."""
    found = []
    for of_task in by_task(results).values():
        for of_length in by_length(of_task).values():
            found.append(f"{of_length[0].title}: {_solvers(of_length)}.")
    return found + _beside_the_papers(results)


def of_item(result: Result) -> str:
    """One line, for when an item has ended."""
    loss = board.number(float(np.median(result.last("loss"))))
    until = f", {result.sequences_until_solved:,.0f} sequences" if math.isfinite(result.sequences_until_solved) else ""
    lost = "".join(f"; {told}" for told in result.diverged if told)
    return (
        f"{result.name}: solved {result.solving}/{result.seeds}{until}, loss {loss} (baseline {result.baseline:.4g}), "
        f"{result.steps[-1]:,} steps, {result.seconds:.0f} s{lost}"
    )


def _solvers(results: Sequence[Result]) -> str:
    groups: dict[str, list[str]] = {}
    for result in results:
        if result.solving == result.seeds:
            group = "solved by"
        elif result.solving:
            group = "solved by some seeds of"
        elif sum(told is not None for told in result.diverged) > result.seeds / 2:
            group = "diverged:"
        elif result.beyond_baseline:
            group = "past the baseline, not solved:"
        else:
            group = "at the baseline:"
        groups.setdefault(group, []).append(result.cell)
    return "; ".join(f"{group} {', '.join(cells)}" for group, cells in groups.items())


def _beside_the_papers(results: Sequence[Result]) -> list[str]:
    return [f"{result.name}: {_beside(result, result.published)}." for result in results if result.published]


def _beside(result: Result, paper: Published | Plateau) -> str:
    if isinstance(paper, Plateau):
        share = board.number(float(np.median(result.last("loss"))) / result.baseline)
        place, theirs = ("past" if left else "at" for left in (result.beyond_baseline, paper.left))
        agrees = f"as {paper.source} has it" if place == theirs else f"where {paper.source} is {theirs} it"
        return f"{place} the baseline ({share} of it), {agrees}"
    if paper.quantity == "sequences":
        ours = result.sequences_until_solved
    else:
        ours = float(np.median(result.last(paper.quantity)))
    # Of accuracy more is better, of all else less.
    better = ours >= paper.value if paper.quantity == "accuracy" else ours <= paper.value
    number = "not solved" if math.isinf(ours) else board.number(ours)
    return f"{paper.quantity} {number}, {paper.source} has {board.number(paper.value)}: {'met' if better else 'missed'}"
