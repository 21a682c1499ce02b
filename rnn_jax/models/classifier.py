"""A sequence classifier, many-to-one: a recurrent core, a pooling of its outputs over time, and a dense layer."""

import dataclasses
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from rnn_jax import checks, integers, noise, parameters
from rnn_jax.cell import Cell, Params
from rnn_jax.data import Encoder
from rnn_jax.engines import Engine, Hoisted
from rnn_jax.models import dense, embedding
from rnn_jax.models.labels import cross_entropy
from rnn_jax.models.pooling import LastStep, Pooling
from rnn_jax.static import Static
from rnn_jax.unrolling import unroll


class ClassifierParams(NamedTuple):
    """Parameters of the encoder (() without one), of the cell and of the dense layer."""

    encoder: Any
    cell: Params
    readout: Any  # flax.linen.Dense variables: kernel V [F, classes], bias c [classes]


@dataclasses.dataclass(frozen=True)
class Classifier(Static):
    """p(class | x_1 .. x_L) = softmax(m * pool(y_1 .. y_L) V + c), with y_t the outputs of a cell or layer.

    With an encoder the inputs are ids, and the cell reads sqrt(n) times their vector of n features, as in `Encoded`;
    rows are looked up, so the vocabulary may be large. Without one the inputs are the cell's: frames, sensors. m is a
    dropout mask on the pooled features, used if a key is given (Srivastava et al. 2014). For dropout of the cell's
    inputs or of the recurrence use `rnn_jax.Dropout` or `rnn_jax.RecurrentDropout`. Compares and hashes by value.

    >>> import jax, jax.numpy as jnp
    >>> from rnn_jax import GRU, Bidirectional
    >>> from rnn_jax.models import Classifier, MeanPool
    >>> model = Classifier(Bidirectional(GRU(3, 8)), classes=2, pooling=MeanPool())
    >>> params = model.init(jax.random.key(0))
    >>> model.apply(params, jnp.ones((5, 4, 3)), lengths=jnp.array([5, 2, 3, 1])).shape  # inputs [T, batch, features]
    (4, 2)

    Args:
      cell: cell or layer, such as a `Stack` or a `Bidirectional`.
      classes: number of classes.
      encoder: encoder of ids: `OneHot(len(vocabulary))`, `Embedding(len(vocabulary), features)`; None: inputs are
        features.
      pooling: `LastStep()`, `MeanPool()`, `MaxPool()` or a user-defined one.
      dropout: probability of dropping a pooled feature.

    Raises:
      TypeError: if `cell` is not a cell, `encoder` not an encoder, or `pooling` not callable.
      ValueError: if a number is out of range, the cell's input_size is not the encoder's number of features, or (in
        `init`) the pooling does not support the cell.
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
        return ClassifierParams(encoder, cell, dense.init(key_readout, self.classes, pooled))

    def apply(
        self,
        params: ClassifierParams,
        inputs: Any,
        lengths: Any = None,
        *,
        engine: Engine = Hoisted(),
        key: noise.Key = noise.NOT_GIVEN,
    ) -> jax.Array:
        """Computes the logits of each sequence.

        Args:
          params: parameters from `init`.
          inputs: ids [T, *batch] if there is an encoder, else floats [T, *batch, input_size]; T at least 1.
          lengths: number of steps of each sequence, integers [*batch] from 0 to T; None means T. Padding has no effect,
            except that ids outside the vocabulary are rejected. For a sequence of length 0, zeros are read.
          engine: solver of the recurrence.
          key: random key of dropout and of the cell's noise, required if there is some; None means evaluation.

        Returns:
          The logits [*batch, classes].

        Raises:
          TypeError, ValueError: as `rnn_jax.unroll` and `Encoder.apply`; if T is 0.
        """
        parameters.check(self, params)
        if not jnp.ndim(inputs) or not jnp.shape(inputs)[0]:
            raise ValueError(f"Classifier: inputs must have at least one step, got shape {list(jnp.shape(inputs))}")
        xs = inputs if self.encoder is None else embedding.scaled(self.encoder, params.encoder, inputs)
        key_cell, key_dropout = noise.keys(key, 2)
        pooled = self._pooled(params.cell, xs, lengths, engine, key_cell)
        if self.dropout:
            pooled = self._dropped(pooled, noise.given(key_dropout, "Classifier: dropout"))
        return dense.apply(params.readout, self.classes, pooled)

    def loss(
        self,
        params: ClassifierParams,
        inputs: Any,
        labels: Any,
        lengths: Any = None,
        *,
        engine: Engine = Hoisted(),
        key: noise.Key = noise.NOT_GIVEN,
    ) -> jax.Array:
        """Returns -mean log p(label | sequence) over the sequences, in nats.

        Args:
          params: parameters from `init`.
          inputs: sequences, as in `apply`.
          labels: integers [*batch] in [0, classes).
          lengths: lengths, as in `apply`.
          engine: solver of the recurrence.
          key: random key, as in `apply`.

        Raises:
          TypeError, ValueError: as `apply`; if labels are not integers, have another shape, or are not in [0, classes).
            Traced labels out of range make the loss NaN.
        """
        logits = self.apply(params, inputs, lengths, engine=engine, key=key)
        return jnp.mean(cross_entropy("Classifier: labels", logits, labels))

    def _pooled(self, params: Params, xs: Any, lengths: Any, engine: Engine, key: noise.Key) -> jax.Array:
        _, ys = unroll(self.cell, params, xs, lengths=lengths, engine=engine, key=key)
        steps, *batch_shape = ys.shape[:-1]
        lengths = jnp.full(batch_shape, steps) if lengths is None else integers.int32(lengths, "Classifier: lengths")
        return self.pooling(self.cell, ys, jnp.clip(lengths, 0, steps))

    def _dropped(self, pooled: jax.Array, key: jax.Array | None) -> jax.Array:
        if key is None:
            return pooled
        dropped: Any = nn.Dropout(self.dropout, deterministic=False).apply({}, pooled, rngs={"dropout": key})
        return dropped
