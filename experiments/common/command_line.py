"""The command line of an experiment: flags from its config, one-line errors, exit statuses."""

import _thread
import contextlib
import dataclasses
import logging
import os
import re
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from absl import app
from absl import flags as absl_flags
from rich.console import Console
from rich.text import Text

import experiments
from experiments.common import compilation, flags, terminal
from experiments.common.flags import UserError
from experiments.common.settings import ModelSettings, Settings
from rnn_jax import distributed
from rnn_jax.mesh import DivisionError
from rnn_jax.training import CheckpointError

WORKDIR_HELP = "Folder for the results, created if missing. With --quick the default's name ends in _quick."


class FigureError(Exception):
    """Figures cannot be drawn; everything else of a run has been written."""


class Terminated(KeyboardInterrupt):
    """SIGTERM: the machine is about to be taken away; running trainings are saved as after Ctrl-C."""


def main(experiment: ModuleType, settings_class: type | None = Settings) -> None:
    """Runs an experiment's package as a program.

    Args:
      experiment: package with a docstring for `--help`, `Config`, `QUICK`, and `run(config, workdir, settings)`, which
        raises a UserError if the config cannot be run, `workdir` cannot be written or it holds a run of another config.
      settings_class: class of `settings`; None if the experiment does not resume, and `run` takes none.
    """
    sys.modules["__main__"].__doc__ = experiment.__doc__
    name = experiment.__name__.rpartition(".")[2]

    def run(config: Any, workdir: str, *settings: Any) -> None:
        # Without settings it is one process, whose run may still say how many devices JAX has.
        console = Console(quiet=bool(settings) and not distributed.is_writer())
        cache = settings[0].compilation_cache if settings else compilation.FOLDER
        if settings and isinstance(settings[0], ModelSettings) and settings[0].load is not None:
            from experiments.common import saved_models  # imports every application, which --help need not wait for

            with compilation.cached(cache):
                saved_models.apply(experiment, config, settings[0])
            return
        console.print(Text(f"{name}: results in {workdir}, compiled programs in {cache or 'no cache'}"))
        with compilation.cached(cache) as programs:
            experiment.run(config, workdir, *settings)
        console.print(Text(str(programs)))

    launch(experiment.Config, experiment.QUICK, run, f"runs/{name}", settings_class=settings_class)


def launch(
    config_class: type,
    quick: Any,
    run: Callable[..., None],
    workdir: str,
    workdir_help: str = WORKDIR_HELP,
    settings_class: type | None = None,
) -> None:
    """Defines the flags, builds the config and runs the experiment. Call it under `__main__` only.

    Every field of the config is a flag, besides `--workdir` and `--quick`. A flag on the command line takes precedence
    over `quick`, which takes precedence over the defaults. A `UserError`, or a checkpoint that cannot be written or
    read, ends the program with its message and status 2, Ctrl-C with status 130, SIGTERM with 143. If standard output
    cannot be written, or a figure not drawn, the run continues without it and ends with status 1.

    Args:
      config_class: frozen dataclass whose fields are bool, int, float, str or tuple[str, ...] (a comma list), or None.
      quick: config that `--quick` starts from; None leaves the flag out.
      run: experiment, called with a config, a workdir and, if there are any, the settings.
      workdir: default of `--workdir`.
      workdir_help: help text of `--workdir`.
      settings_class: frozen dataclass with a context manager `environment`; None if nothing is to be set.
    """
    terminal.protect()
    classes = [config_class] if settings_class is None else [config_class, settings_class]
    names = [*(name for each in classes for name in _define(each)), "workdir"]
    absl_flags.DEFINE_string("workdir", workdir, workdir_help)
    if quick is not None:
        absl_flags.DEFINE_bool("quick", False, "Run a small version that ends within a minute, to check that it works.")
        names.append("quick")

    for name in names:
        # `--help` lists the flags of the script, and these were defined here.
        absl_flags.FLAGS.register_key_flag_for_module(sys.argv[0], absl_flags.FLAGS[name])

    def run_program(argv: Sequence[str]) -> int:
        if len(argv) > 1:
            raise app.UsageError(f"unexpected argument {argv[1]!r}: every option is a flag, --name=value")
        # absl shows INFO: JAX lists every accelerator it did not find, orbax every file it writes.
        logging.getLogger("jax").setLevel(logging.WARNING)
        logging.getLogger("absl").setLevel(logging.CRITICAL)  # orbax also raises what it logs
        small = quick is not None and absl_flags.FLAGS.quick
        folder = f"{workdir}_quick" if small and not absl_flags.FLAGS["workdir"].present else absl_flags.FLAGS.workdir
        resumable = settings_class is not None
        with _errors_in_one_line(resumable):
            arguments = [_with_given_flags(quick if small else config_class()), os.path.expanduser(folder)]
            if settings_class is not None:
                arguments.append(_with_given_flags(settings_class()))
        environment: Any = contextlib.nullcontext()
        if settings_class is not None:
            environment = arguments[-1].environment(arguments[0])
        signal.signal(signal.SIGTERM, _terminate)
        sys.unraisablehook = _interrupt_again
        if signal.getsignal(signal.SIGINT) is experiments.interrupted:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        with _errors_in_one_line(resumable), environment, _errors_in_one_line(resumable):
            run(*arguments)
        return _output_status(arguments[1])

    app.run(run_program, flags_parser=parse)


