"""Classifiers by name, `bi_` before a cell's for one in each direction; traced before anything is run."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from experiments.common import networks
from experiments.common.flags import UserError
from rnn_jax import Bidirectional, Cell, Dropout, cells
from rnn_jax.data import Encoder
from rnn_jax.models import Classifier, LastStep, MaxPool, MeanPool, Pooling

TWO_WAYS = "bi_"
POOLINGS: dict[str, Pooling] = {"last": LastStep(), "mean": MeanPool(), "max": MaxPool()}
CELLS_HELP = (
    f"Comma list of networks: each one of {', '.join([*cells.CELLS, *networks.VARIANTS])}, or your own as "
    f"module:Class, with {TWO_WAYS} before it for one in each direction."
)


def classifier(
    name: str,
    encoder: Encoder,
    hidden_size: int,
    classes: int,
    pooling: Pooling,
    longest: int,
    input_dropout: float,
    dropout: float,
) -> Classifier:
    """The network called `name`.

    Args:
      name: of a cell, as `experiments.common.networks` knows them, with or without `bi_`.
      encoder: of the tokens.
      hidden_size: units, of each direction.
      classes: how many.
      pooling: what is read.
      longest: tokens of a text.
      input_dropout: share of the encoder's features dropped.
      dropout: of the pooled features.

    Raises:
      UserError: where there is no such cell, or it cannot be trained.
    """
    (cell,) = networks.make_cells(name.removeprefix(TWO_WAYS), encoder.features, hidden_size, longest, 1)
    core: Cell = Bidirectional(cell) if name.startswith(TWO_WAYS) else cell
    if input_dropout:
        core = Dropout(core, input_dropout)
    model = Classifier(core, classes, encoder, pooling, dropout)

    def use(key: jax.Array) -> Any:
        ids, one = jnp.zeros((2, 1), int), jnp.ones(1, int)
        return jax.value_and_grad(lambda p: model.loss(p, ids, one - 1, one, key=key))(model.init(key))

    try:
        jax.eval_shape(use, jax.random.key(0))
    except Exception as error:  # a user's own code
        raise UserError(f"--cells: {name} cannot be used: {type(error).__name__}: {error}") from error
    return model


def check(config: Any, positive: Sequence[str], rates: Mapping[str, float]) -> None:
    """Refuses numbers and lists of networks that cannot be run.

    Args:
      config: with `cells`, and the fields named.
      positive: fields that must be finite numbers above 0.
      rates: by flag, what must be from 0 to below 1.

    Raises:
      UserError: with the flag, the value wanted and the one got.
    """
    for field in positive:
        if not 0 < getattr(config, field) < float("inf"):
            raise UserError(f"--{field} must be a positive number, got {getattr(config, field)}")
    for field, rate in rates.items():
        if not 0 <= rate < 1:
            raise UserError(f"--{field} must be from 0 to below 1, got {rate}")
    if not config.cells:
        raise UserError("--cells must name at least one network, got none")
    if twice := sorted({name for name in config.cells if config.cells.count(name) > 1}):
        raise UserError(f"--cells must name each network once, got {twice[0]} {config.cells.count(twice[0])} times")
