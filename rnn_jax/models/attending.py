"""Cells that look at a memory at every step: any cell becomes the decoder of Bahdanau et al. or of Luong et al.

The memory stands among the parameters (`with_memory`): like them it is the same at every step, so that a step stays a
pure function of its three arguments, an engine handles it without knowing it, and its gradient is a sum over steps.
The weights of the attention stand in the state, where a search reads them.
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
    """Parameters of the cell, its attention and the layer that reads both; the memory, once it is given."""

    cell: Params
    attention: Any
    w: jax.Array  # of the layer, [in, out]
    b: jax.Array  # [out]
    memory: Memory | None = None


@dataclasses.dataclass(frozen=True)
class AttendingCell(Wrapper):
    """What both forms share. Inputs x_t are [..., input_size], states begin as those of the cell inside.

    A wrapper, such as `Dropout`, belongs around the cell inside.

    Args:
      cell: the recurrent core. It reads x_t and what the attention has found, side by side.
      attention: its queries are the cell's outputs.
      size: A, features of the output: what a token is read from.

    Raises:
      TypeError: where the cell is no cell, or the attention no attention.
      ValueError: where sizes do not fit, or `size` is not a positive integer.
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
        if self.cell.input_size <= self.found_size:
            raise ValueError(
                f"{who}: the cell must read an input and {self.found_size} features that the attention has found, got "
                f"input_size {self.cell.input_size}"
            )
        object.__setattr__(self, "input_size", self.cell.input_size - self.found_size)

    @property
    def found_size(self) -> int:
        """Features of what the cell reads beside x_t."""
        raise NotImplementedError

    @property
    def read_size(self) -> int:
        """Features of what the output layer reads."""
        raise NotImplementedError

    @property
    def output_size(self) -> int:
        return self.size

    def init(self, key: jax.Array) -> AttendingParams:
        key_cell, key_attention, key_w = jax.random.split(key, 3)
        w = initializers.LecunNormal()(key_w, (self.read_size, self.size))
        return AttendingParams(
            self.cell.init(key_cell), self.attention.init(key_attention), w, jnp.zeros(self.size, w.dtype)
        )

    def with_memory(self, params: AttendingParams, values: Any, lengths: Any = None) -> AttendingParams:
        """The parameters with a memory [M, *batch, F] to look at; arguments and errors as `Attention.prepare`."""
        return params._replace(memory=self.attention.prepare(params.attention, values, lengths))

    def initial_state(self, params: AttendingParams, batch_shape: tuple[int, ...] = ()) -> State:
        return self.begin(params, self.cell.initial_state(params.cell, batch_shape), batch_shape)

    def begin(self, params: AttendingParams, state: State, batch_shape: tuple[int, ...]) -> State:
        """The state before the first step, from one of the cell inside [*batch_shape, ...]."""
        raise NotImplementedError

    def noise(self, params: AttendingParams, key: jax.Array, shape: tuple[int, ...]) -> Any:
        return self.cell.noise(params.cell, key, shape)

    def project(self, params: AttendingParams, x: Any) -> Any:
        return x  # what stands beside it, the step knows

    def _advance(self, params: AttendingParams, state: State, x: Any, found: jax.Array) -> tuple[State, jax.Array]:
        """The cell's state after a step, and its output."""
        x, drawn = noise.split(x)
        both = noise.join(jnp.concatenate([x, found.astype(x.dtype)], axis=-1), drawn)
        state = self.cell.step(params.cell, state, self.cell.project(params.cell, both))
        return state, self.cell.output(params.cell, state, both)

    def _look(self, params: AttendingParams, query: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The context [*lead, F] and the weights [*lead, M] of queries [*lead, H].

        An engine may hand over all steps of all sequences as one batch (`Hoisted` does): they are sorted out again.
        """
        memory = self._memory(params)
        batch = memory.values.shape[1:-1]
        together = query.ndim - 1 == len(batch) and query.shape[:-1] != batch
        queries = jnp.reshape(query, (-1, *batch, query.shape[-1])) if together else query
        context, weights = self.attention(params.attention, queries, memory)
        weights = jnp.moveaxis(weights, queries.ndim - memory.values.ndim + 1, -1)
        context = jnp.reshape(context, (*query.shape[:-1], context.shape[-1]))
        return context, jnp.reshape(weights, (*query.shape[:-1], weights.shape[-1]))

    def _no_weights(self, params: AttendingParams, batch_shape: tuple[int, ...]) -> jax.Array:
        values = self._memory(params).values
        return jnp.zeros((*batch_shape, len(values)), values.dtype)

    def _memory(self, params: AttendingParams) -> Memory:
        if params.memory is None:
            raise ValueError(f"{type(self).__name__}: there is no memory; give one by with_memory(params, values)")
        return params.memory


class BahdanauState(NamedTuple):
    """The cell's state and output, what it has read with its input, and where that was looked for."""

    cell: State
    h: jax.Array  # h_t [*batch, H]
    context: jax.Array  # c_t [*batch, F]
    weights: jax.Array  # alpha_t [*batch, M]


@dataclasses.dataclass(frozen=True)
class BahdanauCell(AttendingCell):
    """Looks before it steps; Bahdanau, Cho & Bengio 2015 (arXiv:1409.0473), appendix A.2.2.

        c_t = attention(h_{t-1}),   s_t = step(s_{t-1}, [x_t; c_t]),   y_t = tanh([h_t; c_t; x_t] W + b)

    The output layer is a tanh layer, where the paper has a maxout one that reads h_{t-1} in place of h_t. Arguments and
    errors as `AttendingCell`; the cell's input_size is that of x_t and F.
    """

    @property
    def found_size(self) -> int:
        return self.attention.memory_size

    @property
    def read_size(self) -> int:
        return self.cell.output_size + self.cell.input_size

    def begin(self, params: AttendingParams, state: State, batch_shape: tuple[int, ...]) -> BahdanauState:
        dtype = self._memory(params).values.dtype
        nothing = jnp.zeros((*batch_shape, self.cell.input_size), dtype)
        h = self.cell.output(params.cell, state, nothing)
        return BahdanauState(state, h, nothing[..., : self.found_size], self._no_weights(params, batch_shape))

    def step(self, params: AttendingParams, state: BahdanauState, drive: Any) -> BahdanauState:
        context, weights = self._look(params, state.h)
        inner, h = self._advance(params, state.cell, drive, context)
        return BahdanauState(inner, h, context, weights)

    def output(self, params: AttendingParams, state: BahdanauState, x: Any) -> jax.Array:
        x, _ = noise.split(x)
        return jnp.tanh(affine(jnp.concatenate([state.h, state.context, x], axis=-1), params.w, params.b))


class LuongState(NamedTuple):
    """The cell's state, the output that it reads next, and where the last context was looked for."""

    cell: State
    y: jax.Array  # [*batch, A]
    weights: jax.Array  # alpha_t [*batch, M]


@dataclasses.dataclass(frozen=True)
class LuongCell(AttendingCell):
    """Looks after it has stepped, and feeds what it then says into its next step.

        s_t = step(s_{t-1}, [x_t; y_{t-1}]),   c_t = attention(h_t),   y_t = tanh([c_t; h_t] W + b),   y_0 = 0

    Luong, Pham & Manning 2015 (arXiv:1508.04025), section 3, with input feeding (3.3) and a bias. Arguments and errors
    as `AttendingCell`; the cell's input_size is that of x_t and A.
    """

    @property
    def found_size(self) -> int:
        return self.size

    @property
    def read_size(self) -> int:
        return self.attention.memory_size + self.cell.output_size

    def begin(self, params: AttendingParams, state: State, batch_shape: tuple[int, ...]) -> LuongState:
        y = jnp.zeros((*batch_shape, self.size), self._memory(params).values.dtype)
        return LuongState(state, y, self._no_weights(params, batch_shape))

    def step(self, params: AttendingParams, state: LuongState, drive: Any) -> LuongState:
        inner, h = self._advance(params, state.cell, drive, state.y)
        context, weights = self._look(params, h)
        y = jnp.tanh(affine(jnp.concatenate([context, h], axis=-1), params.w, params.b))
        return LuongState(inner, y, weights)

    def output(self, params: AttendingParams, state: LuongState, x: Any) -> jax.Array:
        return state.y
