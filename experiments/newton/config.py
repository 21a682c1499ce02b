"""Config, flags and the networks that they make, checked before anything is run."""

import dataclasses
import math
from typing import NamedTuple

from experiments.common import flags, networks
from experiments.common.flags import TrainConfig, UserError, setting
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


class Network(NamedTuple):
    """A network on the adding problem, with a trainer for each of `ENGINES`."""

    name: str
    task: tasks.Adding
    trainers: dict[str, training.Trainer]


class Plan(NamedTuple):
    """Networks; gains and lengths in ascending order."""

    networks: list[Network]
    gains: list[float]
    lengths: list[int]


def plan(config: Config) -> Plan:
    """Returns the networks, gains and lengths of a config.

    Raises:
      UserError: if a flag's value cannot be run.
    """
    flags.check(config)
    gains, lengths = _numbers("gains", config.gains), _numbers("lengths", config.lengths)
    if not all(length.is_integer() and length >= 3 for length in lengths):
        raise UserError(f"--lengths must be integers of at least 3 steps, got {','.join(config.lengths)!r}")
    task, optimizer = tasks.Adding(config.length), training.Adam(config.learning_rate)
    clip, made = training.ClipByNorm(config.clip_norm), []
    for name in config.cells:
        model = networks.make_model(name, task, config.hidden_size)
        networks.probe_on_task(name, model, task)
        trainers = {
            engine: training.Trainer(model, config.batch_size, optimizer, clip, BPTT(engines.ENGINES[engine]()))
            for engine in ENGINES
        }
        made.append(Network(name, task, trainers))
    return Plan(made, gains, [int(length) for length in lengths])


def _numbers(flag: str, texts: tuple[str, ...]) -> list[float]:
    try:
        values = sorted({float(text) for text in texts})
    except ValueError:
        values = []
    if not values or len(values) < len(texts) or not 0 < values[0] <= values[-1] < math.inf:
        raise UserError(f"--{flag} must be positive numbers, at least one, none twice, got {','.join(texts)!r}")
    return values
