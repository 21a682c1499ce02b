"""What all contestants of a comparison share: a cell, sizes, one set of weights, inputs and a loss."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

import rnn_jax
from experiments.common import networks
from experiments.peers.programs import Data

CELLS = ("rnn", "lstm", "gru")  # tanh; with one forget gate; with the reset after the product
DTYPES = ("float32", "bfloat16")
SHAPES = (
    "32x100x128x128",
    "64x200x64x256",
    "128x784x1x128",  # an image pixel by pixel
    "20x500x10x64",
    "1x1000x64x128",  # one sequence: no work to spread over the batch
    "256x50x256x512",  # nearly all of it matrix products
)
TASKS = {"adding": 200, "copying": 100, "temporal_order_6a": 100, "digits": 0}  # T; images have their own


@dataclasses.dataclass(frozen=True)
class Problem:
    """A cell with sizes (B, T, D, H) and a dtype."""

    cell_name: str
    batch: int
    steps: int
    input_size: int
    hidden_size: int
    dtype: str = dataclasses.field(default="float32", kw_only=True)

    @property
    def cell(self) -> rnn_jax.Cell:
        return networks.make_cell(self.cell_name, self.input_size, self.hidden_size, self.steps)

    @property
    def shape(self) -> str:
        return f"{self.batch}x{self.steps}x{self.input_size}x{self.hidden_size}"

    def __str__(self) -> str:
        return f"{networks.short_name(self.cell_name)} {self.shape}"

    def draw(self, seed: int | jax.Array) -> Data:
        """Draws standard normal arrays and weights by `cell.init`, with random biases; b_hn, which some lack, is 0."""
        key_params, key_biases, key_xs, key_weights = jax.random.split(jax.random.key(seed), 4)
        params = self.cell.init(key_params)
        params = params._replace(b=params.b + 0.1 * jax.random.normal(key_biases, params.b.shape))
        xs = jax.random.normal(key_xs, (self.steps, self.batch, self.input_size))
        loss_weights = jax.random.normal(key_weights, (self.steps, self.batch, self.hidden_size))
        return jax.tree.map(lambda a: a.astype(jnp.dtype(self.dtype)), Data(params, xs, loss_weights))

    def record(self) -> dict[str, Any]:
        """Returns its fields of a flat record."""
        sizes = {name: value for name, value in vars(self).items() if name != "cell_name"}
        return {"cell": networks.short_name(self.cell_name), "shape": self.shape, **sizes}
