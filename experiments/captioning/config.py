"""Config, flags, and the data and networks that follow from them."""

import dataclasses

import numpy as np

from experiments.captioning.measurement import captioner, loss
from experiments.common import digit_images, flags, networks, scenes
from experiments.common.fitting import Network
from experiments.common.flags import FitConfig, chosen, setting
from experiments.common.scenes import Data
from experiments.common.splits import SplitFiles, kinds
from rnn_jax import Dropout
from rnn_jax.data import Embedding, digit_scenes
from rnn_jax.data.caption_folder import is_caption_folder
from rnn_jax.models import Additive, BahdanauCell, Captioner, Decoder, ImageEncoder

LABELS = {"attention": "attention", "none": "no attention"}
WIDTHS, STRIDES = (24, 48, 64, 64), (2, 2, 2, 1)  # of the convolutions; an output of the last sees 31 x 31 pixels
DESCRIBED, COMPOSED = kinds("captioned images", is_caption_folder)


@dataclasses.dataclass(frozen=True)
class Config(SplitFiles, FitConfig):
    """Config of a run; every field is a flag."""

    data: str | None = setting(
        None, f"{digit_images.FOLDER_HELP[:-1]}; or images and captions.csv or .txt (image, caption, maybe split)."
    )
    train: str | None = setting(None, "Captions of the training set; with --test, in place of --data.")
    size: int = setting(64, "Height and width that captioned images of files are resized to.", needs=DESCRIBED)
    models: tuple[str, ...] = setting(
        tuple(LABELS),
        "Comma list: attention (Bahdanau's decoder on the feature map), none (image as initial state only).",
        choices=tuple(LABELS),
    )
    cell: str = setting("gru", networks.CELL_HELP)
    embedding: int = setting(32, "Features of a word's embedding.")
    hidden_size: int = setting(128, "Units of the decoder.")
    readout: int = setting(96, "Features that attention has words read from.", needs=chosen("models", "attention"))
    dropout: float = setting(0.0, "Share of the decoder's inputs dropped in training.", share=True)
    scenes: int = setting(18_000, "Scenes of an epoch; every epoch composes new ones.", needs=COMPOSED)
    tested: int = setting(2000, "Scenes in the validation set, and in the test set.", needs=COMPOSED)
    batch_size: int = setting(64)
    epochs: int = setting(30)
    learning_rate: float = setting(3e-3)
    seeds: int = setting(1)

    @property
    def networks(self) -> int:
        return len(self.models)


QUICK = Config(embedding=16, hidden_size=48, readout=32, scenes=640, tested=100, epochs=3, learning_rate=5e-3)


def plan(config: Config) -> tuple[Data, list[Network]]:
    """Returns the data and the networks of a config.

    Raises:
      UserError: if a flag's value cannot be run.
    """
    flags.check(config)
    data = scenes.load(config.data, config.scenes, config.tested, config.data_seed)
    trainers = {name: config.trainer(_model(config, name, data), [data.training.examples]) for name in config.models}
    return data, [Network(name, trainer, LABELS[name]) for name, trainer in trainers.items()]


def _model(config: Config, name: str, data: Data) -> Captioner:
    scene = data.test.examples.take(np.arange(1))
    shape, words = scene.whole["scene"].shape[1:], data.training.words
    model = make_model(config, name, shape, len(words), digit_scenes.MAX_TOKENS)
    searched = captioner(model, words).search
    networks.probe_loss(f"--cell={config.cell}", model, loss, [data.training.examples])
    networks.probe(f"--cell={config.cell}", lambda key: searched(model.init(key), scene))
    return model


def make_model(config: Config, name: str, shape: tuple[int, int, int], words: int, longest: int) -> Captioner:
    """Returns the network called `name` for images of a shape, and sentences of at most `longest` tokens."""
    images = ImageEncoder(shape, WIDTHS, STRIDES)
    units, context = config.hidden_size, WIDTHS[-1] if name == "attention" else 0
    cell = networks.make_cell(config.cell, config.embedding + context, units, longest)
    cell = Dropout(cell, config.dropout) if config.dropout else cell
    if context:
        cell = BahdanauCell(cell, Additive(cell.output_size, context, units), config.readout)
    return Captioner(images, Decoder(Embedding(words, config.embedding), cell))
