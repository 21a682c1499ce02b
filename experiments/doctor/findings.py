"""Findings in a terminal: each cause once per run, with the number of seeds that have it and its effects."""

from collections.abc import Collection, Mapping, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from rnn_jax.diagnostics import Finding, Severity

_STYLES = {Severity.BROKEN: "bold red", Severity.WARNING: "yellow"}
_WIDTH = 100  # a line much longer is hard to read

Seeds = Mapping[int, Sequence[Finding]]


def show(console: Console, runs: Mapping[str, Seeds], unmeasured: Collection[str]) -> None:
    """Prints the findings of each run, then one line for each run without any, then their numbers.

    Args:
      console: terminal to print to.
      runs: findings by seed, by the name of the run.
      unmeasured: names of the runs without training evidence, such as baselines; they are not called healthy.
    """
    console.width = min(console.width, _WIDTH)
    ill = {name: seeds for name, seeds in runs.items() if any(seeds.values())}
    for name, seeds in ill.items():
        console.print(Text(f"{name}, {_count(len(seeds))}", style="bold"))
        for group in _groups(seeds):
            console.print(Padding(_block(group, seeds), (0, 0, 0, 2)))
        console.print()
    for name, seeds in runs.items():
        if name not in ill:
            status = ("no training evidence", "dim") if name in unmeasured else ("healthy", "green")
            console.print(Text.assemble(name, ", ", _count(len(seeds)), ": ", status))
    healthy = len(runs) - len(ill) - len(unmeasured)
    without = f", {len(unmeasured)} without training evidence" if unmeasured else ""
    console.print(Text(f"{healthy} of {len(runs)} runs are healthy{without}."))


def _groups(seeds: Seeds) -> list[dict[int, Finding]]:
    """Groups the findings of a run by cause and by what they follow, as {seed: finding}; effects after their cause."""
    groups: dict[tuple[str, str | None], dict[int, Finding]] = {}
    for seed, findings in seeds.items():
        for finding in findings:
            groups.setdefault((finding.cause, finding.follows), {})[seed] = finding

    def rank(cause: str) -> tuple[int, int]:
        group = groups[cause, None]
        return -max(finding.severity for finding in group.values()), -len(group)

    ordered = []
    for root in sorted((cause for cause, follows in groups if follows is None), key=rank):
        ordered += [groups[root, None], *(group for (_, follows), group in groups.items() if follows == root)]
    return ordered


def _block(group: dict[int, Finding], seeds: Seeds) -> Table | Text:
    """Returns a cause with its evidence and remedy, or an effect with its evidence only."""
    seed, finding = next(iter(group.items()))
    having = f"{len(group)} of {_count(len(seeds))}"
    evidence = finding.evidence if len(seeds) == 1 else f"{finding.evidence} (seed {seed})"
    lines = Table.grid(padding=(0, 1))
    lines.add_column(width=9)
    lines.add_column(overflow="fold")
    if finding.follows is None:
        worst = max(f.severity for f in group.values())
        lines.add_row(Text(worst.name.lower(), style=_STYLES[worst]), Text(f"{finding.cause}: {having}", style="bold"))
        lines.add_row("", Text(evidence))
        lines.add_row("", Text(f"remedy: {finding.remedy}", style="cyan"))
    else:
        lines.add_row("", Text(f"{finding.follows} → {finding.cause}: {having}", style="bold dim"))
        lines.add_row("", Text(evidence, style="dim"))
    return lines


def _count(seeds: int) -> str:
    return f"{seeds} seed" if seeds == 1 else f"{seeds} seeds"
