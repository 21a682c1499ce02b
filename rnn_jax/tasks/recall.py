"""What the copying tasks share: ten of eight symbols, wanted back in their order after a delimiter."""

import math

import jax

from rnn_jax.tasks.task import Batch, Classification

RECALLED = 10  # symbols to give back
ALPHABET = 8
BLANK, DELIMITER = 8, 9


class Recall(Classification):
    """Ten of the symbols a_0..a_7, wanted after the delimiter (a_9); until then blanks (a_8) are the answer.

    The loss is over all steps, `accuracy` over the ten recalled ones. Solved: 99 % of them right on the test set.
    """

    @property
    def input_size(self) -> int:
        return ALPHABET + 2

    @property
    def output_size(self) -> int:
        return ALPHABET + 1

    @property
    def mean_steps(self) -> float:
        """Steps of a sequence less its padding, on average."""
        return self.sequence_length

    @property
    def baseline(self) -> float:
        return RECALLED * math.log(ALPHABET) / self.mean_steps

    def scored(self, batch: Batch) -> jax.Array:
        return batch.weights * (batch.targets != BLANK)

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["accuracy"] >= 0.99
