"""A character stream: text folded to 27 symbols, the next one to be told at every step."""

import argparse
import dataclasses
import inspect
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common.flags import UserError
from rnn_jax.tasks import Batch
from rnn_jax.tasks.task import Classification

SYMBOLS = " abcdefghijklmnopqrstuvwxyz"


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Characters(Classification):
    """Text read a character a step (one-hot); the target is the next one.

    Args:
      codes: places in `SYMBOLS`, integers [N].
      window: T of a window that `sequence` draws, in characters.
      bigram: the entropy of a character given the one before, in nats: the best answer of one who remembers nothing.
    """

    codes: jax.Array = dataclasses.field(repr=False)
    window: int = dataclasses.field(metadata={"static": True})
    bigram: float = dataclasses.field(metadata={"static": True})

    @classmethod
    def of(cls, text: str, window: int) -> "Characters":
        """Folded as in text8: letters in lower case, and a space for any run of others."""
        folded = re.sub("[^a-z]+", " ", text.lower())
        codes = np.array([SYMBOLS.index(character) for character in folded], np.int32)
        counts = np.zeros((len(SYMBOLS),) * 2)
        np.add.at(counts, (codes[:-1], codes[1:]), 1)
        joint, before = counts / counts.sum(), counts.sum(1, keepdims=True) / counts.sum()
        seen = joint > 0
        entropy = -np.sum(joint[seen] * np.log((joint / np.where(before > 0, before, 1))[seen]))
        return cls(jnp.asarray(codes), window, float(entropy))

    @property
    def variant(self) -> str:
        return "next of 27"

    @property
    def length(self) -> int:
        return self.window

    @property
    def input_size(self) -> int:
        return len(SYMBOLS)

    @property
    def output_size(self) -> int:
        return len(SYMBOLS)

    @property
    def sequence_length(self) -> int:
        return self.length

    @property
    def dependency(self) -> int:
        return self.length - 1

    @property
    def baseline(self) -> float:
        return self.bigram

    def sequence(self, key: jax.Array) -> Batch:
        start = jax.random.randint(key, (), 0, len(self.codes) - self.length)
        return self.piece(start, self.length)

    def piece(self, start: jax.Array, steps: int) -> Batch:
        """The `steps` characters from `start` on, without the batch axis."""
        codes = jax.lax.dynamic_slice_in_dim(self.codes, start, steps + 1)
        return Batch(jax.nn.one_hot(codes[:-1], len(SYMBOLS)), codes[1:], jnp.ones(steps))

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["loss"] < self.bigram


def read(path: str | None) -> str:
    """The file's text; None: the source of Python's argparse, a text that is on every machine that runs this.

    Raises:
      UserError: where the file cannot be read.
    """
    if path is None:
        return inspect.getsource(argparse)
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--text {path!r} cannot be read: {error}") from error
