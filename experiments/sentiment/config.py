"""Config, flags, and the data and networks that follow from them."""

import dataclasses

from experiments.common import flags
from experiments.common.classification import POOLING_HELP, POOLINGS, make_networks
from experiments.common.fitting import Network
from experiments.common.flags import setting
from experiments.common.texts import TextConfig, Texts, load
from experiments.common.word_dropout import WordDropout
from experiments.sentiment.grammar import reviews
from rnn_jax.data import Embedding, folded_words

# Chosen on rt-polarity's validation set: many words, few texts. Every one of the grammar's 55 words matters: a dropped
# negation reverses the verdict, and with these rates its reviews are not learned at all.
FEW_TEXTS = {"word_dropout": 0.3, "input_dropout": 0.5, "dropout": 0.5}


def _rate(name: str, dropped: str) -> float | None:
    return setting(None, f"Share of {dropped} in training; {FEW_TEXTS[name]} with files, else 0.", share=True)


@dataclasses.dataclass(frozen=True)
class Config(TextConfig):
    """Config of a run; every field is a flag."""

    cells: tuple[str, ...] = setting(("rnn", "lstm", "gru", "bi_lstm"))
    embedding: int = setting(64, "Features of a word's embedding.")
    pooling: str = setting("mean", POOLING_HELP, choices=tuple(POOLINGS))
    min_count: int = setting(2, "Occurrences in the training set from which a word is in the vocabulary.")
    word_dropout: float | None = _rate("word_dropout", "the words replaced by the unknown word")
    input_dropout: float | None = _rate("input_dropout", "the words' features dropped")
    dropout: float | None = _rate("dropout", "the pooled features dropped")
    epochs: int = setting(7)
    batch_size: int = setting(100)
    learning_rate: float = setting(4e-3)


QUICK = Config(cells=("rnn", "bi_gru"), embedding=24, hidden_size=24, epochs=4, learning_rate=0.01, seeds=1)


def plan(config: Config) -> tuple[Texts, WordDropout, list[Network]]:
    """Returns the data, the loss and the networks of a config.

    Raises:
      UserError: if a flag's value cannot be run.
    """
    flags.check(config)
    defaults = FEW_TEXTS if config.data or config.files else dict.fromkeys(FEW_TEXTS, 0.0)
    given = {name: getattr(config, name) for name in FEW_TEXTS}
    rates: dict[str, float] = {name: defaults[name] if rate is None else rate for name, rate in given.items()}
    texts = load(config, reviews, "Reviews made by a grammar", folded_words, config.min_count)
    encoder, loss = Embedding(len(texts.vocabulary), config.embedding), WordDropout(rates["word_dropout"])
    shape = (POOLINGS[config.pooling], rates["dropout"], rates["input_dropout"])
    networks = make_networks(config, texts, encoder, loss, *shape, application=texts.application)
    return texts, loss, networks
