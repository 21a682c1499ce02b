"""Models: a recurrent core and what reads it."""

from rnn_jax.models.readout import ReadoutModel, ReadoutParams

__all__ = ["ReadoutModel", "ReadoutParams"]
