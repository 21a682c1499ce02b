"""What all contestants of a comparison share: a cell, sizes, one set of weights, inputs and a loss."""

import dataclasses
import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import rnn_jax
from experiments.common.flags import UserError

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
PRECISION = "highest"  # JAX's float32 products are float32 on every device


@dataclasses.dataclass(frozen=True)
class Shape:
    """(B, T, D, H): sequences, steps, features of an input, hidden units."""

    batch: int
    steps: int
    input_size: int
    hidden_size: int

    @classmethod
    def parse(cls, text: str) -> "Shape":
        """Returns the shape of "32x100x128x128"."""
        if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*){3}", text):
            raise UserError(f"--shapes: a shape is BATCHxSTEPSxINPUTSxHIDDEN as in 32x100x128x128, got {text!r}")
        return cls(*map(int, text.split("x")))

    def __str__(self) -> str:
        return "x".join(map(str, dataclasses.astuple(self)))


class Data(NamedTuple):
    """Arrays of a problem, in its dtype; every contestant gets copies in its own layout."""

    params: Any  # of the problem's cell
    xs: jax.Array  # [T, B, D], standard normal
    loss_weights: jax.Array  # [T, B, H], standard normal; the loss is sum(outputs * loss_weights)


@dataclasses.dataclass(frozen=True)
class Problem:
    """A cell with sizes and a dtype."""

    cell_name: str
    shape: Shape
    dtype: str = "float32"

    @property
    def cell(self) -> rnn_jax.Cell:
        return rnn_jax.CELLS[self.cell_name](self.shape.input_size, self.shape.hidden_size)

    def draw(self, seed: int | jax.Array) -> Data:
        """Draws weights by `cell.init`, with random biases; biases that not every library has (b_hn) stay zero."""
        key_params, key_biases, key_xs, key_weights = jax.random.split(jax.random.key(seed), 4)
        params = self.cell.init(key_params)
        params = params._replace(b=params.b + 0.1 * jax.random.normal(key_biases, params.b.shape))
        shape = self.shape
        xs = jax.random.normal(key_xs, (shape.steps, shape.batch, shape.input_size))
        loss_weights = jax.random.normal(key_weights, (shape.steps, shape.batch, shape.hidden_size))
        return jax.tree.map(lambda a: a.astype(jnp.dtype(self.dtype)), Data(params, xs, loss_weights))

    def record(self) -> dict[str, Any]:
        """Returns its fields of a flat record."""
        return {"cell": self.cell_name, "shape": str(self.shape), **dataclasses.asdict(self.shape), "dtype": self.dtype}
