"""What a run leaves behind: JSON, arrays, a table, one self-contained page. A file is written whole or not at all."""

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
from rich import box
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderResult
from rich.table import Table
from rich.text import Text

from rnn_jax import files, machine


def write_json(path: Path, value: Any) -> None:
    """Writes `plain(value)` as JSON."""
    files.write(path, json.dumps(plain(value), indent=1, allow_nan=False) + "\n")


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes a compressed .npz of named arrays."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    files.write(path, buffer.getvalue())


def plain(value: Any) -> Any:
    """Turns a value into what JSON has.

    A dataclass becomes its fields beside its `type`, a function its import path; NaN and the infinities, which JSON
    lacks, become strings.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value) if f.repr}
        return {"type": f"{type(value).__module__}:{type(value).__qualname__}", **fields}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
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
    """The date, the machine and the versions a result was obtained with."""
    packages = ("jax", "jaxlib", "flax", "optax", "numpy")
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": jax.devices()[0].device_kind,
        "processor": _processor(),
        "devices": jax.device_count(),
        "cpus": machine.cores(),
        **{package: importlib.metadata.version(package) for package in packages},
    }


def _processor() -> str:
    """The CPU's model, as far as it is told."""
    told = Path("/proc/cpuinfo")  # Linux only; the standard library knows no more than "x86_64" there
    models = [line for line in told.read_text().splitlines() if line.startswith("model name")] if told.exists() else []
    return models[0].partition(":")[2].strip() if models else platform.processor() or platform.machine()


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table: its header, and its text for a row."""

    header: str
    text: Callable[[Any], str]
    right: bool = True


def percent(shares: np.ndarray) -> str:
    """Shares [seeds] in percent: the median, and the range of several."""
    low, middle, high = (100 * of(shares) for of in (np.min, np.median, np.max))
    return f"{middle:.1f}" if len(shares) == 1 else f"{middle:.1f} ({low:.1f} to {high:.1f})"


@dataclasses.dataclass(frozen=True)
class TextTables:
    """Tables for a terminal: rows in sections with a title each, the columns aligned throughout.

    Where the terminal is narrow, columns fold: those of words first, then the widest; nothing is cut off.
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
            table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=0)
            for column, width in zip(self.columns, widths, strict=True):
                side: JustifyMethod = "right" if column.right else "left"
                table.add_column(column.header, justify=side, width=width, overflow="fold")
            for row in rows:
                table.add_row(*row)
            yield table
        yield Text(self.caption)

    def _folded(self, widths: list[int], room: int) -> list[int]:
        """Widths that fit, at least 1 each: columns of words no narrower than `WORDS` as long as others are wider."""
        widths = list(widths)
        while sum(widths) > room and max(widths) > 1:
            of_words = [n for n, c in enumerate(self.columns) if not c.right and widths[n] > WORDS]
            widths[max(of_words or range(len(widths)), key=widths.__getitem__)] -= 1
        return widths


WORDS = 12  # characters that a column of words keeps


def html_table(columns: Sequence[Column], sections: Mapping[str, Sequence[Any]], caption: str) -> str:
    """The same table for a page."""

    def line(tag: str, cells: Sequence[str]) -> str:
        sides = ["right" if column.right else "left" for column in columns]
        pairs = zip(sides, cells, strict=True)
        return "<tr>" + "".join(f'<{tag} style="text-align:{s}">{html.escape(c)}</{tag}>' for s, c in pairs) + "</tr>"

    bodies = ""
    for title, rows in sections.items():
        head = f'<tr><th colspan="{len(columns)}" style="text-align:left">{html.escape(title)}</th></tr>'
        bodies += f"<tbody>{head}{''.join(line('td', [c.text(row) for c in columns]) for row in rows)}</tbody>"
    head = line("th", [column.header for column in columns])
    return f"<table><caption>{html.escape(caption)}</caption><thead>{head}</thead>{bodies}</table>"


_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
img { max-width: 100%; height: auto } table { border-collapse: collapse; font-size: 0.8rem; white-space: nowrap }
td, th { padding: 0.15rem 0.6rem } thead, tbody { border-bottom: 1px solid #888 }
caption { caption-side: bottom; text-align: left; white-space: normal; padding-top: 0.5rem }
pre { font-size: 0.75rem; background: #f4f4f4; padding: 1rem; overflow-x: auto } .wide { overflow-x: auto }
"""


def page(title: str, words: Sequence[str], table: str, figures: Mapping[str, bytes], details: Any) -> str:
    """One HTML page that needs no other file: the figures (PNG) are inside.

    Args:
      title: its heading.
      words: paragraphs.
      table: from `html_table`.
      figures: PNG content by caption.
      details: config and environment, shown as JSON at the end.
    """
    paragraphs = "".join(f"<p>{html.escape(text)}</p>" for text in words)
    images = "".join(
        f'<h2>{html.escape(caption)}</h2><img alt="{html.escape(caption)}" '
        f'src="data:image/png;base64,{base64.b64encode(png).decode()}">'
        for caption, png in figures.items()
    )
    shown = html.escape(json.dumps(plain(details), indent=1))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{html.escape(title)}</h1>{paragraphs}"
        f'<div class="wide">{table}</div>{images}<h2>Configuration</h2><pre>{shown}</pre></body></html>\n'
    )
