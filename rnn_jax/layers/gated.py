"""A layer beside which a gate reads the same inputs."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import initializers, noise
from rnn_jax.cell import Params, State
from rnn_jax.cells.projection import affine
from rnn_jax.layer import Layer, UnrollOptions
from rnn_jax.unrolling import unroll
from rnn_jax.wrapper import Wrapper


class GatedParams(NamedTuple):
    """Parameters of the inner cell and of the gate."""

    cell: Params
    w: jax.Array  # [D, output_size]
    b: jax.Array  # [output_size]


@dataclasses.dataclass(frozen=True)
class Gated(Wrapper, Layer):
    """y_t = activation(x_t W + b) * cell(x)_t, the two branches of the recurrent block of Griffin (arXiv:2402.19427).

    Initially W is LeCun normal, b = 0.

    Args:
      cell: a cell or layer.
      activation: function of the gate; Mamba's is `jax.nn.silu`, a GLU's `jax.nn.sigmoid`.

    Raises:
      TypeError: if `cell` is not a cell or layer.
    """

    activation: Callable[[jax.Array], jax.Array] = jax.nn.gelu

    def inner_params(self, params: GatedParams) -> Params:
        return params.cell

    def init(self, key: jax.Array) -> GatedParams:
        key_cell, key_w = jax.random.split(key)
        w = initializers.LecunNormal()(key_w, (self.input_size, self.output_size))
        return GatedParams(self.cell.init(key_cell), w, jnp.zeros(self.output_size))

    def prepare(self, params: GatedParams) -> GatedParams:
        return params._replace(cell=self.cell.prepare(params.cell))

    def unroll(self, params: GatedParams, xs: Any, state: State, options: UnrollOptions) -> tuple[State, Any]:
        final_state, ys = unroll(self.cell, params.cell, xs, state, **options.keywords())
        return final_state, self._gate(params, xs) * ys

    def output(self, params: GatedParams, state: State, x: Any) -> Any:
        return self._gate(params, noise.split(x)[0]) * super().output(params, state, x)

    def _gate(self, params: GatedParams, x: jax.Array) -> jax.Array:
        return self.activation(affine(x, params.w, params.b))
