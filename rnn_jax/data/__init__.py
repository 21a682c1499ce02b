"""Real data to arrays: files, vocabularies, padded and bucketed batches, and the encoders before a cell."""

from rnn_jax.data.bucketing import BucketBatch, Buckets, bucket_lengths
from rnn_jax.data.encoders import Embedding, Encoder, OneHot
from rnn_jax.data.examples import Examples
from rnn_jax.data.padding import Padded, pad, unpad
from rnn_jax.data.stream import Piece, Streams
from rnn_jax.data.text import Corpus, read_text, split, standard_library
from rnn_jax.data.vocabulary import Vocabulary

__all__ = [
    "BucketBatch",
    "Buckets",
    "Corpus",
    "Embedding",
    "Encoder",
    "Examples",
    "OneHot",
    "Padded",
    "Piece",
    "Streams",
    "Vocabulary",
    "bucket_lengths",
    "pad",
    "read_text",
    "split",
    "standard_library",
    "unpad",
]
