"""Config, flags and the networks that they make, checked before anything is run."""

import dataclasses
from typing import NamedTuple

from experiments.common import flags, networks
from experiments.common.flags import TrainConfig, setting
from rnn_jax import BPTT, engines, targets, tasks, training

ENGINES = ("Scan", "Newton")  # of the trainings


@dataclasses.dataclass(frozen=True)
class Config(TrainConfig):
    """Config of a run; every field is a flag."""

    cells: tuple[str, ...] = setting(("rnn", "gru", "lstm", "ind_rnn", "co_rnn"), networks.CELLS_HELP)
    gains: tuple[str, ...] = setting(
        ("0.5", "1", "2", "4", "8", "16"), "Comma list of factors of a SplitCell's recurrent weights.", checked=False
    )
    lengths: tuple[str, ...] = setting(
        ("100", "1000", "10000", "100000"), "Comma list of T at which iterations are counted.", checked=False
    )
    hidden_size: int = setting(8, "Units of the hidden state.")
    length: int = setting(100, "T of the adding problem in training, in steps.", least=3)
    steps: int = setting(1000, "Optimization steps by Scan.")
    compared: int = setting(100, "Optimization steps by Newton.")
    seeds: int = setting(1, "Trainings of each network.")
    compile_for: tuple[str, ...] | None = setting(
        ("h200", "v5e"),
        f"Comma list of {', '.join(targets.TARGETS)}: launches are counted in programs compiled for them, not run; "
        "one without its compiler is left out.",
        choices=tuple(targets.TARGETS),
    )


QUICK = Config(
    cells=("gru",), gains=("1", "5"), lengths=("100", "1000"), length=50, steps=100, compared=10, compile_for=None
)


class Plan(NamedTuple):
    """The task, a trainer for each cell with each of `ENGINES`, and gains and lengths in ascending order."""

    task: tasks.Adding
    trainers: dict[tuple[str, str], training.Trainer]
    gains: list[float]
    lengths: list[int]


def plan(config: Config) -> Plan:
    """Returns everything that a config asks for.

    Raises:
      UserError: if a flag's value cannot be run.
    """
    flags.check(config)
    gains, lengths = flags.numbers(config, "gains"), flags.numbers(config, "lengths", least=3)
    task = tasks.Adding(config.length)
    trainers: dict[tuple[str, str], training.Trainer] = {}
    for name in config.cells:
        model = networks.make_model(name, task, config.hidden_size)
        networks.probe_on_task(name, model, task)
        trainers |= {(name, each): config.adam(model, estimator=BPTT(engines.ENGINES[each]())) for each in ENGINES}
    return Plan(task, trainers, gains, list(map(int, lengths)))
