"""`python -m experiments.check` on modules of a user."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import check
from experiments.common.flags import UserError
from rnn_jax import testing

ROOT = Path(__file__).parents[1]
MODULE = """
import dataclasses
import jax, jax.numpy as jnp
from rnn_jax import Cell, tasks

@dataclasses.dataclass(frozen=True)
class Leaky(Cell):
    alpha: float = 0.5
    def init(self, key):
        return 0.3 * jax.random.normal(key, (self.hidden_size, self.hidden_size))
    def initial_state(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, self.hidden_size))
    def step(self, params, state, drive):
        return self.alpha * state + jnp.tanh(state @ params + jnp.sum(drive, axis=-1, keepdims=True))

class Normalised(Leaky):
    def step(self, params, state, drive):
        state = super().step(params, state, drive)
        return state - jnp.mean(state, axis=0, keepdims=True) if state.ndim > 1 else state

@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Short(tasks.Copying):
    sequence_length = 21

class Nothing:
    pass
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Returns the name of a user's module."""
    (tmp_path / "own_objects.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return "own_objects"


@pytest.mark.extended
def test_a_sound_cell_holds_every_property(module, capsys):
    assert check.run(f"{module}:Leaky(alpha=0.25)")
    lines = capsys.readouterr().out.splitlines()
    count = sum(line.startswith("ok ") for line in lines)  # long ones are wrapped
    assert count > len(testing.cells.PROPERTIES)
    assert lines[-1] == f"{count} of {count} properties hold."


@pytest.mark.extended
def test_a_broken_task_is_named(module, capsys):
    assert not check.run(f"{module}:Short")
    output = " ".join(capsys.readouterr().out.split())
    assert "broken Short: inputs of a batch of 2 must be [21, 2, 10], got [40, 2, 10]" in output


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("own_objects:Missing", "module 'own_objects' has no 'Missing'"),
        ("own_objects:Leaky(beta=1)", r"cannot be made with the arguments \(3, 4\): .*beta"),
        ("own_objects:Nothing", "must make a cell, layer, task, engine or estimator, got"),
        ("nowhere:Leaky", "cannot import module 'nowhere'"),
    ],
)
def test_what_cannot_be_checked_is_refused(module, path, message):
    with pytest.raises(UserError, match=message):
        check.run(path)


@pytest.mark.extended
def test_the_exit_status_says_whether_all_hold(tmp_path):
    (tmp_path / "own_objects.py").write_text(MODULE, encoding="utf-8")
    for path, status in (("own_objects:Normalised", 1), ("own_objects:Missing", 2)):
        done = subprocess.run(
            [sys.executable, "-m", "experiments.check", path],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
