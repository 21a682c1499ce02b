"""A part of the benchmark is a list of jobs; a job ends in flat records."""

import dataclasses
from collections.abc import Callable
from typing import Any

Record = dict[str, Any]  # flat, as JSON has it; with "part", the name of the module that made it


@dataclasses.dataclass(frozen=True)
class Job:
    """One comparison.

    Args:
      title: shown while it runs.
      run: does it.
    """

    title: str
    run: Callable[[], list[Record]]
