"""The folder of a run: what it leaves there as it goes, and what it shows at its end."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console

from experiments.command_line import writable
from rnn_jax import files, report


class RunFolder:
    """Where a run of an experiment leaves what it finds, and the terminal that it shows it on."""

    def __init__(self, config: Any, workdir: str):
        """Makes the folder and writes config.json.

        Raises:
          UserError: where `workdir` cannot be written.
        """
        self._path = writable(workdir)
        self._header = {"config": config, "environment": report.environment()}
        self._written = ["config.json"]
        self.console = Console()
        report.write_json(self._path / "config.json", config)

    def results(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Writes results.json, anew as often as there are more: what is interrupted keeps what it has."""
        report.write_json(self._path / "results.json", {**self._header, "results": records})
        self._names("results.json")

    def arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Writes arrays.npz."""
        report.write_arrays(self._path / "arrays.npz", arrays)
        self._names("arrays.npz")

    def show(
        self,
        title: str,
        words: Sequence[str],
        columns: Sequence[report.Column],
        sections: Mapping[str, Sequence[Any]],
        caption: str,
        figures: Mapping[str, tuple[str, bytes]],
    ) -> None:
        """Writes the figures and summary.html, prints the table, the findings, and what was written.

        Args:
          title: of the page.
          words: what was found, a sentence each.
          columns: of the table.
          sections: its rows, by their titles.
          caption: below it.
          figures: by the names of their files, what they show and the PNG.
        """
        for name, (_, png) in figures.items():
            files.write(self._path / name, png)
            self._names(name)
        table = report.html_table(columns, sections, caption)
        page = report.page(title, words, table, dict(figures.values()), self._header)
        files.write(self._path / "summary.html", page)
        self._names("summary.html")
        self.console.print(report.text_tables(columns, sections, caption), highlight=False)
        for sentence in words:
            self.console.print(f"- {sentence}", markup=False, highlight=False)
        self.console.print(f"{self._path}: {', '.join(self._written)}", markup=False, highlight=False)

    def _names(self, name: str) -> None:
        if name not in self._written:
            self._written.append(name)
