"""A recurrent decoder: predicts a sequence token by token, from an initial state, a memory, or both.

It is independent of their source: an encoder of sentences (`EncoderDecoder`), of images (`Captioner`), of sound.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from rnn_jax import integers, masking, noise, parameters
from rnn_jax.cell import Cell, Params, State
from rnn_jax.data import Encoder, Vocabulary
from rnn_jax.engines import Engine, Scan
from rnn_jax.models import dense, embedding, scheduled_sampling
from rnn_jax.models.attending import AttendingCell
from rnn_jax.static import Static
from rnn_jax.unrolling import unroll


class DecoderParams(NamedTuple):
    """Parameters of the token encoder, of the cell, and of the dense readout."""

    encoder: Any
    cell: Params
    readout: Any  # flax.linen.Dense variables: kernel V [A, size], bias b [size]


class DecoderStart(NamedTuple):
    """Parameters and state to decode from, given a source such as a sentence or an image."""

    params: DecoderParams  # with the memory, if the decoder attends
    state: State  # before the first token


@dataclasses.dataclass(frozen=True)
class Decoder(Static):
    """A conditional language model, p(y_t = v | y_1 .. y_{t-1}, source) = softmax(o_t V + b)_v.

    o_t is the output of a cell that has read y_0 .. y_{t-1}, each as sqrt(n) E_y; y_0 is BEGIN, and a sequence ends
    with END. A plain cell knows its source from its initial state (Sutskever et al. 2014, arXiv:1409.3215; Cho et al.
    2014, arXiv:1406.1078); a `BahdanauCell` or `LuongCell` also attends to a memory at every step. Compares and hashes
    by value.

    Args:
      encoder: encoder of the tokens: `Embedding(len(vocabulary), features)` or `OneHot(len(vocabulary))`.
      cell: cell that reads them; it must be one that can be stepped.

    Raises:
      TypeError: if `cell` is not a cell.
      ValueError: if the cell's input_size is not the encoder's number of features.
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
        """Number of tokens in the vocabulary."""
        return self.encoder.size

    @property
    def attends(self) -> bool:
        """Whether the decoder attends to a memory."""
        return isinstance(self.cell, AttendingCell)

    @property
    def memory_size(self) -> int | None:
        """Number of features of the memory's vectors; None without attention."""
        return self.cell.attention.memory_size if isinstance(self.cell, AttendingCell) else None

    def cell_state_shapes(self, params: DecoderParams) -> Any:
        """Returns the shapes of the cell state that `initial_state` takes, without batch dimensions."""
        cell, cell_params = self.cell, params.cell
        if isinstance(cell, AttendingCell):
            cell, cell_params = cell.cell, cell_params.cell
        return jax.eval_shape(lambda p: cell.initial_state(p), cell_params)

    def init(self, key: jax.Array) -> DecoderParams:
        key_encoder, key_cell, key_readout = jax.random.split(key, 3)
        params = self.cell.init(key_cell)
        outputs = jax.ShapeDtypeStruct((1, self.cell.output_size), jax.tree.leaves(params)[0].dtype)
        return DecoderParams(self.encoder.init(key_encoder), params, dense.init(key_readout, self.size, outputs))

    def with_memory(self, params: DecoderParams, values: Any, lengths: Any = None) -> DecoderParams:
        """Returns the parameters with a memory to attend to; unchanged if the decoder does not attend.

        Args:
          params: parameters from `init`.
          values: vectors of the memory [M, *batch, F].
          lengths: number of vectors of each memory, integers [*batch]; None means M.

        Raises:
          TypeError, ValueError: as `Attention.prepare`.
        """
        if not isinstance(self.cell, AttendingCell):
            return params
        return params._replace(cell=self.cell.with_memory(params.cell, values, lengths))

    def initial_state(
        self, params: DecoderParams, batch_shape: tuple[int, ...], cell_state: State | None = None
    ) -> State:
        """Returns the state before the first token.

        Args:
          params: parameters, with the memory if the decoder attends.
          batch_shape: batch dimensions of the sequences.
          cell_state: initial state of the cell (with attention: of the cell inside) [*batch_shape, ...]; None means the
            cell's `initial_state`.
        """
        if cell_state is None:
            return self.cell.initial_state(params.cell, batch_shape)
        if isinstance(self.cell, AttendingCell):
            return self.cell.start_from(params.cell, cell_state, batch_shape)
        return cell_state

    def apply(
        self,
        params: DecoderParams,
        targets: Any,
        state: State,
        *,
        lengths: Any = None,
        engine: Engine = Scan(),
        key: noise.Key = noise.NOT_GIVEN,
        sampling_probability: Any = 0.0,
    ) -> tuple[State, jax.Array]:
        """Computes the logits of every target token given the tokens before it (teacher forcing).

        Args:
          params: parameters, with the memory if the decoder attends.
          targets: ids [T, *batch], each sequence from its first token to END.
          state: state from `initial_state`.
          lengths: number of tokens of each sequence, END included, integers [*batch]; None means T.
          engine: solver of the recurrence. `Scan` is the fastest for a cell that attends.
          key: random key of the noise and of scheduled sampling, required if there is some; None means
            evaluation.
          sampling_probability: probability that a token read is drawn from the model's prediction instead of taken from
            the target (scheduled sampling, Bengio et al. 2015, arXiv:1506.03099). It may be traced.

        Returns:
          The final state, and the logits [T, *batch, size].

        Raises:
          TypeError, ValueError: as `rnn_jax.unroll`; if targets are not tokens; if sampling_probability is not in
            [0, 1], or is given without a key.
        """
        parameters.check(self, params)
        fixed = isinstance(sampling_probability, int | float)
        if fixed and not 0 <= sampling_probability <= 1:
            raise ValueError(f"Decoder: sampling_probability must be in [0, 1], got {sampling_probability}")
        xs = self._inputs(params, targets)
        if fixed and sampling_probability == 0:
            final_state, ys = unroll(self.cell, params.cell, xs, state, lengths=lengths, engine=engine, key=key)
            return final_state, self.read(params, ys)
        if key is None or isinstance(key, noise.NotGiven):
            raise ValueError("Decoder: scheduled sampling draws tokens at random: give a key")
        key_draws, key = jax.random.split(key)
        cell = scheduled_sampling.ScheduledCell(self.cell, self.encoder)
        inputs = scheduled_sampling.draw_inputs(xs, sampling_probability, key_draws)
        start = scheduled_sampling.ScheduledState(state, jnp.zeros_like(xs[0]))
        final, ys = unroll(cell, params, inputs, start, lengths=lengths, engine=engine, key=key)
        return final.cell, self.read(params, ys)

    def log_probability(
        self, params: DecoderParams, targets: Any, state: State, *, lengths: Any = None, **options: Any
    ) -> jax.Array:
        """Returns log p(y_1 .. y_T | source) of each sequence, [*batch]; arguments and errors as `apply`."""
        _, logits = self.apply(params, targets, state, lengths=lengths, **options)
        targets = integers.int32(targets, "Decoder: targets")
        nats = optax.softmax_cross_entropy_with_integer_labels(logits, targets)
        valid = None if lengths is None else masking.before_end(lengths, len(logits))
        return -jnp.sum(masking.blank(nats, valid), axis=0)

    def loss(
        self, params: DecoderParams, targets: Any, state: State, *, lengths: Any = None, **options: Any
    ) -> jax.Array:
        """Returns -sum log p / tokens, in nats per token of the batch, 0 for no tokens; arguments as `apply`."""
        log_p = self.log_probability(params, targets, state, lengths=lengths, **options)
        tokens = (
            jnp.size(targets) if lengths is None else jnp.sum(jnp.asarray(integers.int32(lengths, "Decoder: lengths")))
        )
        return -jnp.sum(log_p) / jnp.maximum(tokens, 1)

    def step(self, params: DecoderParams, state: State, ids: Any) -> tuple[State, jax.Array]:
        """Reads one token [*batch]; returns the state after it, and the logits [*batch, size] of the next."""
        x = embedding.scaled(self.encoder, params.encoder, ids)
        state = self.cell.step(params.cell, state, self.cell.project(params.cell, x))
        return state, self.read(params, self.cell.output(params.cell, state, x))

    def read(self, params: DecoderParams, ys: jax.Array) -> jax.Array:
        """Returns the logits [..., size] of cell outputs [..., A]."""
        return dense.apply(params.readout, self.size, ys)

    def _inputs(self, params: DecoderParams, targets: Any) -> jax.Array:
        """Embeds BEGIN and all targets but the last; the last is embedded too, so that a bad id is rejected."""
        if jnp.ndim(targets) < 1 or not jnp.shape(targets)[0]:
            raise ValueError(
                f"Decoder: targets must be [T, *batch] with T of at least 1, got shape {list(jnp.shape(targets))}"
            )
        targets = integers.int32(targets, "Decoder: targets")
        begin = np.full((1, *targets.shape[1:]), Vocabulary.BEGIN)
        embedded = [embedding.scaled(self.encoder, params.encoder, ids) for ids in (begin, targets)]
        return jnp.concatenate([embedded[0], embedded[1][:-1]])
