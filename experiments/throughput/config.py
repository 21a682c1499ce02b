"""The parts of the benchmark, and the config; a new part is a file and a line here."""

import contextlib
import dataclasses

import jax

from experiments.common import networks
from experiments.common.flags import UserError, setting
from experiments.throughput import compilation, floor, growth, layers, loop, memory, part, trainings
from experiments.throughput.problem import CELLS
from rnn_jax import targets

PARTS = {
    "layers": layers.LAYERS,
    "lengths": layers.LENGTHS,
    "training": trainings.TRAINING,
    "recipes": trainings.RECIPES,
    "memory": memory.MEMORY,
    "compilation": compilation.COMPILATION,
    "growth": growth.GROWTH,
    "loop": loop.LOOP,
    "floor": floor.FLOOR,
}


@dataclasses.dataclass(frozen=True)
class Config(part.Options):
    """Config of a run; every field is a flag."""

    parts: tuple[str, ...] = setting(tuple(PARTS), f"Comma list of {', '.join(PARTS)}.", choices=tuple(PARTS))

    def check(self) -> None:
        """Checks what can be checked before anything is written.

        Raises:
          UserError: if a shape or cell is none, or the compiler for a device is not installed.
        """
        unknown = [name for name in self.cells if name not in CELLS]
        if unknown and not self.compile_for:
            raise UserError(f"--cells: unknown {unknown[0]!r}: known are {', '.join(CELLS)}")
        with contextlib.suppress(RuntimeError):  # JAX has started already
            if self.compile_for:
                jax.config.update("jax_platforms", "cpu")  # it need not search for the devices
        for problem in self.problems(self.dtype).values():
            networks.probe(f"--cells: {problem.cell_name!r}", problem.cell.init)
        for target in self.compile_for or ():
            try:
                targets.find(target)
            except ImportError as error:
                raise UserError(f"--compile_for: {error}") from error


QUICK = Config(cells=("lstm",), shapes=("8x50x16x32",), tasks=("digits",), longest=100, repeats=1, seconds=0.1)
