"""What is run: the config, its flags' meaning, and what of it cannot be run."""

import dataclasses

from experiments.common.flags import UserError, setting
from experiments.throughput.problem import CELLS, DTYPES, Shape

# In the order of the run and of the page; each is a module of this package.
PARTS = ("layers", "lengths", "training", "recipes", "memory", "compilation", "seeds", "loop", "floor")

SHAPES = (
    "32x100x128x128",
    "64x200x64x256",
    "128x784x1x128",  # an image pixel by pixel
    "20x500x10x64",
    "1x1000x64x128",  # one sequence: no work to spread over the batch
    "256x50x256x512",  # nearly all of it matrix products
)

TASKS = ("adding", "copying", "temporal_order_6a", "digits")  # each has its sizes in `recipes.RECIPES`


@dataclasses.dataclass(frozen=True)
class Config:
    """What is run; every field is a flag."""

    parts: tuple[str, ...] = setting(PARTS, f"Comma list of {', '.join(PARTS)}.")
    cells: tuple[str, ...] = setting(CELLS, f"Comma list of {', '.join(CELLS)}; for layers, recipes and floor.")
    shapes: tuple[str, ...] = setting(SHAPES, "Comma list of BATCHxSTEPSxINPUTSxHIDDEN; for layers and floor.")
    tasks: tuple[str, ...] = setting(TASKS, f"Comma list of {', '.join(TASKS)}; for recipes.")
    longest: int = setting(10_000, "Steps; what has more is left out of every sweep over T.")
    dtype: str = setting("float32", f"One of {', '.join(DTYPES)}; for layers and lengths.")
    repeats: int = setting(5, "Rounds of a comparison, at least.")
    seconds: float = setting(8.0, "Time a comparison may take for more rounds than that.")
    seed: int = setting(0, "From which every random number follows.")

    def problem_shapes(self) -> list[Shape]:
        return [Shape.parse(text) for text in self.shapes]

    def lengths(self, *wanted: int) -> list[int]:
        """Those of a sweep over T that are run."""
        return [steps for steps in wanted if steps <= self.longest]


QUICK = Config(cells=("lstm",), shapes=("8x50x16x32",), tasks=("digits",), longest=100, repeats=1, seconds=0.1)

SHORTEST = 100  # T with which every sweep begins


def check(config: Config) -> None:
    """Refuses what cannot be run.

    Raises:
      UserError: with the flag, the value got and what is wanted.
    """
    for name, known in (("parts", PARTS), ("cells", CELLS), ("shapes", None), ("tasks", TASKS)):
        values = getattr(config, name)
        if not values or len(set(values)) < len(values):
            raise UserError(f"--{name} must name at least one and none twice, got {','.join(values)!r}")
        for value in values:
            if known and value not in known:
                raise UserError(f"--{name}: unknown {value!r}, known are {', '.join(known)}")
    config.problem_shapes()
    if config.repeats < 1:
        raise UserError(f"--repeats must be positive, got {config.repeats}")
    if not config.seconds >= 0:
        raise UserError(f"--seconds must not be negative, got {config.seconds}")
    if config.longest < SHORTEST:
        raise UserError(f"--longest must be at least {SHORTEST}, where the sweeps begin, got {config.longest}")
    if config.dtype not in DTYPES:
        raise UserError(f"--dtype must be one of {', '.join(DTYPES)}, got {config.dtype!r}")
