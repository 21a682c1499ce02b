"""A recurrent decoder: the tokens of a sequence one after the other, given a state to begin with or a memory, or both.

It does not know where these come from: an encoder of sentences (`rnn_jax.models.EncoderDecoder`), of images, of sound.
"""

import dataclasses
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from rnn_jax import masking
from rnn_jax.cell import Cell, Params, State
from rnn_jax.data import Encoder, Vocabulary
from rnn_jax.engines import Engine, Scan
from rnn_jax.models.attending import AttendingCell
from rnn_jax.models.scheduled_sampling import SelfFed, SelfFedState
from rnn_jax.unrolling import unroll


class DecoderParams(NamedTuple):
    """Parameters of the table of tokens, of the cell, and of the dense layer that reads it."""

    encoder: Any
    cell: Params
    readout: Any  # flax.linen.Dense variables: kernel V [A, size], bias [size]


class Begun(NamedTuple):
    """What was read, a sentence or an image: all that is needed to write of it, by `Decoder.step`."""

    params: DecoderParams  # with the memory
    state: State


@dataclasses.dataclass(frozen=True)
class Decoder:
    """p(y_t = v | y_1 .. y_{t-1}, given) = softmax(o_t V + b)_v, with o_t what a cell says that read y_0 .. y_{t-1}.

    y_0 is BEGIN, and a sequence ends with END. Tokens are read as sqrt(n) E_y, as `Encoded` has them. The cell is any
    that can be stepped: bare, it knows of its source what its first state holds (Sutskever et al. 2014,
    arXiv:1409.3215; Cho et al. 2014, arXiv:1406.1078); as a `BahdanauCell` or `LuongCell` it looks at a memory at every
    step. Compares and hashes by value.

    Args:
      encoder: of tokens to the cell's inputs, `Embedding(len(vocabulary), features)` or `OneHot`.
      cell: what reads them.

    Raises:
      TypeError: where the cell is no cell.
      ValueError: where the cell does not read as many features as the encoder gives.
    """

    encoder: Encoder
    cell: Cell

    def __post_init__(self) -> None:
        if not isinstance(self.cell, Cell):
            raise TypeError(f"Decoder: cell must be a Cell, got {self.cell!r}")
        if self.cell.input_size != self.encoder.features:
            raise ValueError(
                f"Decoder: cell must read the {self.encoder.features} features of {self.encoder!r}, got "
                f"{type(self.cell).__name__} of input_size {self.cell.input_size}"
            )

    @property
    def size(self) -> int:
        """Tokens of the vocabulary."""
        return self.encoder.size

    @property
    def attends(self) -> bool:
        """Whether it looks at a memory."""
        return isinstance(self.cell, AttendingCell)

    def state_of(self, params: DecoderParams) -> Any:
        """The shapes of the state that `begin` takes, without batch dimensions."""
        cell, its = (
            (self.cell.cell, params.cell.cell) if isinstance(self.cell, AttendingCell) else (self.cell, params.cell)
        )
        return jax.eval_shape(lambda p: cell.initial_state(p), its)

    @property
    def memory_size(self) -> int | None:
        """Features of the memory's vectors; None where it looks at none."""
        return self.cell.attention.memory_size if isinstance(self.cell, AttendingCell) else None

    def init(self, key: jax.Array) -> DecoderParams:
        key_encoder, key_cell, key_readout = jax.random.split(key, 3)
        params = self.cell.init(key_cell)
        dtype = jax.tree.leaves(params)[0].dtype
        readout = self._dense(dtype).init(key_readout, jnp.zeros((1, self.cell.output_size), dtype))
        return DecoderParams(self.encoder.init(key_encoder), params, readout)

    def with_memory(self, params: DecoderParams, values: Any, lengths: Any = None) -> DecoderParams:
        """The parameters with the memory that they are to look at; without attention they stay as they are.

        Args:
          params: from `init`.
          values: [M, *batch, F].
          lengths: of the memories, integers [*batch]; None means M.

        Raises:
          TypeError, ValueError: as `Attention.prepare`.
        """
        if not isinstance(self.cell, AttendingCell):
            return params
        return params._replace(cell=self.cell.with_memory(params.cell, values, lengths))

    def begin(self, params: DecoderParams, batch_shape: tuple[int, ...], state: State | None = None) -> State:
        """The state before the first token.

        Args:
          params: with the memory, if there is to be one.
          batch_shape: of the sequences to come.
          state: of the cell, of one that attends that of the cell inside, [*batch_shape, ...]; None means its own
            initial state.
        """
        if not isinstance(self.cell, AttendingCell):
            return self.cell.initial_state(params.cell, batch_shape) if state is None else state
        if state is None:
            return self.cell.initial_state(params.cell, batch_shape)
        return self.cell.begin(params.cell, state, batch_shape)

    def apply(
        self,
        params: DecoderParams,
        targets: Any,
        state: State,
        *,
        lengths: Any = None,
        engine: Engine = Scan(),
        key: jax.Array | None = None,
        own: Any = 0.0,
    ) -> tuple[State, jax.Array]:
        """The logits of every token of some sequences, given those before it (teacher forcing).

        Args:
          params: with the memory.
          targets: integers [T, *batch], each sequence from its first token to END.
          state: from `begin`.
          lengths: of the sequences, END counted in, integers [*batch]; None means T.
          engine: how the recurrence is solved. `Scan` is the faster one for a cell that attends.
          key: of the noise; needed where there is any.
          own: the probability that a token read is not the target's but one drawn from the model's own prediction of
            it: scheduled sampling, Bengio et al. 2015 (arXiv:1506.03099). No gradient goes through a draw. It may be
            traced.

        Returns:
          The final state, and the logits [T, *batch, size].

        Raises:
          TypeError, ValueError: as `rnn_jax.unroll`; where targets are not tokens, or `own` is given and no key.
        """
        if isinstance(own, int | float) and not 0 <= own <= 1:
            raise ValueError(f"Decoder: own must be a probability, got {own}")
        xs = self._inputs(params, targets)
        if isinstance(own, int | float) and own == 0:
            final_state, ys = unroll(self.cell, params.cell, xs, state, lengths=lengths, engine=engine, key=key)
            return final_state, self.read(params, ys)
        if key is None:
            raise ValueError("Decoder: a model's tokens are drawn at random: give a key")
        key_own, key = jax.random.split(key)
        cell = SelfFed(self)
        fed, taught = SelfFedState(state, jnp.zeros_like(xs[0])), cell.taught(xs, own, key_own)
        final_fed, ys = unroll(cell, params, taught, fed, lengths=lengths, engine=engine, key=key)
        return final_fed.cell, self.read(params, ys)

    def log_probability(
        self, params: DecoderParams, targets: Any, state: State, *, lengths: Any = None, **how: Any
    ) -> jax.Array:
        """Log p(y_1 .. y_T | given) of each sequence, [*batch]; arguments and errors as `apply`."""
        _, logits = self.apply(params, targets, state, lengths=lengths, **how)
        nats = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.asarray(targets))
        valid = None if lengths is None else masking.before_end(jnp.asarray(lengths), len(logits))
        return -jnp.sum(masking.blank(nats, valid), axis=0)

    def loss(self, params: DecoderParams, targets: Any, state: State, *, lengths: Any = None, **how: Any) -> jax.Array:
        """-sum log p / tokens, in nats per token of the batch; 0 of none. Arguments and errors as `apply`."""
        log_p = self.log_probability(params, targets, state, lengths=lengths, **how)
        tokens = jnp.size(targets) if lengths is None else jnp.sum(jnp.asarray(lengths))
        return -jnp.sum(log_p) / jnp.maximum(tokens, 1)

    def step(self, params: DecoderParams, state: State, ids: Any) -> tuple[State, jax.Array]:
        """One token [*batch] read: the state after it, and the logits [*batch, size] of the next."""
        x = self.embed(params, ids)
        state = self.cell.step(params.cell, state, self.cell.project(params.cell, x))
        return state, self.read(params, self.cell.output(params.cell, state, x))

    def embed(self, params: DecoderParams, ids: Any) -> jax.Array:
        """What the cell reads [..., features] of tokens [...]."""
        return self.encoder.features**0.5 * self.encoder.apply(params.encoder, ids)

    def read(self, params: DecoderParams, ys: jax.Array) -> jax.Array:
        """The logits [..., size] of the cell's outputs [..., A]."""
        logits: Any = self._dense(ys.dtype).apply(params.readout, ys)
        return logits

    def _inputs(self, params: DecoderParams, targets: Any) -> jax.Array:
        """BEGIN and all targets but the last, embedded; the last is looked at too, so that no strange one passes."""
        if jnp.ndim(targets) < 1 or not jnp.shape(targets)[0]:
            raise ValueError(
                f"Decoder: targets must be [T, *batch] with T of at least 1, got shape {list(jnp.shape(targets))}"
            )
        targets = targets if isinstance(targets, jax.Array) else np.asarray(targets)
        begin = self.embed(params, np.full((1, *targets.shape[1:]), Vocabulary.BEGIN))
        return jnp.concatenate([begin, self.embed(params, targets)[:-1]])

    def _dense(self, dtype: Any) -> nn.Dense:
        return nn.Dense(self.size, param_dtype=dtype)
