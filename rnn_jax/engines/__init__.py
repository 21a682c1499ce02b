"""Engines: ways of solving a recurrence. All equal `Scan` in value and in gradient; they differ in time and memory."""

from rnn_jax.engines.engine import Engine
from rnn_jax.engines.scan import Scan

__all__ = ["Engine", "Scan"]
