"""Finished items on disk: each is a JSON file and its curves, so that what is there is not run again.

    items/NAME.json   recipe, seeds, seed, the cell's definition; the `Result`; the environment
    items/NAME.npz    of every training step, as `experiments.common.run_files` has it

NAME is the item's with dashes.
"""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from experiments.common import run_files, user_code
from experiments.common.flags import UserError
from experiments.long_dependency.config import Config, Item
from experiments.long_dependency.measurement import Outcome
from experiments.long_dependency.result import Result
from rnn_jax import report


class Store:
    """The folder `items` of a working directory, for one choice of seeds."""

    def __init__(self, folder: Path, config: Config):
        self.folder = folder / "items"
        self.seeds, self.seed = config.seeds, config.seed

    def read(self, item: Item) -> Result | None:
        """What is there of an item; None: nothing.

        Raises:
          UserError: where it was made by another recipe, or with other seeds, or is damaged.
        """
        path = self._path(item, "json")
        if not path.exists():
            return None
        try:
            content = json.loads(path.read_text())
            made = content["made_by"]
            result = Result.read(content["result"], item.recipe.published)
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise UserError(f"{path} cannot be read ({error}): delete it, and it is run again") from error
        wanted = self.made_by(item)
        if differing := [f"{key} {made.get(key)!r}" for key in wanted if made.get(key) != wanted[key]]:
            raise UserError(
                f"{path} was made otherwise, with {', '.join(differing)}: choose another --workdir, or delete it"
            )
        return result

    def clear(self) -> None:
        """Takes away all that is there."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, item: Item, outcome: Outcome) -> None:
        """Keeps a finished item; the JSON last, as it says that the item is there."""
        self.folder.mkdir(exist_ok=True)
        report.write_arrays(self._path(item, "npz"), run_files.training_arrays(item.name, outcome.history))
        content = {"made_by": self.made_by(item), "result": outcome.result, "environment": report.environment()}
        report.write_json(self._path(item, "json"), content)

    def arrays(self, items: list[Item]) -> dict[str, np.ndarray]:
        """The curves of all items, as `run_files` names them."""
        found: dict[str, np.ndarray] = {}
        for item in items:
            with np.load(self._path(item, "npz")) as content:
                found |= dict(content)
        return found

    def _path(self, item: Item, ending: str) -> Path:
        return self.folder / f"{re.sub(r'[^A-Za-z0-9_.]+', '-', item.name)}.{ending}"

    def made_by(self, item: Item) -> dict[str, Any]:
        """All that the numbers follow from, as it reads back from JSON."""
        made = report.plain(
            {"seeds": self.seeds, "seed": self.seed, "network": item.trainer.model.cell, **_fields(item)}
        )
        return json.loads(json.dumps({**made, **user_code.digests(made)}))


def _fields(item: Item) -> dict[str, Any]:
    """The recipe's, but for the published number: what stands beside a result does not make it another."""
    return {key: value for key, value in vars(item.recipe).items() if key != "published"}
