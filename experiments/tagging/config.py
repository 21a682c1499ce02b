"""What is run: the config, its flags' meaning, and what follows from it, checked before anything is run."""

import dataclasses

import jax
import jax.numpy as jnp

from experiments.common import networks
from experiments.common.flags import UserError, check_positive, check_shares, setting
from experiments.tagging.corpus import CHARACTERS, Corpus, load
from rnn_jax import Bidirectional, Cell, Dropout, Stack, cells, training
from rnn_jax.data import Embedding
from rnn_jax.models import Tagger, WordEncoder


@dataclasses.dataclass(frozen=True)
class Kind:
    """What a network sees."""

    description: str
    characters: bool  # of each word
    both: bool  # what stands before a word and after it; else what stands before


KINDS = {
    "words": Kind("words", characters=False, both=True),
    "characters": Kind("words + characters", characters=True, both=True),
    "forward": Kind("words + characters, forward", characters=True, both=False),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """What is run; every field is a flag."""

    data: str | None = setting(
        None, "Folder with one file each of *-train.conllu, *-dev.conllu, *-test.conllu; by default lines of Python."
    )
    taggers: tuple[str, ...] = setting(tuple(KINDS), f"Comma list of {', '.join(KINDS)}.")
    cell: str = setting("lstm", f"One of {', '.join([*cells.CELLS, *networks.VARIANTS])}, or your own as module:Class.")
    word_features: int = setting(100, "Width of the words' table.")
    character_features: int = setting(24, "Width of the characters' table.")
    character_units: int = setting(32, "Units that read a word's characters, in each direction.")
    hidden_size: int = setting(128, "Units of each layer in each direction; twice as many where there is but one.")
    layers: int = setting(1, "Layers, one above the other.")
    dropout: float = setting(0.3, "Share of a layer's inputs dropped in training.")
    word_dropout: float = setting(0.1, "Share of the words that are unknown in training.")
    min_count: int = setting(2, "Occurrences in training from which on a word has a row of its own in the table.")
    epochs: int = setting(4, "Times that every sentence is trained on.")
    batch_size: int = setting(32, "Sentences a step.")
    buckets: int = setting(6, "Lengths that sentences are padded to; each is compiled.")
    sentences: int | None = setting(None, "Sentences of each part at the most, from its beginning.")
    learning_rate: float = setting(5e-3, "Adam's learning rate at the start; it falls to 0 along a cosine.")
    clip_norm: float = setting(5.0, "Global gradient norm to which gradients are clipped.")
    seeds: int = setting(3, "Runs of each network.")
    seed: int = setting(0, "From which every random number follows.")


QUICK = Config(
    word_features=24,
    character_features=8,
    character_units=8,
    hidden_size=24,
    epochs=2,
    buckets=1,
    sentences=2_000,
    learning_rate=0.02,
    seeds=1,
)


@dataclasses.dataclass(frozen=True)
class Network:
    """One to be trained."""

    name: str
    trainer: training.Trainer[Tagger]

    @property
    def kind(self) -> Kind:
        return KINDS[self.name]


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """A config made ready."""

    corpus: Corpus
    networks: tuple[Network, ...]
    steps: int  # of an epoch


def plan(config: Config) -> Plan:
    """All that a config asks for.

    Raises:
      UserError: where a flag's value cannot be run.
    """
    _check(config)
    corpus = load(config.data, config.sentences, config.min_count, config.buckets)
    steps = training.epoch_steps(corpus.parts["training"].buckets, config.batch_size)
    optimizer = training.CosineDecay(training.Adam(config.learning_rate), config.epochs * steps)
    clip = training.ClipByNorm(config.clip_norm)
    found = []
    for name in config.taggers:
        model = _model(config, KINDS[name], corpus)
        found.append(Network(name, training.Trainer(model, config.batch_size, optimizer, clip)))
    return Plan(corpus, tuple(found), steps)


def _check(config: Config) -> None:
    counts = [f.name for f in dataclasses.fields(config) if f.type in (int, int | None) and f.name != "seed"]
    check_positive(config, *counts, "learning_rate", "clip_norm")
    check_shares(config, "dropout", "word_dropout")
    unknown = [name for name in config.taggers if name not in KINDS]
    if unknown or not config.taggers or len(set(config.taggers)) < len(config.taggers):
        raise UserError(f"--taggers must be some of {', '.join(KINDS)}, each once, got {','.join(config.taggers)!r}")


def _model(config: Config, kind: Kind, corpus: Corpus) -> Tagger:
    encoder, size = None, config.word_features
    if kind.characters:
        embedding = Embedding(len(corpus.characters), config.character_features)
        cell = networks.make_cells(config.cell, embedding.features, config.character_units, CHARACTERS, 1)[0]
        encoder = WordEncoder(embedding, cell)
        size += encoder.features
    longest = max(len(examples.steps.words) for examples in corpus.parts["training"].buckets)
    # In one direction as many units as in two: what it lacks is not width.
    units = config.hidden_size * (1 if kind.both else 2)
    layers: list[Cell] = []
    for _ in range(config.layers):
        read = layers[-1].output_size if layers else size
        cell = networks.make_cells(config.cell, read, units, longest, 1)[0]
        layers.append(Dropout(Bidirectional(cell) if kind.both else cell, config.dropout))
    layer = layers[0] if len(layers) == 1 else Stack(tuple(layers))
    words = Embedding(len(corpus.words), config.word_features)
    model = Tagger(words, layer, len(corpus.tags), encoder, config.word_dropout)

    def use(key: jax.Array) -> jax.Array:
        ids, characters = jnp.ones((2, 1), int), jnp.ones((2, 1, 3), int) if kind.characters else None
        loss = jax.grad(lambda p: model.loss(p, ids, jnp.zeros_like(ids), characters, key=key))
        return loss(model.init(key))

    try:
        jax.eval_shape(use, jax.random.key(0))
    except Exception as error:  # a user's own code
        raise UserError(f"--cell={config.cell} cannot be used: {type(error).__name__}: {error}") from error
    return model
