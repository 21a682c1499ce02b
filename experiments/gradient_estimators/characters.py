"""Text as a task: read one of 27 symbols at each step, predict the next one."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np

from experiments.baselines.bigram import bigram_entropy
from rnn_jax.tasks import Batch
from rnn_jax.tasks.task import Classification

SYMBOLS = " abcdefghijklmnopqrstuvwxyz"


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Characters(Classification):
    """Windows of a text as one-hot vectors, with the next characters as targets; a pytree whose leaf is the text.

    Baseline: entropy of a character given the one before, in nats: the best loss without memory.
    """

    codes: jax.Array = dataclasses.field(repr=False)  # indices in `SYMBOLS`, integers [N]
    length: int = dataclasses.field(default=40, metadata={"static": True})  # T of a window that `sequence` draws
    baseline: float = dataclasses.field(default=0.0, metadata={"static": True})
    variant = "next of 27"
    input_size = output_size = len(SYMBOLS)
    sequence_length = property(lambda self: self.length)
    dependency = property(lambda self: self.length - 1)

    @classmethod
    def create(cls, text: str, length: int) -> "Characters":
        """Returns the task of a text, folded as text8: lower-case letters, and a space for each run of others."""
        codes = np.array([SYMBOLS.index(character) for character in re.sub("[^a-z]+", " ", text.lower())], np.int32)
        return cls(jnp.asarray(codes), length, bigram_entropy(codes, len(SYMBOLS)))

    def sequence(self, key: jax.Array) -> Batch:
        return self.window(jax.random.randint(key, (), 0, len(self.codes) - self.length), self.length)

    def window(self, start: jax.Array, steps: int) -> Batch:
        """Returns `steps` characters from `start` on, without the batch axis."""
        codes = jax.lax.dynamic_slice_in_dim(self.codes, start, steps + 1)
        return Batch(jax.nn.one_hot(codes[:-1], len(SYMBOLS)), codes[1:], jnp.ones(steps))

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["loss"] < self.baseline
