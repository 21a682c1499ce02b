"""Instruments that say how far a cell's gradient reaches."""

from rnn_jax.diagnostics.lag_gradients import (
    Decay,
    Perturbed,
    align_to_last,
    fit_decay,
    gradient_norms,
    state_gradients,
)
from rnn_jax.diagnostics.reach import gradient_reach, linearised_reach
from rnn_jax.diagnostics.spectral import recurrent_blocks, spectral_radius

__all__ = [
    "Decay",
    "Perturbed",
    "align_to_last",
    "fit_decay",
    "gradient_norms",
    "gradient_reach",
    "linearised_reach",
    "recurrent_blocks",
    "spectral_radius",
    "state_gradients",
]
