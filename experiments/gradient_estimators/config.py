"""Config, flags, and the problems that they make, checked before anything is run."""

import argparse
import dataclasses
import inspect
from typing import NamedTuple

from experiments.common import flags, networks
from experiments.common.flags import TrainConfig, UserError, chosen, setting
from experiments.gradient_estimators.characters import Characters
from rnn_jax import BPTT, RTRL, TBPTT, UORO, EProp, SnAp, data, gradients, tasks, training

LENGTHS = {"adding": 20, "copying": 10, "characters": 40}  # T of each task's definition; copying takes 20 steps more
TASKS = tuple(LENGTHS)


@dataclasses.dataclass(frozen=True)
class Config(TrainConfig):
    """Config of a run; every field is a flag."""

    tasks: tuple[str, ...] = setting(TASKS, f"Comma list of {', '.join(TASKS)}.", choices=TASKS)
    cells: tuple[str, ...] = setting(("lstm", "gru"), networks.CELLS_HELP)
    hidden_size: int = setting(12, "Units of the hidden state.")
    batch_size: int = setting(8, "Sequences, or streams of characters, in an optimization step.")
    segment: int = setting(5, "Steps in a segment of truncated BPTT, and in a segment of the streams of characters.")
    steps: int = setting(300, "Optimization steps.")
    lengths: tuple[str, ...] = setting(("64", "512"), "Comma list of T at which a gradient is timed.", checked=False)
    draws: int = setting(64, "Keys over which the mean and the spread of random estimates are taken.")
    text: str | None = setting(
        None,
        "UTF-8 file of the characters; by default the source of Python's argparse.",
        needs=chosen("tasks", "characters"),
    )


QUICK = Config(tasks=("adding",), cells=("gru",), hidden_size=8, steps=100, lengths=("32",), draws=16, seeds=2)


class Problem(NamedTuple):
    """A cell on a task, with a trainer for each estimator that supports the cell, by name; the first is BPTT."""

    task_name: str
    cell_name: str
    task: tasks.Task
    trainers: dict[str, training.Trainer]


def plan(config: Config) -> tuple[list[Problem], list[int]]:
    """Returns every cell on every task, and the values of --lengths in ascending order.

    Raises:
      UserError: if a flag's value cannot be run.
    """
    flags.check(config)
    segment, most = config.segment, min(LENGTHS.values())
    if segment > most:
        raise UserError(f"--segment must be at most {most}, got {segment}")
    lengths = flags.numbers(config, "lengths", least=2 * segment)
    estimators: dict[str, gradients.Estimator] = {
        "BPTT": BPTT(),
        f"TBPTT {segment}": TBPTT(segment),
        f"TBPTT {segment}, {2 * segment}": TBPTT(segment, 2 * segment),
        "RTRL": RTRL(),
        "SnAp-1": SnAp(1),
        "e-prop": EProp(),
        "UORO": UORO(),
    }
    problems = []
    for task_name in config.tasks:
        task = _characters(config) if task_name == "characters" else tasks.find(task_name, LENGTHS[task_name])
        for cell_name in config.cells:
            model = networks.make_model(cell_name, task, config.hidden_size)
            networks.probe_on_task(cell_name, model, task)
            trainers = {
                name: config.adam(model, estimator=estimator)
                for name, estimator in estimators.items()
                if name != "e-prop" or model.cell.is_split
            }
            problems.append(Problem(task_name, cell_name, task, trainers))
    return problems, list(map(int, lengths))


def _characters(config: Config) -> Characters:
    with flags.user_errors("--text"):
        text = inspect.getsource(argparse) if config.text is None else data.read_text(config.text)
    task = Characters.create(text, LENGTHS["characters"])
    if (count := len(task.codes)) < (required := config.batch_size * (config.segment * config.steps + 1)):
        raise UserError(f"--text must have {required} characters for --batch_size, --segment and --steps, got {count}")
    return task
