"""Config, flags, and the data and networks that follow from them."""

import dataclasses

from experiments.common import flags, networks
from experiments.common.fitting import Network
from experiments.common.flags import FitConfig, chosen, setting
from experiments.common.splits import SplitFiles
from experiments.tagging.corpus import Corpus, load
from experiments.tagging.measurement import loss
from rnn_jax import Bidirectional, Cell, Dropout
from rnn_jax.data import Embedding
from rnn_jax.data.tag_corpus import CHARACTERS
from rnn_jax.models import Tagger, WordEncoder

LABELS = {
    "words": "words",
    "characters": "words + characters",
    "forward": "words + characters, forward",
    "crf": "words + characters, CRF",
}
SPELLED = chosen("taggers", *(name for name in LABELS if name != "words"))


@dataclasses.dataclass(frozen=True)
class Config(SplitFiles, FitConfig):
    """Config of a run; every field is a flag."""

    data: str | None = setting(
        None, "Folder with one file each of *-train.conllu, *-dev.conllu, *-test.conllu; by default lines of Python."
    )
    taggers: tuple[str, ...] = setting(
        ("words", "characters", "forward"), f"Comma list of {', '.join(LABELS)}.", choices=tuple(LABELS)
    )
    cell: str = setting("lstm", networks.CELL_HELP)
    word_features: int = setting(100, "Features of a word's embedding.")
    character_features: int = setting(24, "Features of a character's embedding.", needs=SPELLED)
    character_units: int = setting(32, "Units that read a word's characters, in each direction.", needs=SPELLED)
    hidden_size: int = setting(128, "Units of each layer in each direction; twice as many if there is only one.")
    layers: int = setting(1, "Number of layers.")
    dropout: float = setting(0.3, "Share of a layer's inputs dropped in training.", share=True)
    word_dropout: float = setting(0.1, "Share of the words replaced by the unknown word in training.", share=True)
    min_count: int = setting(2, "Occurrences in training from which a word has its own embedding.")
    epochs: int = setting(4)
    buckets: int = setting(6, "Lengths that sentences are padded to; each is compiled.")
    sentences: int | None = setting(None, "Sentences of each split that are used at most; by default all.")
    learning_rate: float = setting(5e-3)
    clip_norm: float = setting(5.0)


QUICK = Config(
    epochs=2,
    learning_rate=0.02,
    seeds=1,
    word_features=24,
    character_features=8,
    character_units=8,
    hidden_size=24,
    buckets=1,
    sentences=2_000,
)


def plan(config: Config) -> tuple[Corpus, list[Network]]:
    """Returns the data and the networks of a config.

    Raises:
      UserError: if a flag's value cannot be run.
    """
    flags.check(config)
    corpus = load(config)
    if corpus.source.entities:
        flags.require("seqeval>=1.2.2", "F1 of entities")
    buckets = corpus.splits["training"].buckets
    trainers = {name: config.trainer(_model(config, name, corpus), buckets) for name in config.taggers}
    return corpus, [Network(name, trainer, LABELS[name]) for name, trainer in trainers.items()]


def _model(config: Config, name: str, corpus: Corpus) -> Tagger:
    words, encoder = Embedding(len(corpus.words), config.word_features), None
    if name != "words":
        characters = Embedding(len(corpus.characters), config.character_features)
        reader = networks.make_cell(config.cell, characters.features, config.character_units, CHARACTERS)
        encoder = WordEncoder(characters, reader)

    def wrap(cell: Cell) -> Cell:
        return Dropout(cell if name == "forward" else Bidirectional(cell), config.dropout)

    features = words.features + (encoder.features if encoder else 0)
    # As many units in one direction as in two: the forward network has the same width.
    units = config.hidden_size * (2 if name == "forward" else 1)
    longest = max(len(examples.steps["words"]) for examples in corpus.splits["training"].buckets)
    cell = networks.make_stack(config.cell, features, units, longest, config.layers, wrap)
    model = Tagger(words, cell, len(corpus.tags), encoder, config.word_dropout, crf=name == "crf")
    networks.probe_loss(f"--cell={config.cell}", model, loss, corpus.splits["training"].buckets)
    return model
