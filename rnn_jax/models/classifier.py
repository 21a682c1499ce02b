"""A sequence classifier, many-to-one: a recurrent core, a pooling of its outputs over time, and a dense layer."""

import dataclasses
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from rnn_jax import checks
from rnn_jax.cell import Cell, Params
from rnn_jax.data import Encoder
from rnn_jax.engines import Engine, Hoisted
from rnn_jax.models.labels import nats
from rnn_jax.models.pooling import LastStep, Pooling
from rnn_jax.unrolling import unroll


class ClassifierParams(NamedTuple):
    """Parameters of the encoder (none without one), the cell and the dense layer."""

    encoder: Any
    cell: Params
    readout: Any  # flax.linen.Dense variables: kernel V [F, classes], bias c [classes]


@dataclasses.dataclass(frozen=True)
class Classifier:
    """p(class | x_1 .. x_L) = softmax(m * pool(y_1 .. y_L) V + c), with y_t the outputs of a cell or layer.

    With an encoder the inputs are ids, and the cell reads sqrt(n) times the encoder's vector of n features, as it does
    in `Encoded` and for its reason; the rows are looked up, so a vocabulary may be large. Without one the inputs are
    the cell's own: frames, sensors, [T, *batch, input_size]. m drops a share of the pooled features where a key is
    given (Srivastava et al. 2014); for dropout of the cell's inputs and in the recurrence, put it around the cells, as
    `rnn_jax.Dropout` and `rnn_jax.RecurrentDropout`. Compares and hashes by value.

    Args:
      cell: any cell or layer: a `Stack`, a `Bidirectional`.
      classes: how many.
      encoder: of ids to the cell's inputs: `OneHot(len(vocabulary))`, `Embedding(len(vocabulary), features)`.
      pooling: `LastStep()`, `MeanPool()`, `MaxPool()` or your own.
      dropout: share of the pooled features dropped.

    Raises:
      TypeError: where the cell is none, or the encoder, or the pooling cannot be called.
      ValueError: where a number is out of its range, the cell does not read as many features as the encoder gives, or
        by `init`, where the pooling cannot read the cell.
    """

    cell: Cell
    classes: int
    encoder: Encoder | None = None
    pooling: Pooling = dataclasses.field(default=LastStep())
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.cell, Cell):
            raise TypeError(f"Classifier: cell must be a cell or layer, got {self.cell!r}")
        checks.integer_at_least(1, self.classes, "Classifier: classes")
        checks.rate(self.dropout, "Classifier: dropout")
        if not callable(self.pooling):
            raise TypeError(f"Classifier: pooling must be one such as LastStep(), got {self.pooling!r}")
        if self.encoder is None:
            return
        if not isinstance(self.encoder, Encoder):
            raise TypeError(f"Classifier: encoder must be a OneHot, an Embedding or None, got {self.encoder!r}")
        if self.cell.input_size != self.encoder.features:
            raise ValueError(
                f"Classifier: cell must read the {self.encoder.features} features of {self.encoder!r}, got "
                f"{type(self.cell).__name__} of input_size {self.cell.input_size}"
            )

    def init(self, key: jax.Array) -> ClassifierParams:
        key_encoder, key_cell, key_readout = jax.random.split(key, 3)
        encoder = () if self.encoder is None else self.encoder.init(key_encoder)
        cell = self.cell.init(key_cell)
        xs = jnp.zeros((1, 1, self.cell.input_size))
        pooled = jax.eval_shape(lambda p: self._pooled(p, xs, None, Hoisted(), None), cell)
        readout = self._dense(pooled.dtype).init(key_readout, jnp.zeros(pooled.shape, pooled.dtype))
        return ClassifierParams(encoder, cell, readout)

    def apply(
        self,
        params: ClassifierParams,
        inputs: Any,
        lengths: Any = None,
        *,
        engine: Engine = Hoisted(),
        key: jax.Array | None = None,
    ) -> jax.Array:
        """The logits of each sequence.

        Args:
          params: from `init`.
          inputs: integers [T, *batch] where there is an encoder, else floats [T, *batch, input_size]; T at least 1.
          lengths: steps of each sequence, integers [*batch] from 0 to T; None means T. What stands beyond changes
            nothing, ids outside the vocabulary apart. A sequence of length 0 has the logits of pooled zeros.
          engine: how the recurrence is solved.
          key: draws the noise of dropout and of the cell; None means evaluation.

        Returns:
          Logits [*batch, classes].

        Raises:
          TypeError, ValueError: as `rnn_jax.unroll` and the encoder's `apply`, where T is 0 too.
        """
        if not jnp.ndim(inputs) or not jnp.shape(inputs)[0]:
            raise ValueError(f"Classifier: inputs must have at least one step, got shape {list(jnp.shape(inputs))}")
        xs = inputs
        if self.encoder is not None:
            xs = self.encoder.features**0.5 * self.encoder.apply(params.encoder, inputs)
        key_cell, key_dropout = (None, None) if key is None else jax.random.split(key)
        pooled = self._pooled(params.cell, xs, lengths, engine, key_cell)
        if key_dropout is not None:
            pooled = self._dropped(pooled, key_dropout)
        logits: Any = self._dense(pooled.dtype).apply(params.readout, pooled)
        return logits

    def loss(
        self,
        params: ClassifierParams,
        inputs: Any,
        labels: Any,
        lengths: Any = None,
        *,
        engine: Engine = Hoisted(),
        key: jax.Array | None = None,
    ) -> jax.Array:
        """-mean log p(label | sequence) over the sequences, in nats.

        Args:
          params: as `apply`'s.
          inputs: likewise.
          labels: integers [*batch] in [0, classes).
          lengths: as `apply`'s.
          engine: likewise.
          key: likewise.

        Raises:
          TypeError, ValueError: as `apply`; where labels are not integers, of another shape, or one that can be read is
            not in [0, classes). Where labels are traced, such a one makes the loss NaN.
        """
        logits = self.apply(params, inputs, lengths, engine=engine, key=key)
        return jnp.mean(nats("Classifier: labels", logits, labels))

    def _pooled(self, params: Params, xs: Any, lengths: Any, engine: Engine, key: jax.Array | None) -> jax.Array:
        _, ys = unroll(self.cell, params, xs, lengths=lengths, engine=engine, key=key)
        steps, *batch_shape = ys.shape[:-1]
        lengths = jnp.full(batch_shape, steps) if lengths is None else jnp.clip(jnp.asarray(lengths), 0, steps)
        return self.pooling(self.cell, ys, lengths)

    def _dropped(self, pooled: jax.Array, key: jax.Array) -> jax.Array:
        dropped: Any = nn.Dropout(self.dropout, deterministic=False).apply({}, pooled, rngs={"dropout": key})
        return dropped

    def _dense(self, dtype: Any) -> nn.Dense:
        return nn.Dense(self.classes, param_dtype=dtype)
