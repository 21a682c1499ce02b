"""Measurements of a recurrent network: gradients by lag, Jacobians, Lyapunov exponents, saturation, diagnosis."""

from rnn_jax.diagnostics.diagnosis import doctor
from rnn_jax.diagnostics.evidence import Evidence, Snapshot, common_lags, examine, not_finite
from rnn_jax.diagnostics.findings import Finding, Severity
from rnn_jax.diagnostics.horizon import effective_horizon
from rnn_jax.diagnostics.jacobians import jacobian_norm_bound, jacobian_singular_values, step_jacobians
from rnn_jax.diagnostics.lag_gradients import (
    Decay,
    Perturbed,
    align_to_last,
    fit_decay,
    gradient_norms,
    state_gradients,
)
from rnn_jax.diagnostics.lyapunov import largest_lyapunov_exponent, lyapunov_spectrum
from rnn_jax.diagnostics.newton import NewtonIterations, newton_errors, newton_iterations
from rnn_jax.diagnostics.parallel_in_time import Parallelizability, parallelizability
from rnn_jax.diagnostics.reach import gradient_reach, linearised_reach
from rnn_jax.diagnostics.saturated_units import Saturation, saturation
from rnn_jax.diagnostics.spectral import recurrent_blocks, spectral_radius
from rnn_jax.diagnostics.vanishing_regularizer import omega

__all__ = [
    "Decay",
    "Evidence",
    "Finding",
    "NewtonIterations",
    "Parallelizability",
    "Perturbed",
    "Saturation",
    "Severity",
    "Snapshot",
    "align_to_last",
    "common_lags",
    "doctor",
    "effective_horizon",
    "examine",
    "fit_decay",
    "gradient_norms",
    "gradient_reach",
    "jacobian_norm_bound",
    "jacobian_singular_values",
    "largest_lyapunov_exponent",
    "linearised_reach",
    "lyapunov_spectrum",
    "newton_errors",
    "newton_iterations",
    "not_finite",
    "omega",
    "parallelizability",
    "recurrent_blocks",
    "saturation",
    "spectral_radius",
    "state_gradients",
    "step_jacobians",
]
