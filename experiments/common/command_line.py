"""Flags from the fields of an experiment's frozen Config, and errors told in one line."""

import contextlib
import dataclasses
import logging
import math
import signal
import sys
import tempfile
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from absl import app, flags

from rnn_jax.mesh import DivisionError
from rnn_jax.training import CheckpointError


class UserError(Exception):
    """What the user gave cannot be run; the message names the thing, the value got and what is wanted."""


class Terminated(KeyboardInterrupt):
    """SIGTERM: the machine is to be given back; what is under way is saved as at an interrupt."""


def setting(default: Any, help_text: str) -> Any:
    """A Config field with its help text."""
    return dataclasses.field(default=default, metadata={"help": help_text})


def check_positive(config: Any, *names: str) -> None:
    """Refuses fields that are not finite numbers above 0; None is one that was not given.

    Raises:
      UserError: with the first one's flag.
    """
    for name in names:
        value = getattr(config, name)
        if value is not None and not 0 < value < math.inf:
            wanted = "a positive number" if isinstance(value, float) else "positive"
            raise UserError(f"--{name} must be {wanted}, got {value}")


def check_shares(config: Any, *names: str) -> None:
    """Refuses fields that are not from 0 to below 1.

    Raises:
      UserError: with the first one's flag.
    """
    for name in names:
        if not 0 <= getattr(config, name) < 1:
            raise UserError(f"--{name} must be from 0 to below 1, got {getattr(config, name)}")


def launch(
    config_class: type,
    quick: Any,
    run: Callable[..., None],
    workdir: str,
    workdir_help: str = "Folder for the results; made where it is not there. With --quick its name ends in _quick.",
    settings_class: type | None = None,
) -> None:
    """Defines the flags, builds the config and runs the experiment. Call it under `__main__` only.

    Every field of the config is a flag, beside `--workdir` and `--quick`. A flag given on the command line wins over
    `quick`, which wins over the defaults.

    Args:
      config_class: a frozen dataclass whose fields are bool, int, float, str or tuple[str, ...] (a comma list), or
        None.
      quick: the config that `--quick` starts from; None: there is no such flag.
      run: the experiment, of a config, a workdir, and settings where there are some. A `UserError` it raises, or a
        checkpoint that cannot be written or read, ends the program with its message and status 2, an interrupt with
        status 130, SIGTERM with 143.
      workdir: default of `--workdir`.
      workdir_help: what `--help` says of it.
      settings_class: of how it is run, likewise a frozen dataclass, with a context `surroundings`; None: nothing is to
        be set.
    """
    classes = [config_class] if settings_class is None else [config_class, settings_class]
    names = [*(name for each in classes for name in _define(each)), "workdir"]
    flags.DEFINE_string("workdir", workdir, workdir_help)
    if quick is not None:
        flags.DEFINE_bool("quick", False, "A small version that ends within a minute; to see that everything works.")
        names.append("quick")

    for name in names:
        # `--help` lists the flags of the script, and these were defined here.
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS[name])

    def main(argv: Sequence[str]) -> None:
        if len(argv) > 1:
            raise app.UsageError(f"unexpected argument {argv[1]!r}: every option is a flag, --name=value")
        # absl shows INFO, and JAX tells there of every kind of accelerator that it did not find, orbax of every file.
        logging.getLogger("jax").setLevel(logging.WARNING)
        logging.getLogger("absl").setLevel(logging.CRITICAL)  # what orbax logs as an error it raises, and that is told
        small = quick is not None and flags.FLAGS.quick
        folder = f"{workdir}_quick" if small and not flags.FLAGS["workdir"].present else flags.FLAGS.workdir
        given = [_given(quick if small else config_class()), folder]
        surroundings: Any = contextlib.nullcontext()
        if settings_class is not None:
            given.append(_given(settings_class()))
            surroundings = given[-1].surroundings()
        signal.signal(signal.SIGTERM, _terminated)
        with _told(resumable=settings_class is not None), surroundings, _told(resumable=settings_class is not None):
            run(*given)

    app.run(main)


def _define(config_class: type) -> list[str]:
    """A flag for every field; their names."""
    define: dict[type, Callable[..., Any]] = {
        bool: flags.DEFINE_bool,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        str: flags.DEFINE_string,
        tuple: flags.DEFINE_list,
    }
    for field in dataclasses.fields(config_class):
        default = field.default if not isinstance(field.default, tuple) else list(field.default)
        define[_plain_type(field.type)](field.name, default, field.metadata["help"])
    return [field.name for field in dataclasses.fields(config_class)]


def _given(config: Any) -> Any:
    """The config with what the command line says."""
    given = {f.name: flags.FLAGS[f.name] for f in dataclasses.fields(config) if flags.FLAGS[f.name].present}
    values = {n: tuple(f.value) if isinstance(f.value, list) else f.value for n, f in given.items()}
    return dataclasses.replace(config, **values)


@contextlib.contextmanager
def _told(resumable: bool) -> Iterator[None]:
    """Ends the program with a line where what is inside raises what a user has to do with."""
    try:
        yield
    except (UserError, CheckpointError, DivisionError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as interrupt:
        saved = "; the same command goes on from where it was saved" if resumable else ""
        told, status = ("terminated", 143) if isinstance(interrupt, Terminated) else ("interrupted", 130)
        print(f"{told}{saved}", file=sys.stderr)
        sys.exit(status)


def _terminated(number: int, frame: Any) -> None:
    raise Terminated


def writable(workdir: str) -> Path:
    """The folder `workdir`, made if need be, in which a file has been written and taken away again.

    Raises:
      UserError: where that cannot be done.
    """
    folder = Path(workdir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"--workdir {workdir!r} cannot be written: {error.strerror}") from error
    return folder


def _plain_type(annotation: Any) -> type:
    """`int` of `int | None`, `tuple` of `tuple[str, ...]`."""
    if isinstance(annotation, types.UnionType):
        (annotation,) = (a for a in typing.get_args(annotation) if a is not types.NoneType)
    return typing.get_origin(annotation) or annotation
