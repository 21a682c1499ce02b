"""Does a user-defined cell, layer, task, engine or estimator keep its contract?

Checks the properties that the project's tests require of every cell: sequences of a batch are independent, padding and
resets change nothing else, engines equal `Scan` in value and gradient, and so on. Each is one line of the output; one
that does not hold is named in a sentence, and the exit status is 1. In your own tests: `rnn_jax.testing.check_cell`.

    python -m experiments.check my_module:MyCell                          # half a minute
    python -m experiments.check "my_module:MyTask(symbols=4)"             # with options

A cell or layer is made as (3, 4), its input size and units, a task as (20), its length, an engine or an estimator
without arguments.
"""

import functools
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from experiments.common import precision
from experiments.common.flags import UserError, user_errors
from rnn_jax import Cell, import_path
from rnn_jax.tasks import Task
from rnn_jax.testing import ContractError, cells, engines, estimators, tasks
from rnn_jax.testing.comparison import Check

__all__ = ["run"]

SIZES, LENGTH = (3, 4), 20


def run(path: str, matmul_precision: str = "highest") -> bool:
    """Checks the object at an import path, prints a line for each property, and returns whether all hold.

    Raises:
      UserError: if there is no such object, it cannot be made, or there is no contract for it.
    """
    console, failures, count = Console(), 0, 0
    with precision.products(matmul_precision):
        for check in _checks(path, _make(path)):
            count += 1
            try:
                check()
                console.print(_line(Text("ok", "green"), check.sentence))
            except ContractError as error:
                failures += 1
                console.print(_line(Text("broken", "bold red"), str(error)))
    console.print(Text(f"{count - failures} of {count} properties hold."))
    return not failures


def _line(result: Text, sentence: str) -> Table:
    line = Table.grid(padding=(0, 2))
    line.add_column(width=6)
    line.add_column(overflow="fold")
    line.add_row(result, Text(sentence))
    return line


def _make(path: str) -> Any:
    with user_errors(path):
        make = import_path.load(path, "object", "that makes a cell, layer, task, engine or estimator")
    kind = make.func if isinstance(make, functools.partial) else make
    is_task, is_cell = (isinstance(kind, type) and issubclass(kind, each) for each in (Task, Cell))
    # A function makes a cell; other classes are engines or estimators.
    arguments = (LENGTH,) if is_task else SIZES if is_cell or not isinstance(kind, type) else ()
    try:
        return make(*arguments)
    except Exception as error:  # user code may raise anything
        raise UserError(f"{path} cannot be made with the arguments {arguments}: {error}") from error


def _checks(path: str, subject: Any) -> Iterator[Check]:
    if isinstance(subject, Cell):
        return cells.checks(subject)
    if isinstance(subject, Task):
        return tasks.checks(subject)
    if callable(subject):
        return (estimators if hasattr(subject, "init") else engines).checks(subject)
    raise UserError(f"{path} must make a cell, layer, task, engine or estimator, got {subject!r}")
