"""Eligibility traces: the influence of a parameter inside its own unit."""

import dataclasses
from typing import Any

import jax

from rnn_jax.cell import Cell, State
from rnn_jax.gradients.online import Carry, Online, Vectors
from rnn_jax.gradients.pattern import Blocks, blocks
from rnn_jax.gradients.sparse import Sparse
from rnn_jax.models.readout import ReadoutParams


@dataclasses.dataclass(frozen=True)
class EProp(Sparse):
    """M_t = E_t M_{t-1} + F_t with E = dstep/ds, the recurrent product r held fast: e-prop, Bellec et al. 2020, "A
    solution to the learning dilemma for recurrent networks of spiking neurons", with the exact dL_t/ds_t
    ("symmetric"). For a leaky network it is RFLO (Murray 2019, arXiv:1805.11627) with the readout's own weights as
    feedback; for an LSTM the trace of c decays by its forget gate; a plain tanh network has no trace at all.

    What a unit does to others, and they to it, is left out: biased, local and cheap, O(P) memory and operations.
    Only for cells that are split into `recurrent` and `activate`, as only there it is known what leaves a unit.

    Raises:
      TypeError: by `init`, where the cell is not split.
    """

    def init(
        self, cell: Cell, params: ReadoutParams, xs: Any, state: State | None = None, key: jax.Array | None = None
    ) -> Carry:
        if not cell.has_recurrent:
            raise TypeError(
                f"EProp needs a cell that is split into `recurrent` and `activate`, which {type(cell).__name__} is not"
            )
        return Online.init(self, cell, params, xs, state, key)

    def blocks(self, vectors: Vectors, x: Any) -> Blocks:
        return blocks(vectors, x, None)

    def jacobian(self, vectors: Vectors, theta: jax.Array, s: jax.Array, x: Any) -> jax.Array:
        return jax.jacfwd(vectors.activate, argnums=1)(theta, s, x)
