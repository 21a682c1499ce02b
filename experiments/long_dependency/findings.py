"""The findings in words: who solved what, and where the published numbers are met."""

import math
from collections.abc import Sequence

import numpy as np

from experiments.long_dependency import board
from experiments.long_dependency.result import Result, by_length, by_task

PASSED = 0.9  # a loss under this share of the baseline is past it


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
        elif np.median(result.last("loss")) < PASSED * result.baseline:
            group = "past the baseline, not solved:"
        else:
            group = "at the baseline:"
        groups.setdefault(group, []).append(result.cell)
    return "; ".join(f"{group} {', '.join(cells)}" for group, cells in groups.items())


def _beside_the_papers(results: Sequence[Result]) -> list[str]:
    found = []
    for result in results:
        paper = result.published
        if paper is None:
            continue
        ours = board.ours(result)
        # Of accuracy more is better, of all else less.
        better = ours >= paper.value if paper.quantity == "accuracy" else ours <= paper.value
        number = "not solved" if math.isinf(ours) else board.number(ours)
        found.append(
            f"{result.name}: {paper.quantity} {number}, {paper.source} has {board.number(paper.value)}: "
            f"{'met' if better else 'missed'}."
        )
    return found
