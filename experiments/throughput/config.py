"""The parts of the benchmark, and the config; a new part is a file and a line here."""

import dataclasses

from experiments.common.flags import setting
from experiments.throughput import compilation, floor, layers, loop, memory, seeds, trainings
from experiments.throughput.part import Options

PARTS = {
    part.name: part
    for part in (
        layers.LAYERS,
        layers.LENGTHS,
        trainings.TRAINING,
        trainings.RECIPES,
        memory.MEMORY,
        compilation.COMPILATION,
        seeds.SEEDS,
        loop.LOOP,
        floor.FLOOR,
    )
}


@dataclasses.dataclass(frozen=True)
class Config(Options):
    """Config of a run; every field is a flag."""

    parts: tuple[str, ...] = setting(tuple(PARTS), f"Comma list of {', '.join(PARTS)}.", choices=tuple(PARTS))


QUICK = Config(cells=("lstm",), shapes=("8x50x16x32",), tasks=("digits",), longest=100, repeats=1, seconds=0.1)
