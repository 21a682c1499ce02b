"""A language model: a recurrent core reads ids, and predicts the next id at every step."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax

from rnn_jax import masking, noise
from rnn_jax.cell import Cell, State
from rnn_jax.data import Encoder, OneHot
from rnn_jax.engines import Engine, Hoisted
from rnn_jax.models import labels
from rnn_jax.models.encoded import Encoded
from rnn_jax.models.readout import ReadoutModel, ReadoutParams
from rnn_jax.static import Static
from rnn_jax.tasks.task import weighted_mean


@dataclasses.dataclass(frozen=True)
class LanguageModel(Static):
    """p(x_{t+1} = v | x_1 .. x_t) = softmax(h_t V + c)_v, with h_t the output of a cell that has read x_1 .. x_t.

    The cell reads ids as `Encoded` does. Mikolov et al. 2010, "Recurrent neural network based language model". For
    dropout (Zaremba et al. 2014, arXiv:1409.2329) wrap the cells in `rnn_jax.Dropout` or `rnn_jax.RecurrentDropout`.
    Compares and hashes by value, so that an equal model is not compiled again.

    >>> import jax, jax.numpy as jnp
    >>> from rnn_jax import LSTM, LanguageModel
    >>> from rnn_jax.data import Embedding
    >>> from rnn_jax.models import Nucleus, generate
    >>> model = LanguageModel(Embedding(6, 3), LSTM(3, 8))
    >>> params = model.init(jax.random.key(0))
    >>> ids = jnp.array([[1, 2], [3, 5], [4, 1]])  # [T, batch]
    >>> state, loss = model.loss(params, ids[:-1], ids[1:])
    >>> generated = generate(model, params, Nucleus(0.9), jax.random.key(1), ids, count=4, max_length=10)
    >>> generated.tokens.shape, generated.lengths.tolist()
    ((10, 2), [7, 7])

    Args:
      encoder: encoder of ids: `OneHot(len(vocabulary))` or `Embedding(len(vocabulary), features)`.
      cell: cell or layer that reads them; to generate, it must be one that can be stepped.

    Raises:
      TypeError: if `encoder` is not an encoder, or `cell` not a cell.
      ValueError: if the cell's input_size is not the encoder's number of features.
    """

    encoder: Encoder
    cell: Cell

    def __post_init__(self) -> None:
        Encoded(self.cell, self.encoder)  # checks both

    @property
    def size(self) -> int:
        """Number of ids in the vocabulary."""
        return self.encoder.size

    @property
    def network(self) -> ReadoutModel:
        """The same model on unit vectors [..., size]: the form that estimators, trainers and diagnostics take."""
        return ReadoutModel(Encoded(self.cell, self.encoder), self.size)

    def init(self, key: jax.Array) -> ReadoutParams:
        return self.network.init(key)

    def apply(
        self,
        params: ReadoutParams,
        ids: Any,
        state: State | None = None,
        *,
        lengths: Any = None,
        resets: Any = None,
        engine: Engine = Hoisted(),
        key: noise.Key = noise.NOT_GIVEN,
    ) -> tuple[State, jax.Array]:
        """Computes the logits of the id that follows each given id.

        Args:
          params: parameters from `init`.
          ids: integers [T, *batch].
          state: state before the first id, such as the final state of an earlier call; None: the cell's initial state.
          lengths: lengths, as in `rnn_jax.unroll`.
          resets: resets, as in `rnn_jax.unroll`.
          engine: solver of the recurrence.
          key: random key of the cell's noise, required if there is some; None means evaluation.

        Returns:
          The final state, and the logits [T, *batch, size].

        Raises:
          TypeError, ValueError: as `rnn_jax.unroll`; if ids are not integers, or not in [0, size). A traced id out of
            range makes the logits from its step on NaN.
        """
        xs = self._unit_vectors(ids)
        return self.network.apply(params, xs, state, lengths=lengths, resets=resets, engine=engine, key=key)

    def loss(
        self,
        params: ReadoutParams,
        ids: Any,
        targets: Any,
        state: State | None = None,
        *,
        lengths: Any = None,
        resets: Any = None,
        engine: Engine = Hoisted(),
        key: noise.Key = noise.NOT_GIVEN,
    ) -> tuple[State, jax.Array]:
        """Computes -mean log p(target_t | ids_1 .. ids_t), in nats per token, over the steps within the lengths.

        Args:
          params: parameters from `init`.
          ids: integers [T, *batch].
          targets: integers [T, *batch], the ids one step later.
          state: state before the first id, as in `apply`.
          lengths: lengths, as in `rnn_jax.unroll`.
          resets: resets, as in `rnn_jax.unroll`.
          engine: solver of the recurrence.
          key: random key, as in `apply`.

        Returns:
          The final state, and the loss.

        Raises:
          TypeError, ValueError: as `apply`, for targets as for ids.
        """
        final_state, logits = self.apply(params, ids, state, lengths=lengths, resets=resets, engine=engine, key=key)
        targets = labels.checked("LanguageModel: targets", targets, logits.shape[:-1], self.size, like="ids")
        valid = jnp.ones(logits.shape[:-1], bool)
        if lengths is not None:
            valid = masking.before_end(lengths, len(logits))
        return final_state, nats_per_token(logits, jnp.asarray(targets), valid)

    def step(self, params: ReadoutParams, state: State, ids: Any) -> tuple[State, jax.Array]:
        """Reads one id [*batch]; returns the state after it, and the logits [*batch, size] of the next.

        Raises:
          TypeError, ValueError: as `apply`; if the cell cannot be stepped.
        """
        network, x = self.network, self._unit_vectors(ids)
        state = network.cell.step(params.cell, state, network.cell.project(params.cell, x))
        return state, network.read(params, network.cell.output(params.cell, state, x))

    def _unit_vectors(self, ids: Any) -> jax.Array:
        return OneHot(self.size).apply((), ids)


def nats_per_token(logits: jax.Array, targets: jax.Array, weights: jax.Array) -> jax.Array:
    """Returns -sum_t w_t log softmax(logits_t)[target_t] / sum_t w_t; 0 if all weights are 0.

    Args:
      logits: logits [..., size].
      targets: integers [...].
      weights: weights w [...], or booleans.
    """
    return weighted_mean(optax.softmax_cross_entropy_with_integer_labels(logits, targets), weights)
