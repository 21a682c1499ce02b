"""Config, flags, and the data and networks that follow from them."""

import dataclasses

from experiments.common import clips, digit_images, flags, networks
from experiments.common.clips import Data
from experiments.common.fitting import Network
from experiments.common.flags import FitConfig, Need, setting
from experiments.common.splits import SplitFiles, kinds
from experiments.video.measurement import loss
from rnn_jax.data import moving_images
from rnn_jax.data.clip_folder import is_clip_folder
from rnn_jax.models import ImageEncoder, VideoClassifier

ALONE = "none"  # name among the cells of convolutions without a recurrence
WIDTHS = (16, 32, 64)  # features of the convolutions
RECURRENT = Need(lambda config: config.cells != (ALONE,), f"with --cells={ALONE}")
LABELLED, MOVING = kinds("labelled clips", is_clip_folder)


@dataclasses.dataclass(frozen=True)
class Config(SplitFiles, FitConfig):
    """Config of a run; every field is a flag."""

    data: str | None = setting(
        None, f"{digit_images.FOLDER_HELP[:-1]}; or labels.csv (clip, label, maybe frame, split) and folders of images."
    )
    train: str | None = setting(None, "Clips of the training set; with --test, in place of --data.")
    size: int = setting(32, "Height and width that images of clips are resized to.", needs=LABELLED)
    cells: tuple[str, ...] = setting((ALONE, "gru"), f"{networks.CELLS_HELP[:-1]}; {ALONE}: convolutions alone.")
    features: int = setting(96, "Features of a frame, which the cell reads.")
    hidden_size: int = setting(96, "Units of the cell.", needs=RECURRENT)
    clips: int = setting(16_000, "Clips of an epoch; every epoch draws new paths.", needs=MOVING)
    tested: int = setting(2000, "Clips in the validation set, and in the test set.", needs=MOVING)
    epochs: int = setting(8)
    learning_rate: float = setting(2e-3)


QUICK = Config(features=48, hidden_size=48, clips=640, tested=100, epochs=2, learning_rate=5e-3, seeds=1)


def plan(config: Config) -> tuple[Data, list[Network]]:
    """Returns the data and the networks of a config.

    Raises:
      UserError: if a flag's value cannot be run.
    """
    flags.check(config)
    data = clips.load(config.data, config.clips, config.tested, config.data_seed)
    trainers = {name: config.trainer(_model(config, name, data), [data.training]) for name in config.cells}
    labels = {name: "CNN alone" if name == ALONE else f"CNN + {name}" for name in config.cells}
    return data, [Network(name, trainer, labels[name]) for name, trainer in trainers.items()]


def _model(config: Config, name: str, data: Data) -> VideoClassifier:
    size = moving_images.edge(data.training.whole["image"].shape[-1])
    units, steps = config.hidden_size, moving_images.FRAMES
    cell = None if name == ALONE else networks.make_cell(name, config.features, units, steps)
    images = ImageEncoder((size, size, 1), WIDTHS)
    classes = len(moving_images.DIRECTIONS), (10, len(moving_images.PATHS))
    model = VideoClassifier(images, config.features, cell, *classes)
    networks.probe_loss(f"--cells={name}", model, loss, [data.training])
    return model
