"""The contract of a task: batches drawn on the device, a loss, metrics, a baseline and a criterion for solved."""

import abc
import functools
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import optax

from rnn_jax import integers
from rnn_jax.static import Static


class Batch(NamedTuple):
    """A batch of time-major sequences, padded at the end.

    Attributes:
      inputs: inputs [T, B, input_size].
      targets: floats [T, B, output_size], or class indices, integers [T, B].
      weights: weight of each step in the loss [T, B]; zero for steps without a target.
    """

    inputs: jax.Array
    targets: jax.Array
    weights: jax.Array


class Task(Static, abc.ABC):
    """A supervised sequence task: a frozen dataclass and a pytree, to be passed as an argument to compiled programs.

    The leaves of a task of real data are its arrays, so they do not become constants of a program; a synthetic task has
    no leaves.

    Attributes:
      variant: name of the published definition, shown in tables.
      length: length T of that definition.
      input_size: width of an input.
      output_size: width of a model's output (logits for classes).
      sequence_length: number of steps in a batch, padding included.
      dependency: longest lag in steps between an input and an output that depends on it.
      baseline: expected loss of the best prediction that ignores all inputs before the current step and knows only
        whether something is to be recalled at this step.
      test_size: number of sequences in the test set.
      metric: name of the main entry of `metrics`.
    """

    metric: ClassVar[str]

    @property
    @abc.abstractmethod
    def variant(self) -> str: ...

    @property
    @abc.abstractmethod
    def length(self) -> int: ...

    @property
    @abc.abstractmethod
    def input_size(self) -> int: ...

    @property
    @abc.abstractmethod
    def output_size(self) -> int: ...

    @property
    @abc.abstractmethod
    def sequence_length(self) -> int: ...

    @property
    @abc.abstractmethod
    def dependency(self) -> int: ...

    @property
    @abc.abstractmethod
    def baseline(self) -> float: ...

    @property
    def test_size(self) -> int:
        return 2560  # Hochreiter & Schmidhuber 1997 test on 2,560 sequences

    @abc.abstractmethod
    def sequence(self, key: jax.Array) -> Batch:
        """Draws one training sequence, without the batch axis; a pure function that compiled programs call."""

    def test_sequence(self, key: jax.Array) -> Batch:
        """Draws one sequence of the test set. Default: as for training."""
        return self.sequence(key)

    @functools.partial(jax.jit, static_argnames="batch_size")
    def sample(self, key: jax.Array, batch_size: int) -> Batch:
        """Draws a training batch, with one key per sequence."""
        return jax.vmap(self.sequence, out_axes=1)(jax.random.split(key, batch_size))

    def test_batch(self, key: jax.Array, index: jax.Array, batch_size: int) -> Batch:
        """Returns batch `index` of the test set; sequences beyond `test_size` have weight zero."""
        indices = index * batch_size + jnp.arange(batch_size)
        batch = jax.vmap(lambda i: self.test_sequence(jax.random.fold_in(key, i)), out_axes=1)(indices)
        return batch._replace(weights=batch.weights * (indices < self.test_size)[None])

    @abc.abstractmethod
    def loss(self, outputs: jax.Array, batch: Batch) -> jax.Array:
        """Returns the weighted mean loss of outputs [T, B, output_size] over steps and sequences."""

    def scored(self, batch: Batch) -> jax.Array:
        """Returns the weights [T, B] of all metrics but `loss`; by default those of the loss."""
        return batch.weights

    @abc.abstractmethod
    def metrics(self, outputs: jax.Array, batch: Batch) -> dict[str, jax.Array]:
        """Returns weighted means by name: `loss`, by the weights of the batch, and others, by those of `scored`."""

    @abc.abstractmethod
    def solved(self, metrics: dict[str, float]) -> bool:
        """Returns whether metrics of the test set meet the criterion of the task."""


def pick(u: jax.Array, low: Any, high: Any) -> jax.Array:
    """Returns an integer in [low, high), uniform if u is uniform in [0, 1).

    A task draws all random numbers of a sequence as one uniform array, because every further call of the generator adds
    to the compile time of every training program.
    """
    return low + jnp.floor(u * (high - low)).astype(int)


def weighted_mean(values: jax.Array, weights: jax.Array) -> jax.Array:
    """Returns sum(w v) / sum(w), or zero if all weights are zero."""
    total = jnp.sum(weights)
    return jnp.sum(jnp.where(weights > 0, values, 0) * weights) / jnp.where(total > 0, total, 1)


class Regression(Task):
    """Base class of tasks with a mean squared error.

    `wrong` is the share of answers (steps with a weight) with an absolute error of `tolerance` or more.
    """

    metric = "mse"
    tolerance: ClassVar[float] = 0.04  # Hochreiter & Schmidhuber 1997, section 5.4

    def loss(self, outputs: jax.Array, batch: Batch) -> jax.Array:
        return weighted_mean(jnp.mean(optax.squared_error(outputs, batch.targets), axis=-1), batch.weights)

    def metrics(self, outputs: jax.Array, batch: Batch) -> dict[str, jax.Array]:
        errors = jnp.abs(outputs - batch.targets)
        # Compared element by element: NaN counts as wrong here, while XLA's maximum may drop it.
        right = jnp.all(errors < self.tolerance, axis=-1)
        loss = self.loss(outputs, batch)
        return {
            "loss": loss,
            "mse": loss,
            "error": weighted_mean(jnp.mean(errors, axis=-1), batch.weights),
            "wrong": weighted_mean(1.0 - right, batch.weights),
        }


class Classification(Task):
    """Base class of tasks with a softmax cross-entropy in nats.

    `accuracy` and `wrong` are means over the steps of `scored`; `wrong` is the share of answers in which some class
    probability differs from its target by `tolerance` or more.
    """

    metric = "accuracy"
    tolerance: ClassVar[float] = 0.3  # Hochreiter & Schmidhuber 1997, section 5.6

    def loss(self, outputs: jax.Array, batch: Batch) -> jax.Array:
        losses = optax.softmax_cross_entropy_with_integer_labels(outputs, self._classes(batch))
        return weighted_mean(losses, batch.weights)

    def metrics(self, outputs: jax.Array, batch: Batch) -> dict[str, jax.Array]:
        scored, classes = self.scored(batch), self._classes(batch)
        right = (jnp.argmax(outputs, axis=-1) == classes).astype(outputs.dtype)
        answers = jax.nn.one_hot(classes, self.output_size, dtype=outputs.dtype)
        # Compared element by element: NaN counts as wrong here, while XLA's maximum may drop it.
        close = jnp.all(jnp.abs(jax.nn.softmax(outputs) - answers) < self.tolerance, axis=-1)
        return {
            "loss": self.loss(outputs, batch),
            "accuracy": weighted_mean(right, scored),
            "wrong": weighted_mean(1.0 - close, scored),
        }

    def _classes(self, batch: Batch) -> jax.Array:
        return jnp.asarray(integers.int32(batch.targets, f"{type(self).__name__}: targets"))


class ExactAnswers(Classification):
    """Base class of classifications that count as solved at 99 % accuracy on the test set."""

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["accuracy"] >= 0.99
