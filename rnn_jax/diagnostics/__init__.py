"""Instruments that say how far a cell's gradient reaches."""

from rnn_jax.diagnostics.lag_gradients import (
    Decay,
    Perturbed,
    align_to_last,
    fit_decay,
    gradient_norms,
    state_gradients,
)
from rnn_jax.diagnostics.spectral import recurrent_blocks, spectral_radius

__all__ = [
    "Decay",
    "Perturbed",
    "align_to_last",
    "fit_decay",
    "gradient_norms",
    "recurrent_blocks",
    "spectral_radius",
    "state_gradients",
]
