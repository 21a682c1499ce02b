"""What is run: the config, its flags' meaning, and what follows from it, checked before anything is run."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.captioning import scenes
from experiments.captioning.scenes import Draft
from experiments.common import digit_images, networks
from experiments.common.flags import UserError, check_positive, check_shares, setting
from rnn_jax import Cell, Dropout, cells
from rnn_jax import training as train
from rnn_jax.data import Embedding, Examples, Vocabulary, pad
from rnn_jax.models import Additive, BahdanauCell, Captioner, Decoder, ImageEncoder

NETWORKS = ("attention", "none")
WIDTHS, STRIDES = (24, 48, 64, 64), (2, 2, 2, 1)  # of the convolutions: the last one sees 31 x 31 pixels


@dataclasses.dataclass(frozen=True)
class Config:
    """What is run; every field is a flag."""

    data: str | None = setting(
        None, "Folder with MNIST's four IDX files, gzip or not; by default scikit-learn's 8 x 8 digits."
    )
    models: tuple[str, ...] = setting(
        NETWORKS, "Comma list: attention (Bahdanau's decoder on the map), none (from the image as first state alone)."
    )
    cell: str = setting("gru", f"One of {', '.join([*cells.CELLS, *networks.VARIANTS])}, or your own as module:Class.")
    embedding: int = setting(32, "Features of a word.")
    hidden_size: int = setting(128, "Units of the decoder.")
    readout: int = setting(96, "Features that words are read from with attention; without, they are the units.")
    dropout: float = setting(0.0, "Share of the features of words dropped.")
    scenes: int = setting(18_000, "Scenes of an epoch, each composed anew in every one.")
    tested: int = setting(2000, "Scenes in the validation part, and in the test part.")
    batch_size: int = setting(64, "Scenes a step.")
    epochs: int = setting(30, "Times that every scene comes, its digits at other places.")
    learning_rate: float = setting(3e-3, "Adam's learning rate at the start; it falls to 0 along a cosine.")
    clip_norm: float = setting(1.0, "Global gradient norm to which gradients are clipped.")
    seeds: int = setting(1, "Runs of each network, all in one compiled program.")
    seed: int = setting(0, "From which every random number follows.")


QUICK = Config(embedding=16, hidden_size=48, readout=32, scenes=640, tested=100, epochs=3, learning_rate=5e-3, seeds=1)


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """Scenes that stay as they are: of the validation and the test part."""

    draft: Draft
    examples: Examples  # steps: targets [T, N]; whole: scene [N, edge, edge, 1], length [N]


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """A config made ready."""

    source: str
    words: Vocabulary
    draft: Draft  # of the training part
    training: Examples  # steps: targets [T, N]; whole: images [N, 3, side, side], kind [N], length [N]
    validation: Part
    test: Part
    trainers: dict[str, train.Trainer[Captioner]]  # by network
    steps: int  # of each


def plan(config: Config) -> Plan:
    """All that a config asks for.

    Raises:
      UserError: where a flag's value cannot be run.
    """
    counts = ("embedding", "hidden_size", "readout", "scenes", "tested", "batch_size", "epochs", "seeds")
    check_positive(config, *counts, "learning_rate", "clip_norm")
    check_shares(config, "dropout")
    if not config.models or set(config.models) - set(NETWORKS) or len(set(config.models)) < len(config.models):
        raise UserError(f"--models must be some of {', '.join(NETWORKS)}, got {','.join(config.models)!r}")
    digits = digit_images.read(config.data)
    rng = np.random.default_rng(config.seed)
    learnt = scenes.draft(digits.training, config.scenes, rng)
    held_out = [scenes.draft(part, config.tested, rng) for part in (digits.validation, digits.test)]
    # Words of the training part; in a small one a number may be missing, and its sentences cannot be right.
    words = Vocabulary.of(learnt.sentences)
    targets, lengths = _targets(words, learnt)
    examples = Examples(
        {"target": targets},
        {"images": jnp.asarray(learnt.images), "kind": jnp.asarray(learnt.kinds), "length": lengths},
    )
    steps = config.epochs * train.epoch_steps([examples], config.batch_size)
    optimizer = train.CosineDecay(train.Adam(config.learning_rate), steps)
    clip = train.ClipByNorm(config.clip_norm)
    trainers = {
        name: train.Trainer(_model(config, name, digits.training.side, words), config.batch_size, optimizer, clip)
        for name in config.models
    }
    validation, test = (_part(words, each, config.seed + n) for n, each in enumerate(held_out))
    return Plan(digits.source, words, learnt, examples, validation, test, trainers, steps)


def _part(words: Vocabulary, found: Draft, seed: int) -> Part:
    keys = jax.random.split(jax.random.key(seed), len(found.kinds))
    composed = jax.jit(jax.vmap(scenes.compose))(keys, found.images, found.kinds)
    targets, lengths = _targets(words, found)
    return Part(found, Examples({"target": targets}, {"scene": composed, "length": lengths}))


def _targets(words: Vocabulary, found: Draft) -> tuple[jax.Array, jax.Array]:
    """Ids [T, N] to END, and lengths [N]."""
    ids, lengths = pad([words.encode(sentence, end=True) for sentence in found.sentences])
    return jnp.asarray(ids), jnp.asarray(lengths)


def _model(config: Config, name: str, side: int, words: Vocabulary) -> Captioner:
    """Convolutions, and a decoder with attention or without."""
    size = scenes.edge(side)
    images = ImageEncoder((size, size, 1), WIDTHS, STRIDES)
    features, units = config.embedding, config.hidden_size

    def cell(input_size: int) -> Cell:
        (found,) = networks.make_cells(config.cell, input_size, units, 10, 1)
        return Dropout(found, config.dropout) if config.dropout else found

    try:
        inner = cell(features)
        if name == "attention":
            seen = images.map_shape[-1]
            reader = cell(features + seen)
            inner = BahdanauCell(reader, Additive(reader.output_size, seen, units), config.readout)
        model = Captioner(images, Decoder(Embedding(len(words), features), inner))

        def use(key: jax.Array) -> Any:
            params, scene = model.init(key), jnp.zeros((1, size, size, 1))
            ids, lengths = jnp.ones((2, 1), int), jnp.ones(1, int)
            loss = jax.grad(lambda p: model.loss(p, scene, ids, lengths, key))(params)
            begun = model.encode(params, scene)
            return loss, model.decoder.step(begun.params, begun.state, ids[0])

        jax.eval_shape(use, jax.random.key(0))
    except UserError:
        raise
    except Exception as error:  # a user's own code
        raise UserError(f"--cell={config.cell} cannot be used: {type(error).__name__}: {error}") from error
    return model
