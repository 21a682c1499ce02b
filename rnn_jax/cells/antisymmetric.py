"""Antisymmetric RNN, Chang et al. 2019 (arXiv:1902.09689), eq. 12 and, with a gate, eq. 13.

h_t = h_{t-1} + epsilon tanh(h_{t-1} (A - gamma I) + x_t W + b),      A = -A^T

The Euler step of an ordinary differential equation whose Jacobian has eigenvalues near the imaginary axis: A alone has
imaginary ones, and the diffusion gamma makes up for what an explicit step adds to their modulus.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import checks, initializers
from rnn_jax.cell import Params, SplitCell
from rnn_jax.cells.projection import affine
from rnn_jax.cells.skew import skew_symmetric


class AntisymmetricParams(NamedTuple):
    """Weights [in, out]; the gate's input weights, if there is one, come first."""

    w_i: jax.Array  # [D, H], or [D, 2H], z h
    a: jax.Array  # [H (H - 1) / 2], entries of A above its diagonal, row by row
    b: jax.Array  # [H], or [2H]


class AntisymmetricWeights(NamedTuple):
    """Prepared parameters."""

    w_i: jax.Array
    w_h: jax.Array  # [H, H], A - gamma I
    b: jax.Array


@dataclasses.dataclass(frozen=True)
class AntisymmetricRNN(SplitCell):
    """AntisymmetricRNN; the state and the output are h [*batch, H].

    The paper writes A = W - W^T and counts n (n - 1) / 2 parameters, those of a triangular W, as here. Initialisation
    and defaults are ours: w_i ~ N(0, 1 / D), a ~ N(0, recurrent_std^2 / H), b = 0. Claimed: sequential MNIST 98.0 %,
    permuted 95.8 %, with 10 thousand parameters (table 1); noise-padded CIFAR-10 48.3 % (table 2).

    >>> cell = AntisymmetricRNN(input_size=2, hidden_size=3)
    >>> params = cell.init(jax.random.key(0))
    >>> cell.step(params, cell.initial_state(params, (5,)), cell.project(params, jnp.ones((5, 2)))).shape
    (5, 3)

    Args:
      input_size: D.
      hidden_size: H.
      epsilon: length of a step.
      gamma: diffusion, the negative real part of all eigenvalues of A - gamma I.
      recurrent_std: standard deviation of a, times sqrt(H).

    Raises:
      ValueError: if a size is not a positive integer, epsilon is not positive, or gamma or recurrent_std is negative.
    """

    epsilon: float = 0.01
    gamma: float = 0.01
    recurrent_std: float = initializers.init_only(1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        checks.positive(self.epsilon, f"{name}: epsilon")
        checks.not_negative(self.gamma, f"{name}: gamma")
        checks.not_negative(self.recurrent_std, f"{name}: recurrent_std")

    def init(self, key: jax.Array) -> AntisymmetricParams:
        return self._init(key, self.hidden_size)

    def _init(self, key: jax.Array, columns: int) -> AntisymmetricParams:
        key_i, key_a = jax.random.split(key)
        inputs, units = self.input_size, self.hidden_size
        return AntisymmetricParams(
            w_i=initializers.Normal(inputs**-0.5)(key_i, (inputs, columns)),
            a=initializers.Normal(self.recurrent_std * units**-0.5)(key_a, (units * (units - 1) // 2,)),
            b=jnp.zeros(columns),
        )

    def initial_state(self, params: Params, batch_shape: tuple[int, ...] = ()) -> jax.Array:
        return jnp.zeros((*batch_shape, self.hidden_size), params.b.dtype)

    def prepare(self, params: Params) -> AntisymmetricWeights:
        if isinstance(params, AntisymmetricWeights):
            return params
        diffusion = self.gamma * jnp.eye(self.hidden_size, dtype=params.a.dtype)
        w_h = skew_symmetric(params.a, self.hidden_size) - diffusion
        return AntisymmetricWeights(params.w_i, w_h, params.b)

    def project(self, params: Params, x: jax.Array) -> jax.Array:
        return affine(x, params.w_i, params.b)

    def recurrent(self, params: Params, state: jax.Array) -> jax.Array:
        return state @ self.prepare(params).w_h

    def activate(
        self,
        params: Params,
        state: jax.Array,
        drive: jax.Array,
        r: jax.Array,
    ) -> jax.Array:
        del params
        return state + self.epsilon * jnp.tanh(drive + r)


@dataclasses.dataclass(frozen=True)
class GatedAntisymmetricRNN(AntisymmetricRNN):
    """AntisymmetricRNN with an input gate, which reads the same recurrent product.

        z_t = sigmoid(h_{t-1} (A - gamma I) + x_t W_z + b_z)
        h_t = h_{t-1} + epsilon z_t * tanh(h_{t-1} (A - gamma I) + x_t W_h + b_h)

    State, initialisation, arguments and errors are those of `AntisymmetricRNN`. Claimed: sequential MNIST 98.8 %,
    permuted 93.1 % (table 1); noise-padded CIFAR-10 54.7 %, an LSTM 11.6 % (table 2).
    """

    def init(self, key: jax.Array) -> AntisymmetricParams:
        return self._init(key, 2 * self.hidden_size)

    def activate(
        self,
        params: Params,
        state: jax.Array,
        drive: jax.Array,
        r: jax.Array,
    ) -> jax.Array:
        del params
        d_z, d_h = jnp.split(drive, 2, axis=-1)
        return state + self.epsilon * jax.nn.sigmoid(d_z + r) * jnp.tanh(d_h + r)