def parse(argv: list[str]) -> list[str]:
    """Parses the flags as absl does, but ends with status 0 after `--help`, which is no error; returns the rest."""
    try:
        return absl_flags.FLAGS(argv)
    except absl_flags.Error:
        return app.parse_flags_with_usage(argv)  # prints the error and ends with status 1
    except SystemExit:
        sys.exit(0)


def _define(config_class: type) -> list[str]:
    """Defines a flag for every field and returns their names."""
    define: dict[type, Callable[..., Any]] = {
        bool: absl_flags.DEFINE_bool,
        int: absl_flags.DEFINE_integer,
        float: absl_flags.DEFINE_float,
        str: absl_flags.DEFINE_string,
        tuple: _define_list,
    }
    for field in dataclasses.fields(config_class):
        default = field.default if not isinstance(field.default, tuple) else list(field.default)
        define[flags.plain_type(field.type)](field.name, default, flags.help_text(config_class, field.name))
    return [field.name for field in dataclasses.fields(config_class)]


class _ListParser(absl_flags.ListParser):
    """Splits a comma list, except at the commas within the options of a `module:Name(option=1, another=2)`."""

    def parse(self, argument: Any) -> list[str]:
        names: list[str] = []
        for piece in super().parse(argument):
            last = names[-1] if names else ""
            if re.match(r"[\w.]+:\w+\(", last) and last.count("(") > last.count(")"):
                names[-1] = f"{last}, {piece}"
            else:
                names.append(piece)
        return names


def _define_list(name: str, default: list[str], help_text: str) -> None:
    absl_flags.DEFINE(_ListParser(), name, default, help_text, serializer=absl_flags.CsvListSerializer(","))


def _with_given_flags(config: Any) -> Any:
    """Returns the config with the values given on the command line.

    Raises:
      UserError: if one of the flags replaces another, or has no effect.
    """
    fields = dataclasses.fields(config)
    values = {f.name: absl_flags.FLAGS[f.name].value for f in fields if absl_flags.FLAGS[f.name].present}
    given = frozenset(values)
    for field in fields:
        if replaced := [name for name in field.metadata.get("replaces", ()) if name in values]:
            if field.name in values:
                raise UserError(f"--{field.name} replaces --{replaced[0]}: give one of them")
            values[field.name] = None  # what --quick sets
    made = dataclasses.replace(config, **{n: tuple(v) if isinstance(v, list) else v for n, v in values.items()})
    flags.check_given(made, given)
    return made


@contextlib.contextmanager
def _errors_in_one_line(resumable: bool) -> Iterator[None]:
    """Ends the program with one line and a status if its body raises an error that concerns the user."""
    try:
        yield
    except (UserError, CheckpointError, DivisionError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except FigureError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt as interrupt:
        hint = "; saved: repeat the command to resume" if resumable else ""
        reason, status = ("terminated", 143) if isinstance(interrupt, Terminated) else ("interrupted", 130)
        print(f"{reason}{hint}", file=sys.stderr)
        sys.exit(status)


def _output_status(folder: str) -> int:
    """Returns the exit status of a run that has ended: 1, with a message, if standard output could not be written."""
    if (error := getattr(sys.stdout, "error", None)) is None:
        return 0
    print(f"error: standard output cannot be written ({error.strerror}); results: {folder}", file=sys.stderr)
    return 1


def _terminate(number: int, frame: Any) -> None:
    raise Terminated


def _interrupt_again(ignored: Any) -> None:
    """Repeats an interrupt that came where Python ignores exceptions, as in the garbage collector's callback of JAX."""
    if issubclass(ignored.exc_type, KeyboardInterrupt):
        number = signal.SIGTERM if issubclass(ignored.exc_type, Terminated) else signal.SIGINT
        threading.Timer(0.05, _thread.interrupt_main, [number]).start()  # after the callback
    else:
        sys.__unraisablehook__(ignored)


def writable(workdir: str) -> Path:
    """Returns the folder `workdir`, created if missing, after a test that files can be written there.

    Raises:
      UserError: if that fails.
    """
    folder = Path(workdir).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"--workdir {workdir!r} cannot be written: {error.strerror}") from error
    return folder
