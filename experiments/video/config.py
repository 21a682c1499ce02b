"""What is run: the config, its flags' meaning, and what follows from it, checked before anything is run."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import digit_images, networks
from experiments.common.digit_images import Digits
from experiments.common.flags import UserError, check_positive, setting
from experiments.video import clips
from rnn_jax import Cell, cells
from rnn_jax import training as train
from rnn_jax.data import Examples
from rnn_jax.models import ImageEncoder, VideoClassifier

ALONE = "none"  # among the cells: convolutions alone
WIDTHS = (16, 32, 64)  # features of the convolutions


@dataclasses.dataclass(frozen=True)
class Config:
    """What is run; every field is a flag."""

    data: str | None = setting(
        None, "Folder with MNIST's four IDX files, gzip or not; by default scikit-learn's 8 x 8 digits."
    )
    cells: tuple[str, ...] = setting(
        (ALONE, "gru"),
        f"Comma list of {', '.join([*cells.CELLS, *networks.VARIANTS])}, or your own as module:Class; {ALONE}: "
        "convolutions alone.",
    )
    features: int = setting(96, "Of a frame, which the cell reads.")
    hidden_size: int = setting(96, "Units of the cell.")
    clips: int = setting(16_000, "Clips of an epoch, each with another path in every one.")
    tested: int = setting(2000, "Clips in the validation part, and in the test part.")
    batch_size: int = setting(32, "Clips a step.")
    epochs: int = setting(8, "Times that every clip comes, along another path.")
    learning_rate: float = setting(2e-3, "Adam's learning rate at the start; it falls to 0 along a cosine.")
    clip_norm: float = setting(1.0, "Global gradient norm to which gradients are clipped.")
    seeds: int = setting(3, "Runs of each network, all in one compiled program.")
    seed: int = setting(0, "From which every random number follows.")


QUICK = Config(features=48, hidden_size=48, clips=640, tested=100, epochs=2, learning_rate=5e-3, seeds=1)


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """A config made ready. Of all examples, whole: image [N, side, side], label [N]; of those that stay, key [N]."""

    source: str
    training: Examples
    validation: Examples
    test: Examples
    trainers: dict[str, train.Trainer[VideoClassifier]]  # by cell
    steps: int  # of each


def plan(config: Config) -> Plan:
    """All that a config asks for.

    Raises:
      UserError: where a flag's value cannot be run.
    """
    counts = ("features", "hidden_size", "clips", "tested", "batch_size", "epochs", "seeds")
    check_positive(config, *counts, "learning_rate", "clip_norm")
    if not config.cells or len(set(config.cells)) < len(config.cells):
        raise UserError(f"--cells must be different ones, got {','.join(config.cells)!r}")
    digits = digit_images.read(config.data)
    rng = np.random.default_rng(config.seed)
    learnt = _examples(digits.training, config.clips, rng)
    steps = config.epochs * train.epoch_steps([learnt], config.batch_size)
    optimizer = train.CosineDecay(train.Adam(config.learning_rate), steps)
    clip = train.ClipByNorm(config.clip_norm)
    trainers = {
        name: train.Trainer(_model(config, name, digits.training.side), config.batch_size, optimizer, clip)
        for name in config.cells
    }
    return Plan(
        digits.source,
        learnt,
        _examples(digits.validation, config.tested, rng, config.seed),
        _examples(digits.test, config.tested, rng, config.seed + 1),
        trainers,
        steps,
    )


def _examples(digits: Digits, count: int, rng: np.random.Generator, seed: int | None = None) -> Examples:
    places = digits.draw(count, rng)
    whole = {"image": jnp.asarray(digits.images[places]), "label": jnp.asarray(digits.labels[places])}
    if seed is not None:
        whole["key"] = jax.random.split(jax.random.key(seed), count)
    return Examples({}, whole)


def _model(config: Config, name: str, side: int) -> VideoClassifier:
    size = clips.edge(side)
    images = ImageEncoder((size, size, 1), WIDTHS)
    try:
        cell: Cell | None = None
        if name != ALONE:
            (cell,) = networks.make_cells(name, config.features, config.hidden_size, clips.FRAMES, 1)
        model = VideoClassifier(images, config.features, cell, len(clips.DIRECTIONS), (10, len(clips.PATHS)))

        def use(key: jax.Array) -> Any:
            frames, labels = jnp.zeros((2, 1, size, size, 1)), jnp.zeros((2, 1), int)
            return jax.grad(lambda p: model.loss(p, frames, labels, (labels[0], labels[0]), key=key))(model.init(key))

        jax.eval_shape(use, jax.random.key(0))
    except UserError:
        raise
    except Exception as error:  # a user's own code
        raise UserError(f"--cells: {name} cannot be used: {type(error).__name__}: {error}") from error
    return model
