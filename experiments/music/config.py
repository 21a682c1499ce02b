"""Config, flags, and the data and networks that follow from them."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from experiments.common import flags, networks, splits
from experiments.common.fitting import Network
from experiments.common.flags import FitConfig, UserError, setting
from experiments.music import composed
from experiments.music.measurement import Data, loss
from rnn_jax import Cell, Dropout, RecurrentDropout
from rnn_jax.applications.improviser import improvise
from rnn_jax.data import bucket_lengths, bucketed, read_piano_rolls
from rnn_jax.data.piano_roll import KEYS
from rnn_jax.models import ReadoutModel


@dataclasses.dataclass(frozen=True)
class Config(FitConfig):
    """Config of a run; every field is a flag."""

    data: str | None = setting(
        None, "A .mat file with traindata, validdata, testdata: piano rolls; by default pieces composed by a rule."
    )
    cells: tuple[str, ...] = setting(("lstm", "gru", "rnn"), networks.CELLS_HELP)
    hidden_size: int = setting(150, "Units of each layer.")
    layers: int = setting(1, "Number of layers.")
    dropout: float = setting(0.25, "Share dropped of a layer's inputs, and of its units in the recurrence.", share=True)
    epochs: int = setting(100)
    batch_size: int = setting(8)
    buckets: int = setting(3, "Lengths that pieces are padded to; each is compiled.")
    learning_rate: float = setting(0.01)
    clip_norm: float = setting(5.0)


QUICK = Config(hidden_size=32, epochs=6, buckets=1, dropout=0.1, seeds=1)


def plan(config: Config) -> tuple[Data, list[Network]]:
    """Returns the data and the networks of a config.

    Raises:
      UserError: if a flag's value cannot be run.
    """
    flags.check(config)
    source = "Pieces composed by a rule" if config.data is None else config.data
    with flags.user_errors("--data"):
        read = composed.pieces() if config.data is None else read_piano_rolls(config.data)
    pieces, removed = splits.without_repeats(read, lambda piece: (len(piece), piece.tobytes()), "piece")
    examples, order = {}, np.empty(0)
    for name, rolls in pieces.items():
        lengths = bucket_lengths([len(roll) for roll in rolls], config.buckets)
        examples[name], order = bucketed({"roll": [np.asarray(r, jnp.result_type(float)) for r in rolls]}, lengths)
    data = Data(source, pieces, removed, examples, order)  # the test set is the last one
    trainers = {name: config.trainer(_model(config, name, data), examples["training"]) for name in config.cells}
    return data, [Network(name, trainer) for name, trainer in trainers.items()]


def _model(config: Config, name: str, data: Data) -> ReadoutModel:
    def wrap(cell: Cell) -> Cell:
        if not config.dropout:
            return cell
        try:
            return Dropout(RecurrentDropout(cell, config.dropout), config.dropout)
        except TypeError as error:
            raise UserError(f"--cells={name} needs --dropout=0: {error}") from error

    longest = max(len(piece) for piece in data.pieces["training"])
    model = ReadoutModel(networks.make_stack(name, KEYS, config.hidden_size, longest, config.layers, wrap), KEYS)
    networks.probe_loss(f"--cells={name}", model, loss, data.examples["training"])
    networks.probe(f"--cells={name}", lambda key: improvise(model, model.init(key), key, jnp.zeros((2, KEYS)), 1))
    return model
