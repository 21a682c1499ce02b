"""The parts of the benchmark, and the config; a new part is a file and a line here."""

import dataclasses

from experiments.common.flags import setting
from experiments.throughput import compilation, compiled, floor, layers, loop, memory, seeds, trainings

PARTS = {
    "layers": layers.LAYERS,
    "lengths": layers.LENGTHS,
    "training": trainings.TRAINING,
    "recipes": trainings.RECIPES,
    "memory": memory.MEMORY,
    "compilation": compilation.COMPILATION,
    "seeds": seeds.SEEDS,
    "loop": loop.LOOP,
    "floor": floor.FLOOR,
}


@dataclasses.dataclass(frozen=True)
class Config(compiled.Options):
    """Config of a run; every field is a flag."""

    parts: tuple[str, ...] = setting(tuple(PARTS), f"Comma list of {', '.join(PARTS)}.", choices=tuple(PARTS))


QUICK = Config(cells=("lstm",), shapes=("8x50x16x32",), tasks=("digits",), longest=100, repeats=1, seconds=0.1)
