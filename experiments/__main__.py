"""Prints the catalogue of the experiments: `python -m experiments`."""

from rich import box
from rich.console import Console
from rich.table import Table

from experiments.catalogue import CATALOGUE

table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
for header, side in (("python -m experiments.", "left"), ("question", "left"), ("min", "right")):
    table.add_column(header, justify=side, overflow="fold")  # type: ignore[arg-type]
for entry in CATALOGUE:
    table.add_row(entry.name, entry.question, str(entry.minutes))
console = Console()
console.print(table)
console.print(
    "min: minutes on two cores. --help lists the flags, --quick runs a small version. Results: experiments/README.md",
    highlight=False,
)
