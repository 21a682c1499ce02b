"""Cells that attend to a memory at every step: any cell as the decoder of Bahdanau et al. or of Luong et al.

The memory is kept among the parameters (`with_memory`): like them it is the same at every step. So a step stays a pure
function of its three arguments, engines need no special case, and the memory's gradient is a sum over steps. The
attention weights are kept in the state, from which a search reads them.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import checks, initializers, noise
from rnn_jax.cell import Params, State
from rnn_jax.cells.projection import affine
from rnn_jax.models.attention import Attention, Memory
from rnn_jax.wrapper import Wrapper


class AttendingParams(NamedTuple):
    """Parameters of the cell, of its attention and of the output layer; the memory, once it is given."""

    cell: Params
    attention: Any
    w: jax.Array  # weights of the output layer [in, out]
    b: jax.Array  # [out]
    memory: Memory | None = None


@dataclasses.dataclass(frozen=True)
class AttendingCell(Wrapper):
    """Base of `BahdanauCell` and `LuongCell`.

    Inputs x_t are [..., input_size]; outputs y_t are [..., size]. A wrapper such as `Dropout` belongs around the cell
    inside.

    Args:
      cell: recurrent core, which reads x_t concatenated with `extra_size` features that depend on the attention.
      attention: attention whose queries are the cell's outputs.
      size: A, number of features of the output.

    Raises:
      TypeError: if `cell` is not a cell, or `attention` not an `Attention`.
      ValueError: if sizes do not fit, or `size` is not a positive integer.
    """

    attention: Attention
    size: int

    def __post_init__(self) -> None:
        super().__post_init__()
        who = type(self).__name__
        if not isinstance(self.attention, Attention):
            raise TypeError(f"{who}: attention must be an Attention, got {self.attention!r}")
        checks.integer_at_least(1, self.size, f"{who}: size")
        if self.attention.query_size != self.cell.output_size:
            raise ValueError(
                f"{who}: attention must have the query_size {self.cell.output_size}, the cell's output_size, got "
                f"{self.attention.query_size}"
            )
        if self.cell.input_size <= self.extra_size:
            raise ValueError(
                f"{who}: the cell must read an input and {self.extra_size} features of the attention, got input_size "
                f"{self.cell.input_size}"
            )
        object.__setattr__(self, "input_size", self.cell.input_size - self.extra_size)

    @property
    def extra_size(self) -> int:
        """Number of features that the cell reads in addition to x_t."""
        raise NotImplementedError

    @property
    def readout_size(self) -> int:
        """Number of features that the output layer reads."""
        raise NotImplementedError

    @property
    def output_size(self) -> int:
        return self.size

    def inner_params(self, params: AttendingParams) -> Params:
        return params.cell

    def prepare(self, params: AttendingParams) -> AttendingParams:
        return params._replace(cell=self.cell.prepare(params.cell))

    def init(self, key: jax.Array) -> AttendingParams:
        key_cell, key_attention, key_w = jax.random.split(key, 3)
        w = initializers.LecunNormal()(key_w, (self.readout_size, self.size))
        return AttendingParams(
            self.cell.init(key_cell), self.attention.init(key_attention), w, jnp.zeros(self.size, w.dtype)
        )

    def with_memory(self, params: AttendingParams, values: Any, lengths: Any = None) -> AttendingParams:
        """Returns the parameters with a memory [M, *batch, F]; arguments and errors as `Attention.prepare`."""
        return params._replace(memory=self.attention.prepare(params.attention, values, lengths))

    def initial_state(self, params: AttendingParams, batch_shape: tuple[int, ...] = ()) -> State:
        return self.start_from(params, self.cell.initial_state(params.cell, batch_shape), batch_shape)

    def start_from(self, params: AttendingParams, state: State, batch_shape: tuple[int, ...]) -> State:
        """Returns the state before the first step, given that of the cell inside [*batch_shape, ...]."""
        raise NotImplementedError

    def project(self, params: AttendingParams, x: Any) -> Any:
        return x  # only the step knows the rest of the cell's input

    def _step_cell(self, params: AttendingParams, state: State, x: Any, extra: jax.Array) -> tuple[State, jax.Array]:
        """Steps the cell inside on [x; extra]; returns its state and its output."""
        x, drawn = noise.split(x)
        joined = noise.join(jnp.concatenate([x, extra.astype(x.dtype)], axis=-1), drawn)
        state = self.cell.step(params.cell, state, self.cell.project(params.cell, joined))
        return state, self.cell.output(params.cell, state, joined)

    def _attend(self, params: AttendingParams, query: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns the contexts [*lead, F] and the weights [*lead, M] of queries [*lead, H].

        An engine may pass the steps and sequences as one flat axis (`Hoisted` does): they are separated again here.
        """
        memory = self._memory(params)
        batch = memory.values.shape[1:-1]
        flat = query.ndim - 1 == len(batch) and query.shape[:-1] != batch
        queries = jnp.reshape(query, (-1, *batch, query.shape[-1])) if flat else query
        context, weights = self.attention(params.attention, queries, memory)
        weights = jnp.moveaxis(weights, queries.ndim - memory.values.ndim + 1, -1)
        context = jnp.reshape(context, (*query.shape[:-1], context.shape[-1]))
        return context, jnp.reshape(weights, (*query.shape[:-1], weights.shape[-1]))

    def _zero_weights(self, params: AttendingParams, batch_shape: tuple[int, ...]) -> jax.Array:
        values = self._memory(params).values
        return jnp.zeros((*batch_shape, len(values)), values.dtype)

    def _memory(self, params: AttendingParams) -> Memory:
        if params.memory is None:
            raise ValueError(f"{type(self).__name__}: there is no memory; give one by with_memory(params, values)")
        return params.memory


