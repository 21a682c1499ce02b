"""Models: a recurrent core and what reads it."""

from rnn_jax.models.encoded import Encoded, EncodedParams
from rnn_jax.models.generation import Generated, generate
from rnn_jax.models.language import LanguageModel, nats_per_token
from rnn_jax.models.readout import ReadoutModel, ReadoutParams
from rnn_jax.models.sampling import Greedy, Nucleus, Strategy, Temperature, TopK

__all__ = [
    "Encoded",
    "EncodedParams",
    "Generated",
    "Greedy",
    "LanguageModel",
    "Nucleus",
    "ReadoutModel",
    "ReadoutParams",
    "Strategy",
    "Temperature",
    "TopK",
    "generate",
    "nats_per_token",
]
