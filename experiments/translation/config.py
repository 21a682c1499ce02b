"""Config, flags, and the data and networks that follow from them, checked before anything is run."""

import dataclasses
import functools
import math
from typing import Any

import jax
import numpy as np

from experiments.common import flags, networks
from experiments.common.fitting import Network
from experiments.common.flags import FitConfig, UserError, setting
from experiments.translation import scoring
from experiments.translation.corpus import Corpus, load
from experiments.translation.measurement import loss, translator
from rnn_jax.models import EncoderDecoder, sequence_to_sequence

ATTENTIONS = ("general", "dot", "additive", "none")


@dataclasses.dataclass(frozen=True)
class Config(FitConfig):
    """Config of a run; every field is a flag."""

    data: str | None = setting(
        None, "UTF-8 file with a pair of sentences on each line, tab-separated; by default dates are generated."
    )
    columns: tuple[str, ...] = setting(
        ("2", "1"), "Columns of source and target; tatoeba.org's files have English first.", checked=False
    )
    max_words: int = setting(10, "Words of the longest sentences kept, on either side, punctuation included.")
    pairs: int | None = setting(None, "Number of pairs drawn; by default all (of dates, 24,000).")
    min_count: int = setting(5, "Occurrences in the training set from which a word has an id.")
    validation: int = setting(1000, "Different sources in the validation set.")
    test: int = setting(2000, "Different sources in the test set.")
    attention: tuple[str, ...] = setting(
        ("general", "none"),
        "Comma list of networks: general, dot (Luong's decoder), additive (Bahdanau's), none.",
        choices=ATTENTIONS,
    )
    cell: str = setting("gru", networks.CELL_HELP)
    embedding: int = setting(128, "Features of a word.")
    hidden_size: int = setting(256, "Units of the decoder, and of both directions of the encoder in total.")
    readout: int = setting(256, "Features from which words are read with attention; without it, the units are.")
    dropout: float = setting(0.0, "Share of the words' features dropped, in encoder and decoder.", share=True)
    own_words: float = setting(
        0.0, "Probability that in training a decoder reads its own prediction (Bengio 2015).", least=0, most=1
    )
    batch_size: int = setting(64, "Pairs in an optimization step.")
    buckets: int = setting(3, "Lengths that the training pairs are padded to.")
    epochs: int = setting(3)
    learning_rate: float = setting(2e-3)
    beam: int = setting(4, "Hypotheses kept by the beam search; 1 is greedy.")
    length_penalty: float = setting(
        0.6, "Alpha of Wu et al. 2016; larger values make translations longer.", checked=False
    )
    seeds: int = setting(1)

    @property
    def networks(self) -> int:
        return len(self.attention)


QUICK = Config(
    pairs=2600,
    validation=100,
    test=200,
    embedding=24,
    hidden_size=48,
    readout=32,
    epochs=5,
    learning_rate=0.01,
    beam=2,
    buckets=1,
)


def plan(config: Config) -> tuple[Corpus, list[Network]]:
    """Returns the data and the networks of a config.

    Raises:
      UserError: if a flag's value cannot be run.
    """
    flags.check(config)
    if not 0 <= config.length_penalty < math.inf:
        raise UserError(f"--length_penalty must be a number of at least 0, got {config.length_penalty}")
    if config.hidden_size % 2:
        raise UserError(f"--hidden_size must be even, for two directions of one size, got {config.hidden_size}")
    try:
        source, target = (int(column) for column in config.columns)
    except ValueError as error:
        raise UserError(f"--columns must be two numbers, as 2,1, got {','.join(config.columns)!r}") from error
    with flags.user_errors("--data"):
        corpus = load(config, (source, target))
    if corpus.by_words:
        scoring.check_sacrebleu()
    trainers = {name: config.trainer(_model(config, name, corpus), corpus.training) for name in config.attention}
    labels = {name: "no attention" if name == "none" else f"attention: {name}" for name in trainers}
    return corpus, [Network(name, trainer, labels[name]) for name, trainer in trainers.items()]


def _model(config: Config, attention: str, corpus: Corpus) -> EncoderDecoder:
    """Returns a bidirectional encoder with a decoder that has attention or not."""
    cell = functools.partial(networks.make_cell, config.cell, lag=max(3, *corpus.longest))
    sizes = len(corpus.source), len(corpus.target), config.embedding, config.hidden_size
    kind = None if attention == "none" else attention
    make = functools.partial(sequence_to_sequence, cell, *sizes, kind, config.readout, config.dropout)
    pair = corpus.training[0].take(np.arange(1))

    def use(key: jax.Array) -> Any:
        model = make()
        params = model.init(key)
        gradient = jax.grad(lambda p: loss(model, p, pair, key, config.own_words))(params)
        shortest = dataclasses.replace(translator(corpus, config, model), width=1, max_length=1)
        return gradient, shortest.search(params, pair)

    networks.probe(f"--cell={config.cell}", use)
    return make()
