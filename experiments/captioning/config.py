"""Config, flags, and everything that follows from them, checked before anything is run."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.captioning import scenes
from experiments.captioning.scenes import Draft
from experiments.common import digit_images, flags, networks
from experiments.common.fitting import Network
from experiments.common.flags import FitConfig, setting
from rnn_jax import Cell, Dropout, training
from rnn_jax.data import Embedding, Examples, Vocabulary, pad
from rnn_jax.models import Additive, BahdanauCell, Captioner, Decoder, ImageEncoder

MODELS = {"attention": "attention", "none": "no attention"}  # label by name
WIDTHS, STRIDES = (24, 48, 64, 64), (2, 2, 2, 1)  # of the convolutions; the last layer sees 31 x 31 pixels
LONGEST = 10  # words, for cells with chrono biases


@dataclasses.dataclass(frozen=True)
class Config(FitConfig):
    """Config of a run; every field is a flag."""

    data: str | None = setting(
        None, "Folder with MNIST's four IDX files, gzip or not; by default scikit-learn's 8 x 8 digits."
    )
    models: tuple[str, ...] = setting(
        tuple(MODELS),
        "Comma list: attention (Bahdanau's decoder on the feature map), none (image as initial state only).",
        choices=tuple(MODELS),
    )
    cell: str = setting("gru", networks.CELL_HELP)
    embedding: int = setting(32, "Features of a word.")
    hidden_size: int = setting(128, "Units of the decoder.")
    readout: int = setting(96, "Features from which words are read with attention; without it, the units are.")
    dropout: float = setting(0.0, "Share of the words' features dropped in training.", share=True)
    scenes: int = setting(18_000, "Scenes of an epoch, each composed anew in every epoch.")
    tested: int = setting(2000, "Scenes in the validation set, and in the test set.")
    batch_size: int = setting(64, "Scenes in an optimization step.")
    epochs: int = setting(30)
    learning_rate: float = setting(3e-3)
    seeds: int = setting(1)


QUICK = Config(embedding=16, hidden_size=48, readout=32, scenes=640, tested=100, epochs=3, learning_rate=5e-3, seeds=1)


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Fixed scenes: the validation set or the test set."""

    draft: Draft
    examples: Examples  # steps: targets [T, N]; whole: scene [N, edge, edge, 1], length [N]


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """Everything that a config asks for."""

    source: str
    words: Vocabulary
    draft: Draft  # of the training set
    training: Examples  # steps: targets [T, N]; whole: images [N, 3, side, side], kind [N], length [N]
    validation: Split
    test: Split
    networks: list[Network]


def plan(config: Config) -> Plan:
    """Returns everything that a config asks for.

    Raises:
      UserError: if a flag's value cannot be run.
    """
    flags.check(config)
    digits = digit_images.read(config.data)
    rng = np.random.default_rng(config.seed)
    draft = scenes.draft(digits.training, config.scenes, rng)
    held_out = [scenes.draft(split, config.tested, rng) for split in (digits.validation, digits.test)]
    # Words of the training set; in a small one a number may be missing, and its sentences cannot be right.
    words = Vocabulary.of(draft.sentences)
    targets, lengths = _targets(words, draft)
    images = {"images": jnp.asarray(draft.images), "kind": jnp.asarray(draft.kinds), "length": lengths}
    examples = Examples({"target": targets}, images)
    steps = training.epoch_steps([examples], config.batch_size)
    models = {name: _model(config, name, digits.training.side, words) for name in config.models}
    made = [Network(name, config.trainer(model, steps), MODELS[name]) for name, model in models.items()]
    validation, test = (_split(words, each, config.seed + n) for n, each in enumerate(held_out))
    return Plan(digits.source, words, draft, examples, validation, test, made)


def _split(words: Vocabulary, draft: Draft, seed: int) -> Split:
    keys = jax.random.split(jax.random.key(seed), len(draft.kinds))
    composed = jax.jit(jax.vmap(scenes.compose))(keys, draft.images, draft.kinds)
    targets, lengths = _targets(words, draft)
    return Split(draft, Examples({"target": targets}, {"scene": composed, "length": lengths}))


def _targets(words: Vocabulary, draft: Draft) -> tuple[jax.Array, jax.Array]:
    """Returns ids [T, N] including END, and lengths [N]."""
    ids, lengths = pad([words.encode(sentence, end=True) for sentence in draft.sentences])
    return jnp.asarray(ids), jnp.asarray(lengths)


def _model(config: Config, name: str, side: int, words: Vocabulary) -> Captioner:
    size = scenes.edge(side)
    images = ImageEncoder((size, size, 1), WIDTHS, STRIDES)
    features, units = config.embedding, config.hidden_size

    def cell(input_size: int) -> Cell:
        made = networks.make_cell(config.cell, input_size, units, LONGEST)
        return Dropout(made, config.dropout) if config.dropout else made

    def make() -> Captioner:
        inner = cell(features)
        if name == "attention":
            channels = images.map_shape[-1]
            reader = cell(features + channels)
            inner = BahdanauCell(reader, Additive(reader.output_size, channels, units), config.readout)
        return Captioner(images, Decoder(Embedding(len(words), features), inner))

    def use(key: jax.Array) -> Any:
        model = make()
        params, scene = model.init(key), jnp.zeros((1, size, size, 1))
        ids, lengths = jnp.ones((2, 1), int), jnp.ones(1, int)
        gradient = jax.grad(lambda p: model.loss(p, scene, ids, lengths, key))(params)
        start = model.read(params, scene)
        return gradient, model.decoder.step(start.params, start.state, ids[0])

    networks.probe(f"--cell={config.cell}", use)
    return make()
