"""Tasks at an import path: found, checked before training, and taken by every command that takes a task."""

import pytest

from experiments.dynamics import config as dynamics
from experiments.gradient_norms import Config, plan
from rnn_jax import tasks

REPEAT = """
import dataclasses, math
import jax, jax.numpy as jnp
from rnn_jax import tasks

@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class RepeatPrevious(tasks.Classification):
    length: int = 10
    symbols: int = 4
    dependency, variant = 1, "users"

    @property
    def sequence_length(self): return self.length

    @property
    def input_size(self): return self.symbols

    @property
    def output_size(self): return self.symbols

    @property
    def baseline(self): return math.log(self.symbols)

    def sequence(self, key):
        symbols = jax.random.randint(key, (self.length + 1,), 0, self.symbols)
        return tasks.Batch(jax.nn.one_hot(symbols[1:], self.symbols), symbols[:-1], jnp.ones(self.length))

    def solved(self, metrics): return metrics["accuracy"] > 0.99
"""
REGISTERED = "@jax.tree_util.register_static\n@dataclasses.dataclass(frozen=True)\n"
VARIANTS = {
    "repeating": REPEAT,
    "far": REPEAT.replace("variant = 1", "variant = 3") + "\nfrom rnn_jax import GRU as Own\n",
    "unregistered": REPEAT.replace("@jax.tree_util.register_static\n", ""),
    "undecorated": REPEAT.replace(REGISTERED, "class Undecorated: pass\n"),
    "inheriting": REPEAT.replace("RepeatPrevious", "Base") + "\nclass RepeatPrevious(Base): pass\n",
    "initialised": REPEAT.replace(REGISTERED, "").replace(
        "    length: int = 10\n    symbols: int = 4\n",
        "    length = symbols = 4\n    def __init__(self, length): self.length = length\n",
    ),
    "unhashable": REPEAT.replace(
        "symbols: int = 4", "symbols: int = 4\n    sizes: object = dataclasses.field(default_factory=list)"
    ),
    "wide": REPEAT.replace("input_size(self): return self.symbols", "input_size(self): return 7"),
    "late": REPEAT.replace("symbols[:-1], jnp", "symbols, jnp"),
    "flat": REPEAT.replace("symbols[:-1], jnp", "symbols[:-1] / 2, jnp"),
    "broken": REPEAT.replace("self.length + 1", "self.lenght + 1"),
    "unmeasured": REPEAT.replace(
        "def solved", "def metrics(self, outputs, batch): return {'mse': 0.0}\n    def solved"
    ),
    "unfinished": REPEAT.replace("def solved", "def is_solved"),
    "not_a_task": "def RepeatPrevious(length): return length\n",
}


@pytest.fixture
def users(tmp_path, monkeypatch):
    for name, code in VARIANTS.items():
        (tmp_path / f"users_{name}.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)


def test_finds_a_task_at_an_import_path(users):
    task = tasks.find("users_repeating:RepeatPrevious(symbols=3)", 7)
    assert (task.length, task.input_size, task.metric) == (7, 3, "accuracy")
    assert task == tasks.find("users_repeating:RepeatPrevious(symbols=3)", 7)


def test_an_experiment_takes_it(users):
    config = Config(tasks=("users_repeating:RepeatPrevious",), cells=("rnn",), inits="default", length=6)
    (run,) = plan(config)
    assert run.task.sequence_length == 6


def test_dynamics_takes_it_with_a_user_defined_cell(users):
    config = dynamics.Config(
        task="users_far:RepeatPrevious(symbols=3)", cells=("rnn", "users_far:Own(update_bias=2.0)"), length=6
    )
    _, own = dynamics.plan(config)
    assert (own.task.sequence_length, own.trainer.model.cell.update_bias) == (6, 2.0)
    assert own.label == "Own(update_bias=2.0)"


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        (
            "unregistered",
            "write @jax.tree_util.register_static and @dataclasses.dataclass(frozen=True) above class Rep",
        ),
        ("undecorated", "takes no arguments"),
        ("inheriting", "write @jax.tree_util.register_static and @dataclasses.dataclass(frozen=True) above class Rep"),
        ("initialised", "in place of an __init__ that sets it write\n\n@dataclasses.dataclass(frozen=True)"),
        ("unhashable", "cannot be made as (length): RepeatPrevious: sizes must be hashable, got list"),
        ("wide", "inputs of a batch of 2 must be [5, 2, 7], got [5, 2, 4]"),
        ("late", "classes of a batch of 2 must be [5, 2], got [6, 2]"),
        ("flat", "targets of a batch of 2 must be [5, 2, 4], got [5, 2]"),
        ("broken", "cannot be used: AttributeError: 'RepeatPrevious' object has no attribute 'lenght'"),
        ("unmeasured", "metrics must have accuracy, loss, got mse"),
        ("unfinished", "cannot be made as (length): Can't instantiate abstract class RepeatPrevious"),
        ("not_a_task", "must make a rnn_jax.tasks.Task, got int"),
        ("absent", "cannot import module 'users_absent'"),
    ],
)
def test_a_task_that_cannot_be_used_is_refused_with_the_reason(users, variant, words):
    with pytest.raises(ValueError, match="task 'users_") as error:
        tasks.find(f"users_{variant}:RepeatPrevious", 5)
    assert words in str(error.value)
