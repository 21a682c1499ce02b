"""What a forecaster says of a number to come: the numbers it puts out, the loss that fits them, and draws from them."""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jax.scipy.stats import norm

from rnn_jax import checks


@dataclasses.dataclass(frozen=True)
class Gaussian:
    """y ~ N(m, v) with two outputs, m and log v;   loss -log p(y) = (log 2 pi + log v + (y - m)^2 / v) / 2, in nats.

    log v is kept within [2 log least, 20] by clipping, so that no gradient is lost to a variance of 0. Nix & Weigend
    1994, "Estimating the mean and variance of the target probability distribution".

    Args:
      least: standard deviation that is never gone below, in the units of y.

    Raises:
      ValueError: where it is not a positive number.
    """

    least: float = 1e-3

    def __post_init__(self) -> None:
        checks.positive(self.least, "Gaussian: least")

    @property
    def outputs(self) -> int:
        """Numbers that the readout gives for one to be forecast."""
        return 2

    def loss(self, outputs: jax.Array, targets: jax.Array) -> jax.Array:
        """Of outputs [..., 2] and targets [...]: [...]."""
        log_v = self._log_variance(outputs)
        return 0.5 * (math.log(2 * math.pi) + log_v + (targets - outputs[..., 0]) ** 2 * jnp.exp(-log_v))

    def center(self, outputs: jax.Array) -> jax.Array:
        """The mean [...]."""
        return outputs[..., 0]

    def quantile(self, outputs: jax.Array, levels: jax.Array) -> jax.Array:
        """The numbers below which y is with probabilities `levels`, in (0, 1): shapes as outputs[..., 0] and levels
        broadcast.
        """
        return outputs[..., 0] + jnp.exp(0.5 * self._log_variance(outputs)) * norm.ppf(levels)

    def regression_readout(self, residuals: jax.Array) -> tuple[jax.Array, jax.Array]:
        """For a readout that begins as a regression with these residuals [N]: which of the outputs follow the
        regression (1, else 0), and what is added to each; [2] both.
        """
        return jnp.array([1.0, 0.0]), jnp.stack([jnp.zeros(()), jnp.log(jnp.mean(residuals**2))])

    def sample(self, outputs: jax.Array, key: jax.Array) -> jax.Array:
        """One draw each, [...]."""
        noise = jax.random.normal(key, outputs.shape[:-1], outputs.dtype)
        return outputs[..., 0] + jnp.exp(0.5 * self._log_variance(outputs)) * noise

    def _log_variance(self, outputs: jax.Array) -> jax.Array:
        return jnp.clip(outputs[..., 1], 2 * math.log(self.least), 20.0)


@dataclasses.dataclass(frozen=True)
class Quantiles:
    """The quantiles q_p of y;   loss mean_p max(p (y - q_p), (p - 1) (y - q_p)), the pinball loss.

    No distribution is assumed. Quantiles that come out of order are sorted (Chernozhukov et al. 2010, arXiv:0704.3649);
    between two of them the distribution is uniform, beyond the outer ones there is nothing. Koenker & Bassett 1978.

    Args:
      levels: increasing, in (0, 1), with 0.5 among them.

    Raises:
      TypeError: where levels is not a tuple.
      ValueError: where they are not so.
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
        """Numbers that the readout gives for one to be forecast."""
        return len(self.levels)

    def loss(self, outputs: jax.Array, targets: jax.Array) -> jax.Array:
        """Of outputs [..., levels] and targets [...]: [...]."""
        over = targets[..., None] - outputs
        levels = jnp.broadcast_to(jnp.asarray(self.levels, outputs.dtype), outputs.shape)
        return jnp.mean(jnp.maximum(levels * over, (levels - 1) * over), axis=-1)

    def center(self, outputs: jax.Array) -> jax.Array:
        """The median [...]."""
        return jnp.sort(outputs, axis=-1)[..., self.levels.index(0.5)]

    def quantile(self, outputs: jax.Array, levels: jax.Array) -> jax.Array:
        """As `Gaussian.quantile`, by linear interpolation."""
        shape = jnp.broadcast_shapes(outputs.shape[:-1], jnp.shape(levels))
        known = jnp.asarray(self.levels, outputs.dtype)
        ordered = jnp.broadcast_to(jnp.sort(outputs, axis=-1), (*shape, self.outputs)).reshape(-1, self.outputs)
        wanted = jnp.broadcast_to(jnp.asarray(levels, outputs.dtype), shape).ravel()
        return jax.vmap(lambda level, each: jnp.interp(level, known, each))(wanted, ordered).reshape(shape)

    def regression_readout(self, residuals: jax.Array) -> tuple[jax.Array, jax.Array]:
        """As `Gaussian.regression_readout`, [levels] both."""
        return jnp.ones(self.outputs), jnp.quantile(residuals, jnp.asarray(self.levels))

    def sample(self, outputs: jax.Array, key: jax.Array) -> jax.Array:
        """One draw each, [...]: the quantile of a level drawn from [0, 1)."""
        return self.quantile(outputs, jax.random.uniform(key, outputs.shape[:-1], outputs.dtype))


Head = Gaussian | Quantiles
