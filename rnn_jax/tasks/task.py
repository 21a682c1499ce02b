"""The contract of a task: batches drawn on the device, a loss, metrics, the trivial baseline and when it is solved."""

import abc
import functools
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import optax


class Batch(NamedTuple):
    """Time-major sequences. Steps without a target have weight zero; steps after a sequence's end come last."""

    inputs: jax.Array  # [T, B, input_size]
    targets: jax.Array  # [T, B, output_size] floats, or [T, B] integers (class indices)
    weights: jax.Array  # [T, B], of the step's loss


class Task(abc.ABC):
    """A supervised sequence task: a frozen dataclass and a pytree, so that a compiled program takes it as an argument.

    A synthetic task has no leaves, a task of real data has its arrays; none is baked into the program as a constant.

    Attributes:
      variant: which published definition this is; it stands in every table.
      length: T of that definition.
      input_size, output_size: widths of an input and of a model's output (logits for classes).
      sequence_length: steps of a batch, padding included.
      dependency: the longest lag, in steps, between an input and the output that needs it.
      baseline: the expected loss of the best answer that ignores the inputs before the step it answers at, knowing only
        whether the step is one to recall something at.
      test_size: sequences in the test set.
    """

    metric: ClassVar[str]  # the headline entry of `metrics`

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
        """Draws one training sequence, without the batch axis. Pure; runs inside a compiled program."""

    @functools.partial(jax.jit, static_argnames="batch_size")
    def sample(self, key: jax.Array, batch_size: int) -> Batch:
        """Draws a training batch, one key a sequence."""
        return jax.vmap(self.sequence, out_axes=1)(jax.random.split(key, batch_size))

    def test_batch(self, key: jax.Array, index: jax.Array, batch_size: int) -> Batch:
        """Batch `index` of the test set; sequences past `test_size` have weight zero."""
        places = index * batch_size + jnp.arange(batch_size)
        batch = jax.vmap(lambda i: self.sequence(jax.random.fold_in(key, i)), out_axes=1)(places)
        return batch._replace(weights=batch.weights * (places < self.test_size)[None])

    @abc.abstractmethod
    def loss(self, outputs: jax.Array, batch: Batch) -> jax.Array:
        """The weighted mean over steps and sequences of the loss of outputs [T, B, output_size]."""

    @abc.abstractmethod
    def metrics(self, outputs: jax.Array, batch: Batch) -> dict[str, jax.Array]:
        """Weighted means by name, `loss` among them."""

    @abc.abstractmethod
    def solved(self, metrics: dict[str, float]) -> bool:
        """Whether metrics over the test set meet the task's criterion."""


def pick(u: jax.Array, low: Any, high: Any) -> jax.Array:
    """An integer in [low, high) from u uniform in [0, 1).

    A sequence draws all its randomness as one array of uniform numbers: each further call of the generator would add to
    the time every training program takes to compile.
    """
    return low + jnp.floor(u * (high - low)).astype(int)


def weighted_mean(values: jax.Array, weights: jax.Array) -> jax.Array:
    """sum(w v) / sum(w); zero where every weight is."""
    total = jnp.sum(weights)
    return jnp.sum(jnp.where(weights > 0, values, 0) * weights) / jnp.where(total > 0, total, 1)


class Regression(Task):
    """Mean squared error. `wrong` is the share of sequences off by `tolerance` or more at a step that counts."""

    metric = "mse"
    tolerance: ClassVar[float] = 0.04  # Hochreiter & Schmidhuber 1997, section 5.4

    def loss(self, outputs: jax.Array, batch: Batch) -> jax.Array:
        return weighted_mean(jnp.mean(optax.squared_error(outputs, batch.targets), axis=-1), batch.weights)

    def metrics(self, outputs: jax.Array, batch: Batch) -> dict[str, jax.Array]:
        errors = jnp.abs(outputs - batch.targets)
        # By comparing, not by the largest error: NaN compares as wrong, while XLA's maximum may drop it.
        right = jnp.all(errors < self.tolerance, axis=-1)
        loss = self.loss(outputs, batch)
        return {
            "loss": loss,
            "mse": loss,
            "error": weighted_mean(jnp.mean(errors, axis=-1), batch.weights),
            "wrong": weighted_mean(1.0 - right, batch.weights),
        }


class Classification(Task):
    """Softmax cross-entropy in nats. `accuracy` and `wrong` are over the steps of `scored`.

    `wrong` is the share of answers of which some class probability is off by `tolerance` or more.
    """

    metric = "accuracy"
    tolerance: ClassVar[float] = 0.3  # Hochreiter & Schmidhuber 1997, section 5.6

    def scored(self, batch: Batch) -> jax.Array:
        """The weights [T, B] of the steps that metrics count; by default those of the loss."""
        return batch.weights

    def loss(self, outputs: jax.Array, batch: Batch) -> jax.Array:
        losses = optax.softmax_cross_entropy_with_integer_labels(outputs, batch.targets)
        return weighted_mean(losses, batch.weights)

    def metrics(self, outputs: jax.Array, batch: Batch) -> dict[str, jax.Array]:
        scored = self.scored(batch)
        right = (jnp.argmax(outputs, axis=-1) == batch.targets).astype(outputs.dtype)
        answers = jax.nn.one_hot(batch.targets, self.output_size, dtype=outputs.dtype)
        # By comparing, not by the largest error: NaN compares as wrong, while XLA's maximum may drop it.
        close = jnp.all(jnp.abs(jax.nn.softmax(outputs) - answers) < self.tolerance, axis=-1)
        return {
            "loss": self.loss(outputs, batch),
            "accuracy": weighted_mean(right, scored),
            "wrong": weighted_mean(1.0 - close, scored),
        }
