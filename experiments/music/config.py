"""What is run: the config, its flags' meaning, and what follows from it, checked before anything is run."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import networks
from experiments.common.flags import UserError, check_positive, check_shares, setting
from experiments.music import invented
from rnn_jax import Cell, Dropout, RecurrentDropout, Stack, cells, training
from rnn_jax.data import Buckets, Examples, bucket_lengths, pad, read_piano_rolls
from rnn_jax.data.piano_roll import KEYS
from rnn_jax.models import ReadoutModel


@dataclasses.dataclass(frozen=True)
class Config:
    """What is run; every field is a flag."""

    data: str | None = setting(
        None, "A .mat file with traindata, validdata, testdata: piano rolls; by default pieces made by a rule."
    )
    cells: tuple[str, ...] = setting(
        ("lstm", "gru", "rnn"),
        f"Comma list of {', '.join([*cells.CELLS, *networks.VARIANTS])}, or your own as module:Class.",
    )
    hidden_size: int = setting(150, "Units of each layer.")
    layers: int = setting(1, "Layers, one above the other.")
    dropout: float = setting(0.25, "Share dropped of a layer's inputs, and of its units in the recurrence.")
    epochs: int = setting(100, "Times that every piece is trained on.")
    batch_size: int = setting(8, "Pieces a step.")
    buckets: int = setting(3, "Lengths that pieces are padded to; each is compiled.")
    learning_rate: float = setting(0.01, "Adam's learning rate at the start; it falls to 0 along a cosine.")
    clip_norm: float = setting(5.0, "Global gradient norm to which gradients are clipped.")
    seeds: int = setting(3, "Runs of each network.")
    seed: int = setting(0, "From which every random number follows.")


QUICK = Config(hidden_size=32, epochs=6, buckets=1, dropout=0.1, seeds=1)


@dataclasses.dataclass(frozen=True)
class Network:
    """One to be trained."""

    name: str
    trainer: training.Trainer[ReadoutModel]


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """A config made ready."""

    source: str  # in words
    pieces: dict[str, list[np.ndarray]]  # by part, each [T, 88]
    removed: dict[str, int]  # pieces of a part that come in a later one, by part
    examples: dict[str, list[Examples]]  # by part; steps: rolls; whole: lengths
    networks: tuple[Network, ...]
    steps: int  # of an epoch


def plan(config: Config) -> Plan:
    """All that a config asks for.

    Raises:
      UserError: where a flag's value cannot be run.
    """
    _check(config)
    source, pieces = "pieces made by a rule", None
    try:
        if config.data is not None:
            source, pieces = config.data, read_piano_rolls(config.data)
    except ValueError as error:
        raise UserError(f"--data: {error}") from error
    pieces = invented.pieces() if pieces is None else pieces
    removed = _remove_what_comes_later(pieces)
    if empty := [part for part, each in pieces.items() if not each]:
        raise UserError(f"--data: the {empty[0]} part has no piece that does not come in a later part")
    examples = {part: _examples(each, config.buckets) for part, each in pieces.items()}
    steps = training.epoch_steps(examples["training"], config.batch_size)
    optimizer = training.CosineDecay(training.Adam(config.learning_rate), config.epochs * steps)
    found = []
    for name in config.cells:
        clip = training.ClipByNorm(config.clip_norm)
        longest = max(len(piece) for piece in pieces["training"])
        found.append(Network(name, training.Trainer(_model(config, name, longest), config.batch_size, optimizer, clip)))
    return Plan(source, pieces, removed, examples, tuple(found), steps)


def _check(config: Config) -> None:
    counts = ("hidden_size", "layers", "epochs", "batch_size", "buckets", "seeds")
    check_positive(config, *counts, "learning_rate", "clip_norm")
    check_shares(config, "dropout")
    if not config.cells or len(set(config.cells)) < len(config.cells):
        raise UserError(f"--cells must be names, each once, got {','.join(config.cells)!r}")


def _remove_what_comes_later(pieces: dict[str, list[np.ndarray]]) -> dict[str, int]:
    """Takes pieces out of training and validation that are tested on, or chosen by; the test part stays whole."""
    removed, later = {}, {(len(piece), piece.tobytes()) for piece in pieces["test"]}
    for part in ("validation", "training"):
        kept = [piece for piece in pieces[part] if (len(piece), piece.tobytes()) not in later]
        removed[part] = len(pieces[part]) - len(kept)
        later |= {(len(piece), piece.tobytes()) for piece in kept}
        pieces[part] = kept
    return removed


def _examples(pieces: list[np.ndarray], buckets: int) -> list[Examples]:
    found = []
    lengths = [len(piece) for piece in pieces]
    for members in Buckets(bucket_lengths(lengths, buckets)).members(lengths):
        values, counts = pad([pieces[i] for i in members])
        found.append(Examples(jnp.asarray(values, jnp.result_type(float)), jnp.asarray(counts)))
    return found


def _model(config: Config, name: str, longest: int) -> ReadoutModel:
    found: list[Cell] = []
    for cell in networks.make_cells(name, KEYS, config.hidden_size, longest, config.layers):
        if config.dropout:
            try:
                cell = Dropout(RecurrentDropout(cell, config.dropout), config.dropout)
            except TypeError as error:
                raise UserError(f"--cells={name} goes with --dropout=0 alone: {error}") from error
        found.append(cell)
    model = ReadoutModel(found[0] if len(found) == 1 else Stack(tuple(found)), KEYS)

    def use(key: jax.Array) -> Any:
        params, x = model.init(key), jnp.zeros((2, 1, KEYS))
        state, _ = model.apply(params, x, key=key)
        model.cell.step(params.cell, state, model.cell.project(params.cell, x[0]))
        return jax.grad(lambda p: jnp.sum(model.apply(p, x)[1]))(params)

    try:
        jax.eval_shape(use, jax.random.key(0))
    except Exception as error:  # a user's own code
        raise UserError(f"--cells: {name} cannot be used: {type(error).__name__}: {error}") from error
    return model
