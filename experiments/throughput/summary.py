"""What a run leaves behind and shows: the tables, the findings, the page."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from experiments.throughput import figures, findings, tables
from experiments.throughput.job import Record
from rnn_jax import report


def show(console: Console, records: Sequence[Record], header: dict[str, Any]) -> None:
    """Prints what it ran on, the tables and the findings."""
    console.print(machine(header), markup=False, highlight=False)
    for table in tables.tables(records).values():
        console.print(report.TextTables(table.columns, table.sections, table.caption + "\n"), highlight=False)
    for sentence in findings.sentences(records, header["missing"]):
        console.print(f"- {sentence}", markup=False, highlight=False)


def page(records: Sequence[Record], pngs: dict[str, bytes], header: dict[str, Any]) -> str:
    """The self-contained summary page."""
    made = tables.tables(records).values()
    return report.page(
        title="How fast is a recurrence, beside every peer?",
        sentences=[machine(header), *findings.sentences(records, header["missing"])],
        tables=[report.html_table(table.columns, table.sections, table.caption) for table in made],
        figures={figures.TITLES[part]: png for part, png in pngs.items()},
        details=header,
    )


def machine(header: dict[str, Any]) -> str:
    """What it ran on, in a line."""
    environment, config = header["environment"], header["config"]
    versions = ", ".join(f"{package} {version}" for package, version in header["versions"].items())
    device = f"{environment['devices']} x {environment['device']}, {environment['processor']}"
    when = f"{environment['date'][:10]}, Python {environment['python']}"
    products = "float32, products in full float32"
    if config.dtype == "bfloat16":
        products = "bfloat16, of rnn_jax the products alone"
    return f"{device}, {environment['cpus']} cores; {when}, {versions}; {products}."
