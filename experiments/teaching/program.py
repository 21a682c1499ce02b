"""What the two programs have in common, and what is asked of whoever writes one: to begin, to step, to score."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from rnn_jax import Cell, Stack, training
from rnn_jax.cell import Params
from rnn_jax.models import Classifier

Scores = Callable[[np.ndarray], np.ndarray]  # of sequences [T, B, F], a number a class [B, classes], the highest wins


class Program(Protocol):
    """Sequences of one length with a class each, and what is asked of a network that has been trained on them."""

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """Examples N, steps T, features F, classes."""

    def batch(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The examples at `places` [B]: sequences, float32 [T, B, F], and classes, int32 [B]."""

    def findings(self, scores: Scores) -> dict[str, Any]:
        """What the trained network does."""


@dataclasses.dataclass(frozen=True, eq=False)
class Lesson:
    """A program with its network, and all that is the same for everybody who trains it."""

    program: Program
    trainer: training.Trainer[Classifier]
    state: training.TrainState  # of one seed; its parameters are what all begin with
    batches: list[list[np.ndarray]]  # by epoch: the examples of each batch, of which the last may have fewer

    @property
    def work(self) -> int:
        """Optimization steps."""
        return sum(len(epoch) for epoch in self.batches)

    @property
    def learning_rate(self) -> float:
        optimizer = self.trainer.optimizer
        assert isinstance(optimizer, training.Adam)
        return optimizer.learning_rate

    @property
    def layers(self) -> list[tuple[Cell, Params]]:
        """The cells from the bottom up, and what each begins with."""
        cell, params = self.trainer.model.cell, self.state.params.cell
        return list(zip(cell.layers, params, strict=True)) if isinstance(cell, Stack) else [(cell, params)]

    @property
    def dense(self) -> tuple[np.ndarray, np.ndarray]:
        """Kernel [H, classes] and bias [classes] that the readout begins with; copies."""
        kernel, bias = (self.state.params.readout["params"][name] for name in ("kernel", "bias"))
        return np.array(kernel), np.array(bias)


def orders(size: int, batch_size: int, epochs: int, seed: int) -> list[list[np.ndarray]]:
    """Every example once an epoch, in an order of the epoch's own, cut into batches."""
    rng = np.random.default_rng([seed, 1])
    return [np.split(rng.permutation(size), np.arange(batch_size, size, batch_size)) for _ in range(epochs)]


def accuracy(scores: Scores, xs: np.ndarray, classes: np.ndarray) -> float:
    """The share of the sequences [T, B, F] whose highest score is that of their class [B]."""
    return float(np.mean(np.argmax(scores(xs), axis=-1) == classes))


class Learner(NamedTuple):
    """A network in training."""

    step: Callable[[np.ndarray, np.ndarray], float]  # of a batch: its mean loss in nats, and then a step down
    scores: Scores


class Form(Protocol):
    """The programs as one library has them."""

    @property
    def name(self) -> str: ...

    def refusal(self, lesson: Lesson) -> str | None:
        """Why the library cannot take part, in a sentence; None where it can."""

    def begin(self, lesson: Lesson) -> Learner:
        """A learner with the lesson's first parameters."""


def copied(tree: Any) -> Any:
    """Arrays that may be given away."""
    return jax.tree.map(lambda leaf: leaf.copy(), tree)
