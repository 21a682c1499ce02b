"""Lipschitz recurrent neural network, Erichson et al. 2021 (arXiv:2006.12070), eq. 3 by Euler steps.

h_t = h_{t-1} + epsilon (h_{t-1} A + tanh(h_{t-1} W + x_t U + b))
A, W = (1 - beta) (M + M^T) + beta (M - M^T) - gamma I, each with an M of its own

A linear part and a nonlinear one of Lipschitz constant |W|. beta weighs symmetric against skew-symmetric parts: at 1, a
network of oscillators with damping gamma.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import checks, initializers
from rnn_jax.cell import Params, SplitCell
from rnn_jax.cells.projection import affine


class LipschitzParams(NamedTuple):
    """Weights [in, out]."""

    w_i: jax.Array  # [D, H], U
    m: jax.Array  # [2, H, H], the M of A and that of W
    b: jax.Array  # [H]


class LipschitzWeights(NamedTuple):
    """Prepared parameters."""

    w_i: jax.Array
    w_h: jax.Array  # [H, 2H], A and W
    b: jax.Array


@dataclasses.dataclass(frozen=True)
class LipschitzRNN(SplitCell):
    """Lipschitz RNN; the state and the output are h [*batch, H].

    The authors' code has beta and gamma of A and of W apart and gives both the same values; here they are one. Defaults
    are those of the code's last README for both MNIST tasks (before it, epsilon 0.01 and beta 0.65, permuted 0.8), but
    recurrent_std, which was 6 to 32 in its commands, is a third-party port's. m ~ N(0, (recurrent_std / H)^2), w_i is
    Glorot's normal distribution, b = 0. Claimed: sequential MNIST 99.4 %, permuted 96.3 % (as quoted by Gu et al. 2022,
    arXiv:2111.00396, table 12), noise-padded CIFAR-10 59.0 % (as listed by Papers with Code).

    >>> cell = LipschitzRNN(input_size=2, hidden_size=3)
    >>> params = cell.init(jax.random.key(0))
    >>> cell.step(params, cell.initial_state(params, (5,)), cell.project(params, jnp.ones((5, 2)))).shape
    (5, 3)

    Args:
      input_size: D.
      hidden_size: H.
      epsilon: length of a step.
      beta: weight of the skew-symmetric part, from 0 to 1; the paper uses 0.5 to 1.
      gamma: damping.
      recurrent_std: standard deviation of m, times H.

    Raises:
      ValueError: if a size is not a positive integer, epsilon is not positive, beta is not from 0 to 1, or gamma or
        recurrent_std is negative.
    """

    epsilon: float = 0.03
    beta: float = 0.75
    gamma: float = 0.001
    recurrent_std: float = initializers.init_only(0.1)

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.positive(self.epsilon, "LipschitzRNN: epsilon")
        checks.not_negative(self.gamma, "LipschitzRNN: gamma")
        checks.not_negative(self.recurrent_std, "LipschitzRNN: recurrent_std")
        checks.finite(self.beta, "LipschitzRNN: beta")
        if not 0 <= self.beta <= 1:
            raise ValueError(f"LipschitzRNN: beta must be from 0 to 1, got {self.beta!r}")

    def init(self, key: jax.Array) -> LipschitzParams:
        key_i, key_m = jax.random.split(key)
        inputs, units = self.input_size, self.hidden_size
        return LipschitzParams(
            w_i=jax.nn.initializers.glorot_normal()(key_i, (inputs, units)),
            m=initializers.Normal(self.recurrent_std / units)(key_m, (2, units, units)),
            b=jnp.zeros(units),
        )

    def initial_state(self, params: Params, batch_shape: tuple[int, ...] = ()) -> jax.Array:
        return jnp.zeros((*batch_shape, self.hidden_size), params.b.dtype)

    def prepare(self, params: Params) -> LipschitzWeights:
        if isinstance(params, LipschitzWeights):
            return params
        m, transposed = params.m, params.m.swapaxes(1, 2)
        damping = self.gamma * jnp.eye(self.hidden_size, dtype=m.dtype)
        both = (1 - self.beta) * (m + transposed) + self.beta * (m - transposed) - damping[None]
        return LipschitzWeights(params.w_i, jnp.concatenate([both[0], both[1]], axis=1), params.b)

    def project(self, params: Params, x: jax.Array) -> jax.Array:
        return affine(x, params.w_i, params.b)

    def recurrent(self, params: Params, state: jax.Array) -> jax.Array:
        return state @ self.prepare(params).w_h

    def activate(self, params: Params, state: jax.Array, drive: jax.Array, r: jax.Array) -> jax.Array:
        del params
        r_a, r_w = jnp.split(r, 2, axis=-1)
        return state + self.epsilon * (r_a + jnp.tanh(drive + r_w))
