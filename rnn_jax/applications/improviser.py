"""A model of music that continues a piece."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax.applications.application import Application
from rnn_jax.data import read_text
from rnn_jax.data.piano_roll import KEYS, LOWEST_NOTE
from rnn_jax.models import ReadoutModel


@dataclasses.dataclass(frozen=True)
class Improviser(Application):
    """Continues a piece of chords by `count` steps, each key drawn by its probability.

    Args:
      model: predicts the probability of each piano key at the next step.
      count: number of steps to draw.
    """

    model: ReadoutModel
    count: int

    def predict(self, params: Any, inputs: Any, seed: int = 0) -> np.ndarray:
        """Returns a piano roll [T, 88] and its continuation, uint8 [T + count, 88]; the same seed draws the same."""
        prefix = jnp.asarray(inputs, jnp.result_type(float))
        if prefix.ndim != 2 or prefix.shape[1] != KEYS or not len(prefix):
            raise ValueError(f"a piece must be [T, {KEYS}], T at least 1, got shape {[*prefix.shape]}")
        drawn = improvise(self.model, params, jax.random.key(seed), prefix, self.count)
        return np.asarray(drawn).astype(np.uint8)

    def read(self, path: Any) -> np.ndarray:
        """Returns the piano roll of a text file: on each line the MIDI numbers of the notes of a step, 21 to 108."""
        return self._roll(read_text(path), str(path))

    def from_text(self, text: str) -> np.ndarray:
        """Returns the piano roll of a text with a slash between two steps: "60 64 67 / 62 65 69"."""
        return self._roll(text.replace("/", "\n"), "text")

    def lines(self, inputs: Any, answers: Any) -> Sequence[str]:
        return [" ".join(str(LOWEST_NOTE + key) for key in np.flatnonzero(step)) for step in answers]

    def _roll(self, text: str, source: str) -> np.ndarray:
        steps = text.removesuffix("\n").split("\n")
        roll = np.zeros((len(steps), KEYS), np.uint8)
        for number, step in enumerate(steps, 1):
            for note in step.split():
                key = int(note) - LOWEST_NOTE if note.isdecimal() else -1
                if not 0 <= key < KEYS:
                    most = LOWEST_NOTE + KEYS - 1
                    raise ValueError(f"{source}, line {number}: notes must be {LOWEST_NOTE} to {most}, got {note!r}")
                roll[number - 1, key] = 1
        return roll


@functools.partial(jax.jit, static_argnames=("model", "steps"))
def improvise(model: ReadoutModel, params: Any, key: jax.Array, prefix: jax.Array, steps: int) -> jax.Array:
    """Draws the steps after a prefix [P, K], each key independently; returns prefix and continuation [P + steps, K]."""
    state, logits = model.apply(params, prefix[:, None], key=None)

    def step(carry: tuple[Any, jax.Array], key: jax.Array) -> tuple[tuple[Any, jax.Array], jax.Array]:
        state, logits = carry
        x = jax.random.bernoulli(key, jax.nn.sigmoid(logits)).astype(prefix.dtype)
        state = model.cell.step(params.cell, state, model.cell.project(params.cell, x))
        return (state, model.read(params, model.cell.output(params.cell, state, x))), x[0]

    _, drawn = jax.lax.scan(step, (state, logits[-1]), jax.random.split(key, steps))
    return jnp.concatenate([prefix, drawn])
