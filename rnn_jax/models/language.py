"""A language model: ids in, a recurrent core, and at every step the logits of the next id."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from rnn_jax import masking
from rnn_jax.cell import Cell, State
from rnn_jax.data import Encoder, OneHot
from rnn_jax.engines import Engine, Hoisted
from rnn_jax.models.encoded import Encoded
from rnn_jax.models.readout import ReadoutModel, ReadoutParams
from rnn_jax.tasks.task import weighted_mean


@dataclasses.dataclass(frozen=True)
class LanguageModel:
    """p(x_{t+1} = v | x_1 .. x_t) = softmax(h_t V + c)_v, with h_t the output of a cell that has read x_1 .. x_t.

    The cell reads ids as `Encoded` gives them.

    Mikolov et al. 2010, "Recurrent neural network based language model". For dropout put it around the cells, as
    `rnn_jax.Dropout` and `rnn_jax.RecurrentDropout` (Zaremba et al. 2014, arXiv:1409.2329). Compares and hashes by
    value, so that an equal model is compiled once.

    Args:
      encoder: of ids to the cell's inputs: `OneHot(len(vocabulary))`, `Embedding(len(vocabulary), features)`.
      cell: a cell or layer that reads them. To generate, it must be one that can be stepped.

    Raises:
      TypeError: where they are no encoder or no cell.
      ValueError: where the cell does not read as many features as the encoder gives.
    """

    encoder: Encoder
    cell: Cell

    def __post_init__(self) -> None:
        Encoded(self.cell, self.encoder)  # refuses

    @property
    def size(self) -> int:
        """Ids of the vocabulary, each an output."""
        return self.encoder.size

    @property
    def network(self) -> ReadoutModel:
        """The same on unit vectors [..., size]: what estimators, trainers and diagnostics take."""
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
        key: jax.Array | None = None,
    ) -> tuple[State, jax.Array]:
        """The logits of the id after each of some ids.

        Args:
          params: from `init`.
          ids: integers [T, *batch].
          state: before the first of them, such as the final state of a call before.
          lengths: as `rnn_jax.unroll`'s.
          resets: likewise.
          engine: likewise.
          key: likewise.

        Returns:
          The final state, and the logits [T, *batch, size].

        Raises:
          TypeError, ValueError: as `rnn_jax.unroll`; where ids are not integers, or one that can be read is not in
            [0, size). Where ids are traced, the logits from such a one on are NaN.
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
        key: jax.Array | None = None,
    ) -> tuple[State, jax.Array]:
        """-mean log p(target_t | ids_1 .. ids_t), in nats per token, over the steps before each sequence's length.

        Args:
          params: from `init`.
          ids: integers [T, *batch].
          targets: integers [T, *batch], the ids one step later.
          state: as `apply`'s.
          lengths: likewise.
          resets: likewise.
          engine: likewise.
          key: likewise.

        Returns:
          The final state, and the loss.

        Raises:
          TypeError, ValueError: as `apply`; for targets as for ids.
        """
        final_state, logits = self.apply(params, ids, state, lengths=lengths, resets=resets, engine=engine, key=key)
        _check_targets(targets, logits.shape)
        valid = jnp.ones(logits.shape[:-1], bool)
        if lengths is not None:
            valid = masking.before_end(jnp.asarray(lengths), len(logits))
        return final_state, nats_per_token(logits, jnp.asarray(targets), valid)

    def step(self, params: ReadoutParams, state: State, ids: Any) -> tuple[State, jax.Array]:
        """One id [*batch] read: the state after it, and the logits [*batch, size] of the next.

        Raises:
          TypeError: where the cell cannot be stepped; else as `apply`.
        """
        network, x = self.network, self._unit_vectors(ids)
        state = network.cell.step(params.cell, state, network.cell.project(params.cell, x))
        return state, network.read(params, network.cell.output(params.cell, state, x))

    def _unit_vectors(self, ids: Any) -> jax.Array:
        return OneHot(self.size).apply((), ids)


def nats_per_token(logits: jax.Array, targets: jax.Array, weights: jax.Array) -> jax.Array:
    """-sum_t w_t log softmax(logits_t)[target_t] / sum_t w_t; zero where every weight is.

    Args:
      logits: [..., size].
      targets: integers [...].
      weights: [...].
    """
    return weighted_mean(optax.softmax_cross_entropy_with_integer_labels(logits, targets), weights)


def _check_targets(targets: Any, shape: tuple[int, ...]) -> None:
    traced = isinstance(targets, jax.core.Tracer)
    targets = targets if traced else np.asarray(targets)
    if not jnp.issubdtype(targets.dtype, jnp.integer):
        raise TypeError(f"LanguageModel: targets must be integers, got {targets.dtype}")
    if targets.shape != shape[:-1]:
        raise ValueError(f"LanguageModel: targets must be {list(shape[:-1])}, as ids, got shape {list(targets.shape)}")
    if not traced and np.any(strange := (targets < 0) | (targets >= shape[-1])):
        raise ValueError(f"LanguageModel: targets must be in [0, {shape[-1]}), got {targets[strange][0]}")
