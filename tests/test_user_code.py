"""A run resumes only with the code of user-defined cells and tasks that it was started with."""

import dataclasses
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments import long_dependency
from experiments.common import user_code
from experiments.common.flags import UserError
from experiments.common.run_folder import RunFolder
from experiments.common.settings import Settings
from experiments.long_dependency import measurement
from experiments.long_dependency.result import Result
from rnn_jax import training
from tests.test_run_folder import _Config

FILES = {
    "users/__init__.py": "",
    "users/cells.py": "from users import base\nfrom .base import size as size_of\nclass Cell(base.Base): pass\n",
    "users/base.py": "import numpy, users_constants\nclass Base: pass\ndef size(): return users_constants.SIZE\n",
    "users_constants.py": "SIZE = 3\ndef late():\n    import users_late\n",
    "users_late.py": "SIZE = 4\n",
    "users_other.py": "class Cell: pass\n",
}


def digests(*names: str) -> dict[str, str]:
    return user_code.digests({"cells": list(names)})


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Modules of a user, imported as by the flags that name them."""
    (tmp_path / "users").mkdir()
    for name, content in FILES.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.startswith("users")]:
        monkeypatch.delitem(sys.modules, name)
    importlib.import_module("users.cells")
    importlib.import_module("users_other")
    return tmp_path


def test_every_local_module_that_a_cell_is_made_of_counts_and_no_other(code: Path) -> None:
    named = ["users", "users.base", "users.cells", "users_constants", "users_late"]
    assert list(digests("lstm", "users.cells:Cell", "numpy:ndarray")) == [f"code of {name}" for name in named]
    assert digests("users.cells:Cell(size=3)") == digests("users.cells:Cell") == digests("bi_users.cells:Cell")
    assert list(digests("users_other:Cell")) == ["code of users_other"]
    assert digests("lstm", "rnn_jax.cells.lstm:LSTM", "dataclasses:dataclass", "absent:Cell", "C:/data") == {}
    assert "users_late" not in sys.modules  # looked up, not imported


def test_a_base_class_counts_wherever_it_comes_from(code: Path) -> None:
    (code / "users_made.py").write_text(
        "import sys\nclass Cell(sys.modules['users_other'].Cell): pass\n", encoding="utf-8"
    )
    importlib.import_module("users_made")
    assert list(digests("users_made:Cell")) == ["code of users_made", "code of users_other"]


@pytest.mark.parametrize(
    ("file", "content", "changed"),
    [
        ("users/base.py", FILES["users/base.py"].replace("SIZE", "SIZE + 1"), True),
        ("users_constants.py", FILES["users_constants.py"].replace("3", "5"), True),
        ("users_late.py", "SIZE = 6\n", True),
        ("users_other.py", "class Cell: size = 3\n", False),
        (
            "users_constants.py",
            '"""Constants."""\n# One.\nSIZE =   3\ndef late():\n  "It."\n  import users_late\n',
            False,
        ),
    ],
)
def test_a_change_of_code_counts_and_one_of_comments_or_layout_does_not(
    file: str, content: str, changed: bool, code: Path
) -> None:
    before = digests("users.cells:Cell")
    (code / file).write_text(content, encoding="utf-8")
    assert (digests("users.cells:Cell") != before) == changed


def test_a_run_of_other_code_is_refused_run_again_or_kept(code: Path, tmp_path: Path) -> None:
    config, workdir = _Config(names=("lstm", "users.cells:Cell")), tmp_path / "run"
    RunFolder(config, str(workdir))
    before = (workdir / "config.json").read_bytes()
    training = workdir / "training" / "a"
    training.mkdir()
    (code / "users_constants.py").write_text("SIZE = 4\n", encoding="utf-8")
    message = r"another config \(code of users_constants: .*--noresume; --stale=rerun runs it again, --stale=keep keeps"
    with pytest.raises(UserError, match=message):
        RunFolder(config, str(workdir))
    kept = RunFolder(config, str(workdir), Settings(stale="keep"))
    assert kept.session("a").config == json.loads(before)  # that of its checkpoints
    assert (workdir / "config.json").read_bytes() == before
    assert training.exists()
    del kept
    with pytest.raises(UserError, match=r"size: 3 there, 4 here; code of .*--noresume$"):
        RunFolder(_Config(4, config.names), str(workdir), Settings(stale="rerun"))
    RunFolder(config, str(workdir), Settings(stale="rerun"))
    assert not training.exists()
    RunFolder(config, str(workdir))


def test_a_training_with_a_config_of_its_own_is_refused_run_again_or_kept(tmp_path: Path) -> None:
    def start(code: str, **settings: Any) -> Any:
        return RunFolder(_Config(), str(tmp_path), Settings(**settings), grows=True).session(
            "a/b", made | {"code of c": code}
        )

    made = {"cell": "c:Cell"}
    checkpoint = start("1").folder / "checkpoint"
    checkpoint.touch()
    assert start("1").config == made | {"code of c": "1"}
    with pytest.raises(UserError, match=r'holds the training a/b of another config \(code of c: "1" there, "2" here'):
        start("2")
    assert start("2", stale="keep").config == made | {"code of c": "1"}
    assert checkpoint.exists()
    assert start("2", stale="rerun").config == made | {"code of c": "2"}
    assert not checkpoint.exists()


def test_only_the_items_of_changed_code_are_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("users_one", "users_two"):
        (tmp_path / f"{name}.py").write_text(
            "import rnn_jax\ndef Cell(d, h): return rnn_jax.VanillaRNN(d, h)\n", encoding="utf-8"
        )
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    sizes: dict[str, Any] = {"lengths": ("5", "6"), "hidden_size": 3, "batch_size": 2, "steps": 2, "seeds": 1}
    config = long_dependency.Config(cells=("users_one:Cell", "users_two:Cell"), **sizes)
    ran = []

    def measure(item: Any, seeds: int, seed: int, update: Any, session: training.Session) -> Any:
        """As fast as it can be: a training of two steps."""
        ran.append(item.name)
        curves, zeros = {"loss": [[0.1]], "mse": [[0.1]]}, np.zeros((1, 2))
        result = dataclasses.replace(Result.waiting(item, seeds), finished=True, steps=[2], curves=curves)
        update(result)
        return measurement.Outcome(result, training.StepMetrics(zeros, zeros, {}, zeros))

    def run(**settings: Any) -> list[str]:
        ran.clear()
        long_dependency.run(config, str(tmp_path / "run"), Settings(**settings))
        return sorted(ran)

    monkeypatch.setattr(long_dependency, "measure", measure)
    monkeypatch.setattr(long_dependency.figures, "draw", lambda results: {})
    assert len(run()) == 4
    with (tmp_path / "users_two.py").open("a", encoding="utf-8") as file:
        file.write("# A comment.\n")
    assert run() == []
    with (tmp_path / "users_two.py").open("a", encoding="utf-8") as file:
        file.write("SIZE = 3\n")
    files = ("adding-5-users_two-Cell.json", "adding-6-users_two-Cell.json")
    with pytest.raises(
        UserError, match=rf"{files[0]} is of another config \(code of users_two: .*; likewise {files[1]}$"
    ):
        run()
    assert run(stale="keep") == []
    assert run(stale="rerun") == ["adding/5/users_two:Cell", "adding/6/users_two:Cell"]
    assert run() == []
