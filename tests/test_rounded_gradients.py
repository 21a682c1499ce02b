"""What rounded products do to a gradient: emulated on a CPU, as devices compute by default (README, "Engines").

A TPU rounds the operands of a float32 product to bfloat16 (8 bits with the implicit one), an NVIDIA GPU from Ampere on
to TF32 (11 bits); both add in float32. The same happens to the products of the backward pass, and to nothing else.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import GRU, LSTM, Adding, MixedPrecision, VanillaRNN, diagnostics
from rnn_jax.wrapper import Wrapper

pytestmark = pytest.mark.usefixtures("optimized")

LAG, SEEDS, WIDTH = 100, 5, 64
BFLOAT16, TF32 = 7, 10  # explicit bits of the mantissa


@dataclasses.dataclass(frozen=True)
class Rounded(Wrapper):
    """A split cell whose products round their operands, and the cotangents in the backward pass, to `bits`.

    Biases are rounded, too, so they must have few bits.
    """

    bits: int = BFLOAT16

    def project(self, params: Any, x: Any) -> Any:
        return self._rounded(super().project, params, x)

    def recurrent(self, params: Any, state: Any) -> jax.Array:
        return self._rounded(super().recurrent, params, state)

    def _rounded(self, bilinear: Any, *operands: Any) -> Any:
        def narrow(tree: Any) -> Any:
            return jax.tree.map(lambda leaf: jax.lax.reduce_precision(leaf, 8, self.bits), tree)

        @jax.custom_vjp
        def product(*operands: Any) -> Any:
            return bilinear(*narrow(operands))

        product.defvjp(
            lambda *operands: (product(*operands), operands),
            lambda operands, cotangent: jax.vjp(bilinear, *narrow(operands))[1](narrow(cotangent)),
        )
        return product(*operands)


def gradients(cell: Any, gain: float = 1.0) -> np.ndarray:
    """Returns dL/dh at lag 100 of fresh networks on adding [seeds, batch, H]; L sums the last outputs."""
    xs = Adding(length=LAG + 1).sample(jax.random.key(1), 20).inputs

    @jax.jit
    @jax.vmap
    def first(key: jax.Array) -> jax.Array:
        params = cell.init(key)
        params = params._replace(w_h=gain * params.w_h)
        states = diagnostics.state_gradients(cell, params, xs, lambda hs: jnp.sum(hs[-1]))
        return jnp.concatenate([leaf[0] for leaf in jax.tree.leaves(states)], axis=-1)

    return np.asarray(first(jax.random.split(jax.random.key(0), SEEDS)))


def errors(rounded: Any, full: np.ndarray, gain: float = 1.0) -> np.ndarray:
    """Returns each seed's relative error of the gradient's norm, median over the sequences of the batch."""
    ratio = np.linalg.norm(gradients(rounded, gain), axis=-1) / np.linalg.norm(full, axis=-1)
    return np.median(abs(ratio - 1), axis=-1)


RANGES = [  # least and greatest error of five seeds, as in the README
    (VanillaRNN, 1.0, (0.006, 0.025), (0.001, 0.0035)),
    (LSTM, 1.0, (0.004, 0.017), (0.0007, 0.0025)),
    (GRU, 1.0, (0.001, 0.045), (0.0005, 0.0035)),
    (VanillaRNN, 1.5, (0.05, 0.45), (0.005, 0.06)),
]


@pytest.mark.extended
@pytest.mark.parametrize(("kind", "gain", "in_bfloat16", "in_tf32"), RANGES)
def test_at_lag_100_the_norm_is_wrong_by_percents(kind, gain, in_bfloat16, in_tf32) -> None:
    cell = kind(2, WIDTH)
    full = gradients(cell, gain)
    for rounded, (least, greatest) in ((MixedPrecision(cell), in_bfloat16), (Rounded(cell, TF32), in_tf32)):
        wrong = errors(rounded, full, gain)
        assert least <= wrong.min() <= wrong.max() <= greatest, wrong


@pytest.mark.extended
def test_mixed_precision_rounds_what_a_tpu_does() -> None:
    cell = VanillaRNN(2, WIDTH)
    np.testing.assert_array_equal(gradients(Rounded(cell, 23)), full := gradients(cell))  # float32 has 23 bits
    mixed, rounded = gradients(MixedPrecision(cell)), gradients(Rounded(cell, BFLOAT16))
    assert np.linalg.norm(mixed - rounded) < 0.01 * np.linalg.norm(mixed - full)
