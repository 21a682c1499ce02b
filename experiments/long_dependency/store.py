"""Finished items on disk, a JSON file and the curves of each, so that they are not run again.

    items/NAME.json   recipe, seeds, seed, the cell's definition; the `Result`; the environment
    items/NAME.npz    curves over every training step, named as in `experiments.common.records`

NAME is the item's name with dashes.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from experiments.common import records, user_code
from experiments.common.flags import UserError
from experiments.long_dependency.config import Config, Item
from experiments.long_dependency.measurement import Outcome
from experiments.long_dependency.result import Result
from rnn_jax import report


class Store:
    """The folder `items` of a run folder, for one choice of seeds."""

    def __init__(self, folder: Path, config: Config, stale: str):
        self.folder, self.trainings = folder / "items", folder / "training"
        self.stale = stale
        self.shared = {name: getattr(config, name) for name in ("seeds", "seed", "matmul_precision", "engine")}

    def read(self, items: list[Item]) -> list[Result | None]:
        """Returns the saved result of each item, or None.

        Raises:
          UserError: if one was made by another recipe, seeds or code, or its file is corrupt; it names all such files.
        """
        results, refused = [], {}
        for item in items:
            try:
                results.append(self._read(item))
            except UserError as error:
                refused[self._path(item, "json").name] = error
        if refused:
            first, *others = refused
            raise UserError(f"{refused[first]}{'; likewise ' if others else ''}{', '.join(others)}")
        return results

    def _read(self, item: Item) -> Result | None:
        path = self._path(item, "json")
        if not path.exists():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            result = Result.read(content["result"], item.recipe.published)
            saved = content["made_by"]
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise UserError(f"{path} cannot be read ({error}): delete it to run the item again") from error
        otherwise = "choose another --workdir, or delete it"
        return user_code.resumed(saved, self.config(item), self.stale, f"{path} is", otherwise) and result

    def clear(self) -> None:
        """Deletes all saved items."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, item: Item, outcome: Outcome) -> None:
        """Saves a finished item; the JSON file last, as its presence marks the item as finished."""
        self.folder.mkdir(exist_ok=True)
        report.write_arrays(self._path(item, "npz"), records.training_arrays(item.name, outcome.history))
        started = (self.trainings / user_code.file_name(item.name) / "config.json").read_text(encoding="utf-8")
        content = {"made_by": json.loads(started), "result": outcome.result, "environment": report.environment()}
        report.write_json(self._path(item, "json"), content)

    def arrays(self, items: list[Item]) -> dict[str, np.ndarray]:
        """Returns the curves of all items."""
        arrays: dict[str, np.ndarray] = {}
        for item in items:
            with np.load(self._path(item, "npz")) as content:
                arrays |= dict(content)
        return arrays

    def _path(self, item: Item, ending: str) -> Path:
        return self.folder / f"{user_code.file_name(item.name)}.{ending}"

    def config(self, item: Item) -> dict[str, Any]:
        """Returns everything that an item's numbers follow from, in JSON's types."""
        made = report.plain({**self.shared, "network": item.trainer.model.cell, **_fields(item)})
        return json.loads(json.dumps({**made, **user_code.digests(made)}))


def _fields(item: Item) -> dict[str, Any]:
    """Returns the recipe's fields except the published number, on which no result depends."""
    return {key: value for key, value in vars(item.recipe).items() if key != "published"}
