"""The catalogue names every experiment, as its README does."""

import dataclasses
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.catalogue import CATALOGUE
from experiments.common.flags import UserError

ROOT = Path(__file__).parents[1]
NOT_EXPERIMENTS = {"baselines", "common", "notebooks", "peers", "results"}


def test_every_folder_is_an_experiment_of_the_catalogue() -> None:
    folders = {
        path.name for path in (ROOT / "experiments").iterdir() if path.is_dir() and not path.name.startswith("_")
    }
    assert folders - NOT_EXPERIMENTS == {entry.name for entry in CATALOGUE}


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry.name)
def test_an_experiment_has_the_shared_shape(entry) -> None:
    module = importlib.import_module(f"experiments.{entry.name}")
    assert module.__doc__ is not None
    assert f"python -m experiments.{entry.name}" in module.__doc__
    assert callable(module.run)
    assert (ROOT / "experiments" / entry.name / "__main__.py").exists()


@pytest.mark.parametrize("seed", [-1, 2**31, 2**70])
@pytest.mark.parametrize("name", [entry.name for entry in CATALOGUE])
def test_a_seed_that_jax_would_take_for_another_is_refused(name, seed, tmp_path) -> None:
    module = importlib.import_module(f"experiments.{name}")
    if not hasattr(module, "Config") or "seed" not in module.Config.__dataclass_fields__:
        pytest.skip("no seed")
    with pytest.raises(UserError, match=f"--seed must be from 0 to 2147483647, got {seed}"):
        module.run(dataclasses.replace(module.QUICK, seed=seed), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_the_readme_has_the_same_questions_and_minutes() -> None:
    text = (ROOT / "experiments" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[`(\w+)`\]\([^)]*\) \| (.*?) \| (\d+) \|$", text, re.MULTILINE)
    assert rows == [(entry.name, entry.question, str(entry.minutes)) for entry in CATALOGUE]


def test_the_command_prints_every_experiment() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "experiments"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    for entry in CATALOGUE:
        assert entry.name in done.stdout
