"""What is run: the config, its flags' meaning, and what follows from it, checked before anything is run."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from experiments.common import networks
from experiments.common.flags import UserError, check_positive, check_shares, setting
from experiments.translation import corpus as corpora
from experiments.translation import scoring
from experiments.translation.corpus import Corpus
from rnn_jax import Bidirectional, Cell, Dropout, cells, training
from rnn_jax.data import Embedding, Examples
from rnn_jax.models import (
    Additive,
    Attention,
    BahdanauCell,
    Decoder,
    Dot,
    EncoderDecoder,
    General,
    LuongCell,
)


@dataclasses.dataclass(frozen=True)
class Config:
    """What is run; every field is a flag."""

    data: str | None = setting(
        None, "A UTF-8 file, a pair of sentences a line, parted by tabs; by default dates are generated."
    )
    columns: tuple[str, ...] = setting(
        ("2", "1"), "Comma list: the columns of source and target; tatoeba.org's files have English first."
    )
    max_words: int = setting(10, "Words of the longest sentences kept, on either side, punctuation counted in.")
    pairs: int | None = setting(None, "Pairs drawn of these; by default all (of dates, 24,000).")
    min_count: int = setting(5, "Times that a word comes in the training part, if it is to have an id.")
    validation: int = setting(1000, "Different sources in the validation part.")
    test: int = setting(2000, "Different sources in the test part.")
    attention: tuple[str, ...] = setting(
        ("general", "none"),
        "Comma list of networks: general, dot (Luong's decoder), additive (Bahdanau's), none.",
    )
    cell: str = setting("gru", f"One of {', '.join([*cells.CELLS, *networks.VARIANTS])}, or your own as module:Class.")
    embedding: int = setting(128, "Features of a word.")
    hidden_size: int = setting(256, "Units of the decoder, and of both directions of the encoder together.")
    readout: int = setting(256, "Features that words are read from with attention; without, they are the units.")
    dropout: float = setting(0.0, "Share of the features of words dropped, in encoder and decoder.")
    own_words: float = setting(0.0, "Probability that in training a decoder reads its own last word (Bengio 2015).")
    batch_size: int = setting(64, "Pairs a step.")
    buckets: int = setting(3, "Lengths that the training pairs are padded to.")
    epochs: int = setting(3, "Times that every pair comes.")
    learning_rate: float = setting(2e-3, "Adam's learning rate at the start; it falls to 0 along a cosine.")
    clip_norm: float = setting(1.0, "Global gradient norm to which gradients are clipped.")
    beam: int = setting(4, "Hypotheses kept by the beam search; 1 is greedy.")
    length_penalty: float = setting(0.6, "Alpha of Wu et al. 2016; the larger, the longer translations are.")
    seeds: int = setting(1, "Runs of each network.")
    seed: int = setting(0, "From which every random number follows.")


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

ATTENTIONS: dict[str, Callable[[int, int], Attention]] = {
    "general": General,
    "dot": Dot,
    "additive": lambda query, memory: Additive(query, memory, query),
}


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """A config made ready."""

    corpus: Corpus
    buckets: list[Examples]  # the training part
    trainers: dict[str, training.Trainer[EncoderDecoder]]  # by network
    steps: int  # of each

    @property
    def max_length(self) -> int:
        """The most words a translation may have, END counted in."""
        return self.corpus.longest[1]


def plan(config: Config) -> Plan:
    """All that a config asks for.

    Raises:
      UserError: where a flag's value cannot be run.
    """
    _check(config)
    kept_out = (config.validation, config.test)
    try:
        if config.data is None:
            corpus = corpora.of_dates(kept_out, config.pairs, config.seed)
        else:
            columns = _columns(config)
            corpus = corpora.of_file(
                config.data, columns, config.max_words, config.pairs, config.min_count, kept_out, config.seed
            )
    except ValueError as error:
        raise UserError(f"--data: {error}") from error
    if corpus.by_words:
        scoring.check_sacrebleu()
    buckets = corpora.buckets(corpus, config.buckets)
    steps = config.epochs * training.epoch_steps(buckets, config.batch_size)
    optimizer = training.CosineDecay(training.Adam(config.learning_rate), steps)
    clip = training.ClipByNorm(config.clip_norm)
    trainers = {
        name: training.Trainer(_model(config, name, corpus), config.batch_size, optimizer, clip)
        for name in config.attention
    }
    return Plan(corpus, buckets, trainers, steps)


def _check(config: Config) -> None:
    names = (
        "max_words min_count validation test embedding hidden_size readout batch_size buckets epochs beam seeds pairs"
    )
    check_positive(config, *names.split(), "learning_rate", "clip_norm")
    if not 0 <= config.length_penalty < math.inf:
        raise UserError(f"--length_penalty must be a number of at least 0, got {config.length_penalty}")
    check_shares(config, "dropout")
    if not 0 <= config.own_words <= 1:
        raise UserError(f"--own_words must be from 0 to 1, got {config.own_words}")
    if config.hidden_size % 2:
        raise UserError(f"--hidden_size must be even, for two directions of one size, got {config.hidden_size}")
    if not config.attention or len(set(config.attention)) < len(config.attention):
        raise UserError(f"--attention must be different networks, got {','.join(config.attention)!r}")
    for name in config.attention:
        if name != "none" and name not in ATTENTIONS:
            raise UserError(f"--attention must be of {', '.join([*ATTENTIONS, 'none'])}, got {name!r}")


def _columns(config: Config) -> tuple[int, int]:
    try:
        source, target = (int(column) for column in config.columns)
    except ValueError as error:
        raise UserError(f"--columns must be two numbers, as 2,1, got {','.join(config.columns)!r}") from error
    return source, target


def _model(config: Config, attention: str, corpus: Corpus) -> EncoderDecoder:
    """A bidirectional encoder, and a decoder with attention or without."""
    lag = max(3, *corpus.longest)

    def cell(input_size: int, hidden_size: int) -> Cell:
        (found,) = networks.make_cells(config.cell, input_size, hidden_size, lag, 1)
        return found

    def dropped(cell: Cell) -> Cell:
        return Dropout(cell, config.dropout) if config.dropout else cell

    features, units = config.embedding, config.hidden_size
    try:
        encoder = dropped(Bidirectional(cell(features, units // 2)))
        inner: Cell
        if attention == "none":
            inner = dropped(cell(features, units))
        elif attention == "additive":
            looks = ATTENTIONS[attention](units, encoder.output_size)
            inner = BahdanauCell(dropped(cell(features + encoder.output_size, units)), looks, config.readout)
        else:
            looks = ATTENTIONS[attention](units, encoder.output_size)
            inner = LuongCell(dropped(cell(features + config.readout, units)), looks, config.readout)
        model = EncoderDecoder(
            Embedding(len(corpus.source), features), encoder, Decoder(Embedding(len(corpus.target), features), inner)
        )

        def use(key: jax.Array) -> Any:
            params, ids, lengths = model.init(key), jnp.ones((2, 1), int), jnp.ones(1, int)
            loss = jax.value_and_grad(lambda p: model.loss(p, ids, lengths, ids, lengths, key, config.own_words))(
                params
            )
            begun = model.encode(params, ids, lengths)
            return loss, model.decoder.step(begun.params, begun.state, ids[0])

        jax.eval_shape(use, jax.random.key(0))
    except UserError:
        raise
    except Exception as error:  # a user's own code
        raise UserError(f"--cell={config.cell} cannot be used: {type(error).__name__}: {error}") from error
    return model