class BahdanauState(NamedTuple):
    """State and output of the cell, and the context it has read with its input."""

    cell: State
    h: jax.Array  # h_t [*batch, H]
    context: jax.Array  # c_t [*batch, F]
    weights: jax.Array  # alpha_t [*batch, M]


@dataclasses.dataclass(frozen=True)
class BahdanauCell(AttendingCell):
    """A cell that attends before each step.

        c_t = attention(h_{t-1}),   s_t = step(s_{t-1}, [x_t; c_t]),   y_t = tanh([h_t; c_t; x_t] W + b)

    Bahdanau, Cho & Bengio 2015 (arXiv:1409.0473), appendix A.2.2. The output layer is a tanh layer; the paper's is a
    maxout layer that reads h_{t-1} in place of h_t. Arguments and errors as `AttendingCell`; the cell's input_size is
    that of x_t plus F.
    """

    @property
    def extra_size(self) -> int:
        return self.attention.memory_size

    @property
    def readout_size(self) -> int:
        return self.cell.output_size + self.cell.input_size

    def start_from(self, params: AttendingParams, state: State, batch_shape: tuple[int, ...]) -> BahdanauState:
        zeros = jnp.zeros((*batch_shape, self.cell.input_size), self._memory(params).values.dtype)
        h = jnp.copy(self.cell.output(params.cell, state, zeros))  # often a part of the state, by the same buffer
        return BahdanauState(state, h, zeros[..., : self.extra_size], self._zero_weights(params, batch_shape))

    def step(self, params: AttendingParams, state: BahdanauState, drive: Any) -> BahdanauState:
        context, weights = self._attend(params, state.h)
        inner, h = self._step_cell(params, state.cell, drive, context)
        return BahdanauState(inner, h, context, weights)

    def output(self, params: AttendingParams, state: BahdanauState, x: Any) -> jax.Array:
        x, _ = noise.split(x)
        return jnp.tanh(affine(jnp.concatenate([state.h, state.context, x], axis=-1), params.w, params.b))


class LuongState(NamedTuple):
    """State of the cell, and the output that it reads next."""

    cell: State
    y: jax.Array  # y_t [*batch, A]
    weights: jax.Array  # alpha_t [*batch, M]


@dataclasses.dataclass(frozen=True)
class LuongCell(AttendingCell):
    """A cell that attends after each step, and reads its last output with its next input (input feeding).

        s_t = step(s_{t-1}, [x_t; y_{t-1}]),   c_t = attention(h_t),   y_t = tanh([c_t; h_t] W + b),   y_0 = 0

    Luong, Pham & Manning 2015 (arXiv:1508.04025), section 3, input feeding in 3.3; the bias is an addition. Arguments
    and errors as `AttendingCell`; the cell's input_size is that of x_t plus A.
    """

    @property
    def extra_size(self) -> int:
        return self.size

    @property
    def readout_size(self) -> int:
        return self.attention.memory_size + self.cell.output_size

    def start_from(self, params: AttendingParams, state: State, batch_shape: tuple[int, ...]) -> LuongState:
        y = jnp.zeros((*batch_shape, self.size), self._memory(params).values.dtype)
        return LuongState(state, y, self._zero_weights(params, batch_shape))

    def step(self, params: AttendingParams, state: LuongState, drive: Any) -> LuongState:
        inner, h = self._step_cell(params, state.cell, drive, state.y)
        context, weights = self._attend(params, h)
        y = jnp.tanh(affine(jnp.concatenate([context, h], axis=-1), params.w, params.b))
        return LuongState(inner, y, weights)

    def output(self, params: AttendingParams, state: LuongState, x: Any) -> jax.Array:
        return state.y
