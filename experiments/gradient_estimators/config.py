"""What is run: the config, its flags' meaning, and the problems it makes, checked before anything is run."""

import dataclasses
from collections.abc import Sequence

from experiments.common import networks
from experiments.common.flags import UserError, setting
from experiments.gradient_estimators import text
from rnn_jax import BPTT, RTRL, TBPTT, UORO, EProp, ReadoutModel, SnAp, cells, tasks, training
from rnn_jax.gradients import Estimator

TASKS = ("adding", "copying", "characters")
SEQUENCE = {"adding": 20, "copying": 10, "characters": 40}  # T of the definition; copying has 20 steps more
MEASURED = 16  # sequences on which gradients are compared


@dataclasses.dataclass(frozen=True)
class Config:
    """What is run; every field is a flag."""

    tasks: tuple[str, ...] = setting(TASKS, f"Comma list of {', '.join(TASKS)}.")
    cells: tuple[str, ...] = setting(
        ("lstm", "gru"), f"Comma list of {', '.join(cells.CELLS)}, or your own as module:Class."
    )
    hidden_size: int = setting(12, "Units of the hidden state.")
    batch_size: int = setting(8, "Sequences (or streams of characters) an optimization step.")
    segment: int = setting(5, "Segment of truncated BPTT, in steps; characters are learnt after each so many.")
    steps: int = setting(300, "Optimization steps.")
    learning_rate: float = setting(0.01, "Adam's learning rate; gradients are clipped at norm 1.")
    lengths: tuple[str, ...] = setting(("64", "512"), "Comma list of T at which a gradient is timed, in steps.")
    draws: int = setting(64, "Keys over which the mean and the spread of random estimates are taken.")
    text: str | None = setting(None, "File of the characters, UTF-8; by default the source of Python's argparse.")
    seeds: int = setting(3, "Networks of each cell, all in one compiled program.")
    seed: int = setting(0, "From which every random number follows.")


QUICK = Config(tasks=("adding",), cells=("gru",), hidden_size=8, steps=100, lengths=("32",), draws=16, seeds=2)


@dataclasses.dataclass(frozen=True)
class Problem:
    """A cell on a task."""

    task_name: str
    cell_name: str
    task: tasks.Task
    model: ReadoutModel

    def trainer(self, config: Config, estimator: Estimator) -> training.Trainer:
        """Of all estimators alike."""
        optimizer, clip = training.Adam(config.learning_rate), training.ClipByNorm(1.0)
        return training.Trainer(self.model, config.batch_size, optimizer, clip, estimator)

    def estimators(self, config: Config) -> dict[str, Estimator]:
        """Those that serve the cell, by name."""
        found: dict[str, Estimator] = {
            "BPTT": BPTT(),
            f"TBPTT {config.segment}": TBPTT(config.segment),
            f"TBPTT {config.segment}, {2 * config.segment}": TBPTT(config.segment, 2 * config.segment),
            "RTRL": RTRL(),
            "SnAp-1": SnAp(1),
            "e-prop": EProp(),
            "UORO": UORO(),
        }
        if not self.model.cell.is_split:
            del found["e-prop"]
        return found


def lengths(config: Config) -> list[int]:
    """The values of --lengths, rising.

    Raises:
      UserError: where they are no lengths, or too short for the windows.
    """
    least = 2 * config.segment
    if not config.lengths or not all(t.isdecimal() and int(t) >= least for t in config.lengths):
        raise UserError(f"--lengths must be numbers of at least {least} steps, got {','.join(config.lengths)!r}")
    return sorted({int(text) for text in config.lengths})


def plan(config: Config) -> list[Problem]:
    """Every cell on every task.

    Raises:
      UserError: where a flag's value cannot be run.
    """
    for name in ("hidden_size", "batch_size", "segment", "steps", "learning_rate", "draws", "seeds"):
        if not getattr(config, name) > 0:
            raise UserError(f"--{name} must be positive, got {getattr(config, name)}")
    _check_names("tasks", config.tasks, TASKS)
    _check_names("cells", config.cells, ())
    if config.segment > min(SEQUENCE.values()):
        raise UserError(f"--segment must be at most {min(SEQUENCE.values())}, got {config.segment}")
    problems = []
    for task_name in config.tasks:
        task = _task(config, task_name)
        for cell_name in config.cells:
            model = networks.make_model(cell_name, task, config.hidden_size)
            networks.probe_on_task(cell_name, model, task)
            problems.append(Problem(task_name, cell_name, task, model))
    return problems


def _check_names(flag: str, names: Sequence[str], known: Sequence[str]) -> None:
    if not names or len(set(names)) < len(names):
        raise UserError(f"--{flag} must name at least one and none twice, got {','.join(names)!r}")
    for name in names:
        if known and name not in known:
            raise UserError(f"unknown task {name!r}: known are {', '.join(known)}")


def _task(config: Config, name: str) -> tasks.Task:
    if name != "characters":
        return tasks.find(name, SEQUENCE[name])
    task = text.Characters.of(text.read(config.text), SEQUENCE[name])
    wanted = config.batch_size * (config.segment * config.steps + 1)
    if len(task.codes) < wanted:
        raise UserError(
            f"--text has {len(task.codes)} characters; --batch_size streams of --steps times --segment want {wanted}"
        )
    return task
