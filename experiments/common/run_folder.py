"""The folder of a run: what it leaves there as it goes, what it goes on from, and what it shows at its end."""

import fcntl
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from experiments.common import user_code
from experiments.common.command_line import UserError, writable
from experiments.common.profiling import Profile
from experiments.common.settings import Settings
from rnn_jax import distributed, files, report, training


class RunFolder:
    """Where a run of an experiment leaves what it finds, and the terminal that it shows it on.

    One process at a time has it. Every training has a folder of its own in it, `training/NAME`, with its checkpoints
    and its metrics.jsonl.
    """

    def __init__(
        self,
        config: Any,
        workdir: str,
        settings: Settings = Settings(),
        header: Mapping[str, Any] | None = None,
        grows: bool = False,
    ):
        """Makes the folder and writes config.json.

        Args:
          config: what is run.
          workdir: the folder.
          settings: how it is run.
          header: what stands in results.json beside the config, or in place of the environment.
          grows: whether runs of other configs may be added to it; then every training says what it was made by.

        Raises:
          UserError: where `workdir` cannot be written, another process has it, or it holds a run of another config.
        """
        shared = writable(workdir)
        writer = distributed.is_writer()
        # Of several processes one writes; what the others would write goes where nobody sees it.
        self._unseen = None if writer else tempfile.TemporaryDirectory()
        self.path = shared if self._unseen is None else Path(self._unseen.name)
        self.console = Console(quiet=not writer)
        self.header = {"config": config, "environment": report.environment(), **(header or {})}
        self._settings = settings.checked()
        self._trainings = shared / "training"
        self._lock = _locked(shared, self._trainings) if writer else None
        plain = report.plain(config)
        self._made_by = {**plain, **user_code.digests(plain)}
        self._written = ["config.json"]
        seconds = self._settings.profile
        self._profile = None if seconds is None else Profile(self.path / "profile", seconds)
        if settings.resume and not grows:
            self._refuse_another()
        if not settings.resume and writer:
            for folder in self._trainings.glob("*/"):
                shutil.rmtree(folder)
        report.write_json(self.path / "config.json", self._made_by)

    def _refuse_another(self) -> None:
        path = self.path / "config.json"
        if not path.exists():
            return
        try:
            saved = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read ({error}); --noresume begins anew") from error
        if told := training.differences(saved, json.loads(json.dumps(self._made_by))):
            raise UserError(
                f"--workdir {str(self.path)!r} holds a run of another config ({'; '.join(told)}): choose another "
                "--workdir, or begin anew with --noresume"
            )

    def session(self, name: str, made_by: Any = None) -> training.Session:
        """What keeps a training of this run.

        Args:
          name: the training's.
          made_by: what it follows from; None: the whole config.
        """
        folder = self._trainings / re.sub(r"[^A-Za-z0-9_.]+", "-", name)
        return training.Session(
            folder,
            self._made_by if made_by is None else report.plain(made_by),
            self._settings.checkpoint_seconds,
            self._settings.keep,
            self._settings.tensorboard,
            advance=self._begun,
            tell=lambda sentence: self.console.print(f"{name}: {sentence}", markup=False, highlight=False),
        )

    def _begun(self, _: int) -> None:
        """At every log point of every training."""
        if self._profile is not None:
            self._profile.begin()

    def results(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Writes results.json, anew as often as there are more: what is interrupted keeps what it has."""
        report.write_json(self.path / "results.json", {**self.header, "results": records})
        self._names("results.json")

    def arrays(self, arrays: Mapping[str, np.ndarray], name: str = "arrays.npz") -> None:
        """Writes named arrays."""
        report.write_arrays(self.path / name, arrays)
        self._names(name)

    def file(self, name: str, content: str | bytes) -> None:
        """Writes a file."""
        files.write(self.path / name, content)
        self._names(name)

    def show(
        self,
        title: str,
        words: Sequence[str],
        tables: Sequence[tuple[Sequence[report.Column], Mapping[str, Sequence[Any]], str]],
        figures: Mapping[str, tuple[str, bytes]],
    ) -> None:
        """Writes the figures and summary.html, prints the tables, the findings, and what was written.

        Args:
          title: of the page.
          words: what was found, a sentence each.
          tables: columns, rows by the titles of their sections, and a caption of each.
          figures: by the names of their files, what they show and the PNG.
        """
        for name, (_, png) in figures.items():
            self.file(name, png)
        html = [report.html_table(*table) for table in tables]
        self.file("summary.html", report.page(title, words, html, dict(figures.values()), self.header))
        for table in tables:
            self.console.print(report.TextTables(*table), highlight=False)
        for sentence in words:
            self.console.print(f"- {sentence}", markup=False, highlight=False)
        self.tell_written()

    def tell_written(self) -> None:
        """Prints the names of all that was written."""
        self.console.print(f"{self.path}: {', '.join(self._written)}", markup=False, highlight=False)

    def _names(self, name: str) -> None:
        if name not in self._written:
            self._written.append(name)


def _locked(workdir: Path, folder: Path) -> Any:
    """A lock in a folder, open; it is this process's until it is closed, or the process ends in whatever way."""
    folder.mkdir(exist_ok=True)
    lock = (folder / ".lock").open("a+")
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.seek(0)
        raise UserError(f"--workdir {str(workdir)!r} is in use by process {lock.read().strip() or '?'}") from error
    lock.truncate(0)
    lock.write(f"{os.getpid()}")
    lock.flush()
    return lock
