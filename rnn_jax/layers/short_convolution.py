"""A causal convolution over the last few inputs, each feature by itself."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import checks, noise
from rnn_jax.cell import Cell, Params
from rnn_jax.cells.projection import over_batch
from rnn_jax.layer import Layer, UnrollOptions
from rnn_jax.linear import spread


class ShortConvolutionParams(NamedTuple):
    """Weights of the inputs, the oldest first."""

    w: jax.Array  # [width, F]
    b: jax.Array  # [F]


@dataclasses.dataclass(frozen=True)
class ShortConvolution(Cell, Layer):
    """y_t = b + sum_k w_k * x_{t - width + 1 + k}, with zeros for inputs before the first step, or before a reset.

    The depthwise convolution before the recurrence of H3 (Fu et al. 2023, arXiv:2212.14052), Mamba (arXiv:2312.00752)
    and Griffin (arXiv:2402.19427), all of width 4: a linear recurrence cannot compare neighbouring inputs by itself.
    `unroll` computes all steps at once. The state is the last `width` inputs, [*batch, width, F], the newest last.
    Initially w ~ U(-1 / sqrt(width), 1 / sqrt(width)), b = 0.

    >>> layer = ShortConvolution(input_size=2, width=3)
    >>> params = layer.init(jax.random.key(0))._replace(w=jnp.array([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]))
    >>> from rnn_jax import unroll
    >>> _, ys = unroll(layer, params, jnp.arange(1.0, 5.0)[:, None] * jnp.ones(2))
    >>> ys[:, 0].tolist(), ys[:, 1].tolist()  # the input two steps before, and the input itself
    ([0.0, 0.0, 1.0, 2.0], [1.0, 2.0, 3.0, 4.0])

    Args:
      input_size: features F.
      width: number of inputs that an output sees.

    Raises:
      ValueError: if a size is not a positive integer.
    """

    hidden_size: int = dataclasses.field(init=False, repr=False)
    width: int = 4

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden_size", self.input_size)
        super().__post_init__()
        checks.integer_at_least(1, self.width, "ShortConvolution: width")

    def init(self, key: jax.Array) -> ShortConvolutionParams:
        bound = self.width**-0.5
        w = jax.random.uniform(key, (self.width, self.input_size), minval=-bound, maxval=bound)
        return ShortConvolutionParams(w, jnp.zeros(self.input_size))

    def initial_state(self, params: Params, batch_shape: tuple[int, ...] = ()) -> jax.Array:
        return jnp.zeros((*batch_shape, self.width, self.input_size), params.b.dtype)

    def unroll(self, params: Params, xs: Any, state: jax.Array, options: UnrollOptions) -> tuple[jax.Array, Any]:
        steps, width = xs.shape[0], self.width
        # Input t stands at t + width; before it the state. The episode of an input is the number of resets until then.
        inputs = jnp.concatenate([jnp.moveaxis(state, -2, 0), xs])
        resets = jnp.zeros(xs.shape[:-1], bool) if options.resets is None else options.resets
        episodes = jnp.cumsum(jnp.concatenate([jnp.zeros((width, *resets.shape[1:]), bool), resets]), axis=0)

        ys = jnp.broadcast_to(params.b, xs.shape)
        for k, w in enumerate(params.w, start=1):  # of width 4, the inputs three, two, one and no step before
            same = episodes[k : k + steps] == episodes[width:]
            ys += over_batch(w, xs.ndim) * jnp.where(spread(same, xs), inputs[k : k + steps], 0)

        ends = jnp.full(xs.shape[1:-1], steps) if options.lengths is None else options.lengths
        at = ends[None] + jnp.arange(width).reshape(-1, *(1,) * ends.ndim)
        seen = jnp.take_along_axis(episodes, at, 0)
        window = jnp.take_along_axis(inputs, spread(at, inputs), 0)
        window = jnp.where(spread(seen == seen[-1:], window), window, 0)
        return jnp.moveaxis(window, 0, -2), ys

    def project(self, params: Params, x: Any) -> Any:
        return noise.split(x)[0]

    def step(self, params: Params, state: jax.Array, drive: Any) -> jax.Array:
        return jnp.concatenate([state[..., 1:, :], drive[..., None, :]], axis=-2).astype(state.dtype)

    def output(self, params: Params, state: jax.Array, x: Any) -> jax.Array:
        weighted = jnp.reshape(params.w, (1,) * (state.ndim - 2) + params.w.shape) * state
        return jnp.sum(weighted, axis=-2) + over_batch(params.b, state.ndim - 1)
