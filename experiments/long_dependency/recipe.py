"""A recipe: one network on one task and how it is trained, as data, beside what a paper has for it."""

import dataclasses
from typing import Self

from rnn_jax.training.clipping import Clipping
from rnn_jax.training.optimizers import CosineDecay, Optimizer


@dataclasses.dataclass(frozen=True)
class Published:
    """A number of a paper.

    Args:
      source: the paper.
      quantity: what it is of: `sequences` until solved, or one of the task's metrics.
      value: the number.
    """

    source: str
    quantity: str
    value: float


@dataclasses.dataclass(frozen=True)
class Plateau:
    """What a paper shows by a curve: whether its network leaves the memoryless baseline.

    Args:
      source: the paper.
      left: it does; otherwise it stays there.
    """

    source: str
    left: bool


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What is trained.

    Args:
      task: its name in `rnn_jax.tasks`.
      length: T of a synthetic task; of images, what their number of pixels makes it, this is not read.
      cell: the network's name in `experiments.common.networks`.
      hidden_size: units of each layer.
      batch_size: sequences an optimization step.
      steps: optimization steps at the most.
      evaluate_every: optimization steps between two looks at the test set, at which it may be found solved.
      optimizer: with its learning rate.
      clip: None: nothing is clipped.
      layers: one above the other.
      until_solved: ends when every seed has met the task's criterion at some look; otherwise all steps are made.
      published: what a paper has; None: nothing to stand beside.
    """

    task: str
    length: int
    cell: str
    hidden_size: int
    batch_size: int
    steps: int
    evaluate_every: int
    optimizer: Optimizer
    clip: Clipping | None
    layers: int = 1
    until_solved: bool = True
    published: Published | Plateau | None = None

    def shortened(self, share: float) -> Self:
        """Trained for a share of the steps, over which the learning rate, where it decays, does so."""
        if share == 1:
            return self
        steps = max(1, round(share * self.steps))
        optimizer = self.optimizer
        if isinstance(optimizer, CosineDecay):
            optimizer = CosineDecay(optimizer.optimizer, max(1, round(share * optimizer.steps)))
        every = min(self.evaluate_every, steps)
        return dataclasses.replace(self, steps=steps, evaluate_every=every, optimizer=optimizer)
