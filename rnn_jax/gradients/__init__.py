"""Estimators of dL/dtheta, exact, truncated and online: one contract (`estimator.Estimator`), one file for each."""

from rnn_jax.gradients.bptt import BPTT
from rnn_jax.gradients.eprop import EProp
from rnn_jax.gradients.estimator import Estimate, Estimator, ReadoutLoss, task_loss
from rnn_jax.gradients.rtrl import RTRL
from rnn_jax.gradients.snap import SnAp
from rnn_jax.gradients.tbptt import TBPTT
from rnn_jax.gradients.uoro import UORO

__all__ = ["BPTT", "RTRL", "TBPTT", "UORO", "EProp", "Estimate", "Estimator", "ReadoutLoss", "SnAp", "task_loss"]
