"""A recipe: one network on one task with its training, as data, and the published number beside it."""

import dataclasses
from typing import Self

from rnn_jax.training import CosineDecay
from rnn_jax.training.clipping import Clipping
from rnn_jax.training.optimizers import Optimizer


@dataclasses.dataclass(frozen=True)
class Published:
    """A published number."""

    source: str  # paper
    quantity: str  # `sequences` until solved, or one of the task's metrics
    value: float


@dataclasses.dataclass(frozen=True)
class Plateau:
    """A published curve: whether the network leaves the memoryless baseline."""

    source: str  # paper
    left: bool


@dataclasses.dataclass(frozen=True)
class EqualTerms:
    """Terms on which all cells are compared: one size, and the same search of the learning rate."""

    parameters: int  # of the whole network; the hidden size is solved for
    rates: tuple[float, ...]  # learning rates to choose from; see `rate_search`


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One network on one task and its training."""

    task: str  # name in `rnn_jax.tasks`
    length: int  # T of a synthetic task; ignored for images, whose number of pixels gives T
    cell: str  # name in `experiments.common.networks`
    hidden_size: int | None  # None with equal terms
    batch_size: int
    steps: int  # optimization steps at most
    evaluate_every: int  # optimization steps between two evaluations on the test set
    optimizer: Optimizer
    clip: Clipping | None
    layers: int = 1
    until_solved: bool = True  # training ends when every seed has met the task's criterion at some evaluation
    published: Published | Plateau | None = None
    terms: EqualTerms | None = None

    def shortened(self, share: float) -> Self:
        """Returns the recipe with a share of its steps; a decaying learning rate decays over these."""
        if share == 1:
            return self
        steps = max(1, round(share * self.steps))
        optimizer = self.optimizer
        if isinstance(optimizer, CosineDecay):
            optimizer = CosineDecay(optimizer.optimizer, max(1, round(share * optimizer.steps)))
        every = min(self.evaluate_every, steps)
        return dataclasses.replace(self, steps=steps, evaluate_every=every, optimizer=optimizer)


Recipes = tuple[Recipe, ...]
