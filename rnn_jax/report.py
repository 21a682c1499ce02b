"""Output of a run: JSON, arrays, text tables, one self-contained HTML page. Files are written atomically."""

import base64
import dataclasses
import datetime
import html
import importlib.metadata
import io
import json
import math
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from rich import box
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderResult
from rich.table import Table
from rich.text import Text

from rnn_jax import files, machine, mesh


def write_json(path: Path, value: Any) -> None:
    """Writes `plain(value)` to a JSON file."""
    files.write(path, json.dumps(plain(value), indent=1, allow_nan=False) + "\n")


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes named arrays to a compressed .npz file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    files.write(path, buffer.getvalue())


def plain(value: Any) -> Any:
    """Converts a value to the types of JSON: dict, list, str, int, float, bool and None.

    A dataclass becomes a dict of its fields with its import path as `type`; a function becomes its import path; NaN and
    infinities, which JSON cannot represent, become strings.

    Raises:
      TypeError: if a value holds a `GradientTransformation` of optax, whose functions do not show its arguments.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value) if f.repr}
        return {"type": f"{type(value).__module__}:{type(value).__qualname__}", **fields}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, optax.GradientTransformation):
        raise TypeError(
            "a GradientTransformation of optax cannot be told from another one in a config; write "
            "training.Optax(optax.adamw, 1e-3) in place of optax.adamw(1e-3)"
        )
    if isinstance(value, tuple | list):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if callable(value):
        return f"{value.__module__}:{value.__qualname__}"
    return value


def environment() -> dict[str, Any]:
    """Returns the date, the machine and the package versions with which a result is obtained."""
    packages = ("jax", "jaxlib", "flax", "optax", "numpy")
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": jax.devices()[0].device_kind,
        "processor": _processor(),
        "devices": jax.device_count(),
        "mesh": str(mesh.shape()),
        "cpus": machine.cores(),
        **{package: importlib.metadata.version(package) for package in packages},
    }


def _processor() -> str:
    """Returns the name of the CPU's model, or of its architecture if the model is unknown."""
    cpuinfo = Path("/proc/cpuinfo")  # Linux only, where `platform.processor` returns no more than "x86_64"
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    models = [line for line in lines if line.startswith("model name")]
    return models[0].partition(":")[2].strip() if models else platform.processor() or platform.machine()


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table.

    Args:
      header: name and unit, as in `error, %`.
      text: function from a row to the text of its cell.
      right: whether the column is aligned to the right, as numbers are; columns of words are not.
    """

    header: str
    text: Callable[[Any], str]
    right: bool = True


def percent(shares: np.ndarray) -> str:
    """Formats shares [seeds] in percent: their median, followed by their range if there are several seeds."""
    low, middle, high = (100 * statistic(shares) for statistic in (np.min, np.median, np.max))
    return f"{middle:.1f}" if len(shares) == 1 else f"{middle:.1f} ({low:.1f} to {high:.1f})"


_MIN_WORDS = 12  # width in characters below which a column of words is narrowed only if it is the widest


@dataclasses.dataclass(frozen=True)
class TextTables:
    """Tables for a terminal: one per section, with the same column widths in all of them.

    If the terminal is too narrow, columns are folded, those of words first, then the widest; no text is cut off.

    Args:
      columns: columns of every table.
      sections: rows by the title of their section.
      caption: text below the last table.
    """

    columns: Sequence[Column]
    sections: Mapping[str, Sequence[Any]]
    caption: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        texts = {title: [[c.text(row) for c in self.columns] for row in rows] for title, rows in self.sections.items()}
        cells = [cells for rows in texts.values() for cells in rows]
        widths = [
            max(map(len, [c.header, *column])) for c, column in zip(self.columns, zip(*cells, strict=True), strict=True)
        ]
        widths = self._folded(widths, options.max_width - len(widths) - 1)
        for title, rows in texts.items():
            # `Text`, because a string's [/s], [kwh] and :x: would be markup.
            named = Text(title, style="table.title")
            table = Table(title=named, title_justify="left", box=box.SIMPLE_HEAD, padding=0)
            for column, width in zip(self.columns, widths, strict=True):
                justify: JustifyMethod = "right" if column.right else "left"
                table.add_column(Text(column.header), justify=justify, width=width, overflow="fold")
            for row in rows:
                table.add_row(*map(Text, row))
            yield table
        yield Text(self.caption)

    def _folded(self, widths: list[int], available: int) -> list[int]:
        """Narrows columns until they fit: columns of words down to `_MIN_WORDS`, then the widest, down to 1 each."""
        widths = list(widths)
        while sum(widths) > available and max(widths) > 1:
            words = [n for n, c in enumerate(self.columns) if not c.right and widths[n] > _MIN_WORDS]
            widths[max(words or range(len(widths)), key=widths.__getitem__)] -= 1
        return widths


def html_table(columns: Sequence[Column], sections: Mapping[str, Sequence[Any]], caption: str) -> str:
    """Returns the tables of `TextTables` as one HTML table for `page`."""
    sides = ["right" if column.right else "left" for column in columns]

    def line(tag: str, texts: Sequence[str]) -> str:
        pairs = zip(sides, texts, strict=True)
        return "<tr>" + "".join(f'<{tag} style="text-align:{s}">{html.escape(t)}</{tag}>' for s, t in pairs) + "</tr>"

    bodies = ""
    for title, rows in sections.items():
        head = f'<tr><th colspan="{len(columns)}" style="text-align:left">{html.escape(title)}</th></tr>'
        bodies += f"<tbody>{head}{''.join(line('td', [c.text(row) for c in columns]) for row in rows)}</tbody>"
    head = line("th", [column.header for column in columns])
    return f"<table><caption>{html.escape(caption)}</caption><thead>{head}</thead>{bodies}</table>"


_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
figure { margin: 1rem 0 } figcaption { font-weight: 600 }
img { max-width: 100%; height: auto } table { border-collapse: collapse; font-size: 0.8rem; white-space: nowrap }
td, th { padding: 0.15rem 0.6rem } thead, tbody { border-bottom: 1px solid #888 }
caption { caption-side: bottom; text-align: left; white-space: normal; padding-top: 0.5rem }
pre { font-size: 0.75rem; background: #f4f4f4; padding: 1rem; overflow-x: auto }
.wide { overflow-x: auto; margin-bottom: 1.5rem }
"""


def page(
    title: str, sentences: Sequence[str], tables: Sequence[str], figures: Mapping[str, bytes], details: Any
) -> str:
    """Returns one HTML page that needs no other file: figures, then tables, then sentences, then the configuration.

    Args:
      title: heading of the page.
      sentences: paragraphs of plain text.
      tables: HTML tables, each from `html_table`.
      figures: PNG contents by caption; they are embedded in the page.
      details: configuration and environment, printed as JSON.
    """
    images = [
        f'<figure><figcaption>{html.escape(caption)}</figcaption><img alt="{html.escape(caption)}" '
        f'src="data:image/png;base64,{base64.b64encode(png).decode()}"></figure>'
        for caption, png in figures.items()
    ]
    blocks = [f'<div class="wide">{table}</div>' for table in tables]
    paragraphs = [f"<p>{html.escape(sentence)}</p>" for sentence in sentences]
    configuration = html.escape(json.dumps(plain(details), indent=1))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{html.escape(title)}</h1>{''.join(images + blocks + paragraphs)}"
        f"<h2>Configuration</h2><pre>{configuration}</pre></body></html>\n"
    )
