"""Recurrent highway network (RHN), Zilly et al. 2017 (arXiv:1607.03474), eq. 6-9, with coupled gates.

s_0 = h_{t-1};  for l = 1..L:
    n_l = tanh([l = 1] x_t W_in + s_{l-1} W_hn_l + b_n_l)           candidate
    g_l = sigmoid([l = 1] x_t W_ig + s_{l-1} W_hg_l + b_g_l)        transform gate: the share that is replaced
    s_l = n_l * g_l + s_{l-1} * (1 - g_l)
h_t = s_L

A step is a highway network of L layers, the first of which reads the input.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import checks, initializers
from rnn_jax.cell import Cell
from rnn_jax.cells.projection import affine, over_batch


class RHNParams(NamedTuple):
    """Weights [in, out]; candidate and gate concatenated."""

    w_i: jax.Array  # [D, 2H], n g
    w_h: jax.Array  # [L, H, 2H]
    b: jax.Array  # [L, 2H]


@dataclasses.dataclass(frozen=True)
class RHN(Cell):
    """RHN of recurrence depth L; the state and the output are h [*batch, H].

    The paper couples carry and transform gate, c = 1 - t, in all its experiments, and so does this. Defaults are those
    of the authors' code for Penn Treebank: weights U(-0.04, 0.04) for hundreds of units, transform bias -2 (-4 for
    text8 and enwik8), and depth 4 (10 in the best models); b_n, drawn like the weights there, is zero here. Claimed:
    Penn Treebank perplexity 90.6 at depth 1 and 65.4 at depth 10 with as many parameters, 1.27 bits a character on
    text8 and enwik8 (abstract and authors' repository).

    >>> cell = RHN(input_size=2, hidden_size=3, depth=2)
    >>> params = cell.init(jax.random.key(0))
    >>> cell.step(params, cell.initial_state(params, (5,)), cell.project(params, jnp.ones((5, 2)))).shape
    (5, 3)

    Args:
      input_size: D.
      hidden_size: H.
      depth: L, number of layers of a step.
      transform_bias: initial b_g of every layer.
      weight_init: initialiser of each block of w_i and w_h.

    Raises:
      ValueError: if a size or depth is not a positive integer.
    """

    depth: int = 4
    transform_bias: float = initializers.init_only(-2.0)
    weight_init: initializers.Initializer = initializers.init_only(initializers.Uniform(0.04))

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.integer_at_least(1, self.depth, "RHN: depth")

    def init(self, key: jax.Array) -> RHNParams:
        key_i, *keys = jax.random.split(key, self.depth + 1)
        units = self.hidden_size
        zeros = jnp.zeros((self.depth, units))
        return RHNParams(
            w_i=initializers.stack_gates(self.weight_init, key_i, 2, (self.input_size, units)),
            w_h=jnp.stack([initializers.stack_gates(self.weight_init, k, 2, (units, units)) for k in keys]),
            b=jnp.concatenate([zeros, jnp.full_like(zeros, self.transform_bias)], axis=1),
        )

    def initial_state(self, params: RHNParams, batch_shape: tuple[int, ...] = ()) -> jax.Array:
        return jnp.zeros((*batch_shape, self.hidden_size), params.b.dtype)

    def project(self, params: RHNParams, x: jax.Array) -> jax.Array:
        return affine(x, params.w_i, params.b[0])

    def step(self, params: RHNParams, state: jax.Array, drive: jax.Array) -> jax.Array:
        for layer in range(self.depth):
            outside = drive if layer == 0 else over_batch(params.b[layer], state.ndim)
            n, g = jnp.split(outside + state @ params.w_h[layer], 2, axis=-1)
            g = jax.nn.sigmoid(g)
            state = jnp.tanh(n) * g + state * (1 - g)
        return state
