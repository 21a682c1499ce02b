"""The contract of an application: what turns a user's file into arrays, and a model's outputs into an answer."""

import abc
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax import training
from rnn_jax.data import Examples, read_text
from rnn_jax.static import Static


@dataclasses.dataclass(frozen=True)
class Application(Static, abc.ABC):
    """A model with all that its use needs beside parameters: vocabularies, names of classes, units of its numbers.

    A new one is a frozen dataclass in a file of its own, with `predict`, `read` and `lines`. `models.save` writes it,
    with the parameters, and `models.load` returns it.

    Args:
      model: model.
    """

    model: Any

    @abc.abstractmethod
    def predict(self, params: Any, inputs: Any, seed: int = 0) -> Any:
        """Returns the answers to inputs.

        Args:
          params: parameters of the model.
          inputs: what `read` returns.
          seed: seed of random draws; most models draw nothing.

        Raises:
          ValueError: if the model cannot read the inputs.
        """

    @abc.abstractmethod
    def read(self, path: str | Path) -> Any:
        """Returns the inputs in a user's file.

        Raises:
          ValueError: with the path, and the line if there is one, if the file has another form.
        """

    @abc.abstractmethod
    def lines(self, inputs: Any, answers: Any) -> Sequence[str]:
        """Returns the answers as lines of text, columns separated by tabs."""

    def from_text(self, text: str) -> Any:
        """Returns the inputs in a text on the command line.

        Raises:
          ValueError: if the model reads no texts.
        """
        raise ValueError(f"{type(self).__name__} reads files, not a text")


@dataclasses.dataclass(frozen=True)
class TextApplication(Application):
    """An application that reads texts, each on a line of its own."""

    def read(self, path: str | Path) -> list[str]:
        """Returns the lines of a UTF-8 file that are not blank."""
        return _lines(read_text(path), str(path))

    def from_text(self, text: str) -> list[str]:
        return _lines(text, "text")


def _lines(text: str, source: str) -> list[str]:
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines:
        raise ValueError(f"{source}: must hold a line that is not blank, got none")
    return lines


def texts(given: Any) -> list[str]:
    """Returns a list of texts.

    Raises:
      TypeError: if it is one text, whose characters would be taken for texts, or holds something else.
    """
    if isinstance(given, str | os.PathLike) or not all(isinstance(text, str) for text in given):
        raise TypeError(f"texts must be a list of strings, got {given!r:.60}; write predict([text])")
    return list(given)


def evaluate(
    application: Application, function: training.example_source.Function, params: Any, examples: Examples, size: int
) -> Any:
    """Returns `training.predict` for the parameters of one seed: results [N, ...].

    Args:
      application: first argument of `function`; static.
      function: method of its class that takes parameters and a batch.
      params: parameters of its model.
      examples: N examples.
      size: number of examples of a batch.
    """
    per_seed = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], params)
    results = training.predict(application, function, per_seed, examples, size)
    return jax.tree.map(lambda leaf: leaf[0], results)
