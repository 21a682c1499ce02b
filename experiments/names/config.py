"""Config, flags, and the data and networks that follow from them."""

import dataclasses
from typing import NamedTuple

from experiments.common import flags, networks
from experiments.common.classification import make_networks
from experiments.common.fitting import Network
from experiments.common.flags import setting
from experiments.common.texts import TextConfig, Texts, load
from experiments.common.word_dropout import WordDropout
from experiments.names.generator import Generator, make_generator
from experiments.names.languages import names
from rnn_jax.data import OneHot
from rnn_jax.models import LastStep


@dataclasses.dataclass(frozen=True)
class Config(TextConfig):
    """Config of a run; every field is a flag."""

    hidden_size: int = setting(100)
    dropout: float = setting(0.3, "Share of the final states' features dropped in training.", share=True)
    epochs: int = setting(8)
    generator: str = setting("lstm", f"Cell that generates names. {networks.CELL_HELP}")
    generator_size: int = setting(128, "Units of the generator.")
    generator_epochs: int = setting(12, "Epochs of the generator.")
    batch_size: int = setting(128)
    learning_rate: float = setting(5e-3)


QUICK = Config(
    cells=("rnn", "bi_gru"),
    hidden_size=32,
    epochs=3,
    generator_size=48,
    generator_epochs=6,
    batch_size=32,
    learning_rate=0.01,
    seeds=1,
)


class Plan(NamedTuple):
    """Everything that a config asks for."""

    texts: Texts
    loss: WordDropout
    networks: list[Network]
    generator: Generator


def plan(config: Config) -> Plan:
    """Returns everything that a config asks for.

    Raises:
      UserError: if a flag's value cannot be run.
    """
    flags.check(config)
    texts, loss = load(config, names, "Names made by a grammar", list), WordDropout()
    shape = (OneHot(len(texts.vocabulary)), loss, LastStep(), config.dropout)
    classifiers = make_networks(config, texts, *shape, application=texts.application)
    training = dataclasses.replace(config, epochs=config.generator_epochs, seeds=1)
    return Plan(texts, loss, classifiers, make_generator(training, config.generator, config.generator_size, texts))
