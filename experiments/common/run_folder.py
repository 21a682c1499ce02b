"""The folder of a run: its lock, its config, checkpoints and results, and the report shown at its end."""

import dataclasses
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import filelock
import numpy as np
from rich.console import Console
from rich.text import Text

from experiments.common import precision, user_code
from experiments.common.command_line import FigureError, writable
from experiments.common.flags import UserError
from experiments.common.profiling import Profile
from experiments.common.settings import ModelSettings, Settings
from rnn_jax import distributed, files, models, plotting, report, training


@dataclasses.dataclass(frozen=True)
class Table:
    """A table: columns, rows by the titles of their sections, and a caption that explains the columns."""

    columns: Sequence[report.Column]
    sections: Mapping[str, Sequence[Any]]
    caption: str


@dataclasses.dataclass(frozen=True)
class Report:
    """What a finished run shows, on the terminal and as summary.html.

    Args:
      title: heading of the page.
      findings: sentences computed from the measurements, at most five.
      tables: tables, most important first.
      figures: caption and drawing of each figure, by file name; drawn when everything else has been written.
    """

    title: str
    findings: Sequence[str]
    tables: Sequence[Table]
    figures: plotting.Drawings


class RunFolder:
    """Folder in which a run of an experiment keeps its results, and the terminal that shows them.

    One process at a time may use it. Every training has its own subfolder `training/NAME` with its checkpoints and
    metrics.jsonl.
    """

    def __init__(
        self,
        config: Any,
        workdir: str,
        settings: Settings = Settings(),
        header: Mapping[str, Any] | None = None,
        grows: bool = False,
    ):
        """Creates the folder and writes config.json.

        Args:
          config: config of the experiment.
          workdir: path of the folder.
          settings: settings of the run.
          header: entries of results.json in addition to the config and the environment.
          grows: whether runs of other configs may be added; every training's own config is then compared instead.

        Raises:
          UserError: if `workdir` cannot be written, another process uses it, or it holds a run of another config.
        """
        self._settings = settings.checked()
        shared = writable(workdir)
        writer = distributed.is_writer()
        # Of several processes one writes; what the others would write goes into a temporary folder.
        self._unseen = None if writer else tempfile.TemporaryDirectory()
        self.path = shared if self._unseen is None else Path(self._unseen.name)
        self.console = Console(quiet=not writer)
        self.header: dict[str, Any] = {"config": config, "environment": report.environment(), **(header or {})}
        self._trainings = shared / "training"
        self._lock = _lock(shared, self._trainings) if writer else None
        plain = report.plain(config)
        self._config = {**plain, **user_code.digests(plain)}
        self._written = ["config.json"]
        seconds = self._settings.profile
        self._profile = None if seconds is None else Profile(self.path / "profile", seconds)
        scratch = not settings.resume
        if settings.resume and not grows:
            what, otherwise = f"--workdir {str(self.path)!r} holds a run", "choose another --workdir, or start from"
            resumed = self._resumed(self.path, self._config, what, f"{otherwise} scratch with --noresume")
            self._config, scratch = resumed or self._config, resumed is None
        if not scratch:
            self._compare_mesh()
        if scratch and writer:
            for folder in self._trainings.glob("*/"):
                shutil.rmtree(folder)
        report.write_json(self.path / "config.json", self._config)

    def _resumed(self, folder: Path, given: Any, what: str, otherwise: str) -> Any | None:
        """Returns the config under which the work in a folder is resumed; None if it is to be run again."""
        path = folder / "config.json"
        if not path.exists():
            return given
        try:
            saved = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read ({error}); start from scratch with --noresume") from error
        return user_code.resumed(saved, given, self._settings.stale, what, otherwise)

    def _compare_mesh(self) -> None:
        """Reports, and records, that a run resumes on a mesh of another shape than before."""
        try:
            before = json.loads((self.path / "results.json").read_text(encoding="utf-8"))["environment"]["mesh"]
        except (OSError, ValueError, KeyError, TypeError):  # none written, or damaged
            return
        environment = self.header["environment"]
        now, last = environment["mesh"], before.split(" then ")[-1]
        if now != last:
            self.print(
                f"resumed on other devices, --mesh={now}: from here on numbers are equal up to rounding only; "
                f"--mesh={last} continues bit for bit"
            )
        environment["mesh"] = before if now == last else f"{before} then {now}"

    @property
    def saves_models(self) -> bool:
        """Whether trained networks are written."""
        return isinstance(self._settings, ModelSettings) and self._settings.save_model

    def model(self, name: str, trained: models.Trained) -> None:
        """Writes a trained network, with the run's config and digests of user-defined code among its notes."""
        path = Path("models", user_code.file_name(name))
        notes = {"network": name, **trained.notes, "config": self._config}
        notes["matmul_precision"] = self.header["config"].matmul_precision
        models.save(self.path / path, dataclasses.replace(trained, notes=notes))
        self._add_written(path.as_posix())

    def session(self, name: str, config: Any = None) -> training.Session:
        """Returns the session of one training of this run.

        Args:
          name: name of the training.
          config: everything that the training follows from; None means the whole config.

        Raises:
          UserError: if the folder holds that training with another config of its own.
        """
        folder = self._trainings / user_code.file_name(name)
        return training.Session(
            folder,
            self._config if config is None else self._own(folder, name, report.plain(config)),
            self._settings.checkpoint_seconds,
            self._settings.keep,
            self._settings.tensorboard,
            advance=self._start_profile,
            report=lambda message: self.print(f"{name}: {message}"),
        )

    def _own(self, folder: Path, name: str, given: Any) -> Any:
        """Returns the config under which a training with one of its own starts or continues, and writes it."""
        resumed = self._resumed(folder, given, f"{folder} holds the training {name}", "choose another --workdir")
        if self._unseen is None:
            if resumed is None:
                shutil.rmtree(folder)
            folder.mkdir(parents=True, exist_ok=True)
            report.write_json(folder / "config.json", resumed or given)
        return resumed or given

    def _start_profile(self, _: int) -> None:
        """Called at every log point of every training; the first call starts the profile."""
        if self._profile is not None:
            self._profile.start()

    def print(self, line: str) -> None:
        """Prints a line as it is, without markup."""
        self.console.print(Text(line))

    def results(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Rewrites results.json; called whenever there are more records."""
        report.write_json(self.path / "results.json", {**self.header, "results": records})
        self._add_written("results.json")

    def arrays(self, arrays: Mapping[str, np.ndarray], name: str = "arrays.npz") -> None:
        """Writes named arrays."""
        report.write_arrays(self.path / name, arrays)
        self._add_written(name)

    def file(self, name: str, content: str | bytes) -> None:
        """Writes a file."""
        files.write(self.path / name, content)
        self._add_written(name)

    def show(self, shown: Report) -> None:
        """Writes figures and summary.html; prints the tables, the findings and the names of the files.

        Raises:
          FigureError: if some figures cannot be drawn; the rest is written and printed before.
        """
        pngs: dict[str, bytes] = {}
        errors: list[Exception] = []
        for name, (caption, draw) in shown.figures.items():
            try:
                pngs[caption] = draw()
            except Exception as error:  # matplotlib raises nearly anything
                error.add_note(name)
                errors.append(error)
            else:
                self.file(user_code.file_name(name), pngs[caption])
        sentence = precision.caption()
        tables = [(t.columns, t.sections, f"{t.caption.rstrip()} {sentence}\n".lstrip()) for t in shown.tables]
        html = [report.html_table(*table) for table in tables]
        self.file("summary.html", report.page(shown.title, shown.findings, html, pngs, self.header))
        for table in tables:
            self.console.print(report.TextTables(*table), highlight=False)
        for sentence in shown.findings:
            self.print(f"- {sentence}")
        self.print_written()
        if errors:
            reasons = "; ".join(f"{e.__notes__[-1]} ({type(e).__name__}: {' '.join(str(e).split())})" for e in errors)
            raise FigureError(f"cannot be drawn: {reasons}; everything else is written") from errors[0]

    def print_written(self) -> None:
        """Prints the names of all files written."""
        self.print(f"{self.path}: {', '.join(self._written)}")

    def _add_written(self, name: str) -> None:
        if name not in self._written:
            self._written.append(name)


def _lock(workdir: Path, folder: Path) -> filelock.BaseFileLock:
    """Returns a lock on `folder`; it ends with the last reference to it, or when the process ends in any way."""
    folder.mkdir(exist_ok=True)
    # One lock a path, so that a process may open its own folder again.
    lock = filelock.FileLock(str(folder.resolve() / ".lock"), is_singleton=True)
    holder = folder / ".process"  # Windows lets nobody else read a locked file
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout as error:
        process = holder.read_text(encoding="utf-8") if holder.exists() else "?"
        raise UserError(f"--workdir {str(workdir)!r} is in use by process {process}") from error
    files.write(holder, str(os.getpid()))
    return lock
