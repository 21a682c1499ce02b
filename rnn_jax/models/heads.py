"""Heads of a forecaster: the meaning of its outputs, the loss that fits them, and draws from them."""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jax.scipy.stats import norm

from rnn_jax import checks
from rnn_jax.static import Static


@dataclasses.dataclass(frozen=True)
class Gaussian(Static):
    """y ~ N(m, v), with the outputs m and log v.

        loss = -log p(y) = (log 2 pi + log v + (y - m)^2 / v) / 2,   in nats

    log v is clipped to [2 log least, 20], so that a variance near 0 cannot spoil the gradient. Nix & Weigend 1994,
    "Estimating the mean and variance of the target probability distribution".

    Args:
      least: smallest standard deviation, in the units of y.

    Raises:
      ValueError: if it is not a positive number.
    """

    least: float = 1e-3

    def __post_init__(self) -> None:
        checks.positive(self.least, "Gaussian: least")

    @property
    def outputs(self) -> int:
        """Number of readout outputs for one predicted number."""
        return 2

    def loss(self, outputs: jax.Array, targets: jax.Array) -> jax.Array:
        """Returns the loss [...] of outputs [..., 2] and targets [...]."""
        log_v = self._log_variance(outputs)
        return 0.5 * (math.log(2 * math.pi) + log_v + (targets - outputs[..., 0]) ** 2 * jnp.exp(-log_v))

    def center(self, outputs: jax.Array) -> jax.Array:
        """Returns the mean [...]."""
        return outputs[..., 0]

    def quantile(self, outputs: jax.Array, levels: jax.Array) -> jax.Array:
        """Returns the numbers below which y lies with probability `levels`.

        Args:
          outputs: outputs [..., 2].
          levels: probabilities in (0, 1), of a shape that broadcasts with [...].
        """
        return outputs[..., 0] + jnp.exp(0.5 * self._log_variance(outputs)) * norm.ppf(levels)

    def regression_readout(self, residuals: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns how to initialise a readout as a given linear regression.

        Args:
          residuals: residuals of the regression [N].

        Returns:
          The factor of the regression's prediction in each output (1 or 0), and the constant added to it; both [2].
        """
        return jnp.array([1.0, 0.0]), jnp.stack([jnp.zeros(()), jnp.log(jnp.mean(residuals**2))])

    def sample(self, outputs: jax.Array, key: jax.Array) -> jax.Array:
        """Draws a number for each output, [...]."""
        noise = jax.random.normal(key, outputs.shape[:-1], outputs.dtype)
        return outputs[..., 0] + jnp.exp(0.5 * self._log_variance(outputs)) * noise

    def _log_variance(self, outputs: jax.Array) -> jax.Array:
        return jnp.clip(outputs[..., 1], 2 * math.log(self.least), 20.0)


@dataclasses.dataclass(frozen=True)
class Quantiles(Static):
    """The quantiles q_p of y, fitted by the pinball loss.

        loss = mean_p max(p (y - q_p), (p - 1) (y - q_p))

    No distribution is assumed. Crossing quantiles are sorted (Chernozhukov et al. 2010, arXiv:0704.3649); the
    distribution is uniform between neighbours, and 0 beyond the outer ones. Koenker & Bassett 1978, "Regression
    quantiles".

    Args:
      levels: increasing probabilities in (0, 1), 0.5 among them.

    Raises:
      TypeError: if levels is not a tuple.
      ValueError: if the levels are invalid.
    """

    levels: tuple[float, ...] = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)

    def __post_init__(self) -> None:
        if not isinstance(self.levels, tuple):
            raise TypeError(f"Quantiles: levels must be a tuple of numbers, got {type(self.levels).__name__}")
        for level in self.levels:
            checks.positive(level, "Quantiles: a level")
        if sorted(set(self.levels)) != list(self.levels) or 0.5 not in self.levels or self.levels[-1] >= 1:
            raise ValueError(f"Quantiles: levels must increase within (0, 1) and hold 0.5, got {self.levels}")

    @property
    def outputs(self) -> int:
        """Number of readout outputs for one predicted number."""
        return len(self.levels)

    def loss(self, outputs: jax.Array, targets: jax.Array) -> jax.Array:
        """Returns the loss [...] of outputs [..., levels] and targets [...]."""
        errors = targets[..., None] - outputs
        levels = jnp.broadcast_to(jnp.asarray(self.levels, outputs.dtype), outputs.shape)
        return jnp.mean(jnp.maximum(levels * errors, (levels - 1) * errors), axis=-1)

    def center(self, outputs: jax.Array) -> jax.Array:
        """Returns the median [...]."""
        return jnp.sort(outputs, axis=-1)[..., self.levels.index(0.5)]

    def quantile(self, outputs: jax.Array, levels: jax.Array) -> jax.Array:
        """Interpolates the quantiles linearly; arguments and returns as `Gaussian.quantile`."""
        shape = jnp.broadcast_shapes(outputs.shape[:-1], jnp.shape(levels))
        known = jnp.asarray(self.levels, outputs.dtype)
        ordered = jnp.broadcast_to(jnp.sort(outputs, axis=-1), (*shape, self.outputs)).reshape(-1, self.outputs)
        requested = jnp.broadcast_to(jnp.asarray(levels, outputs.dtype), shape).ravel()
        return jax.vmap(lambda level, row: jnp.interp(level, known, row))(requested, ordered).reshape(shape)

    def regression_readout(self, residuals: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns how to initialise a readout as a linear regression, as `Gaussian.regression_readout`; [levels]."""
        return jnp.ones(self.outputs), jnp.quantile(residuals, jnp.asarray(self.levels))

    def sample(self, outputs: jax.Array, key: jax.Array) -> jax.Array:
        """Draws a number for each output, [...]: the quantile of a level drawn from [0, 1)."""
        return self.quantile(outputs, jax.random.uniform(key, outputs.shape[:-1], outputs.dtype))


Head = Gaussian | Quantiles
