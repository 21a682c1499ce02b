"""The table of cells in rnn_jax/cells/README.md: every registered cell, and the columns that can be computed."""

import re
from pathlib import Path

import jax
import numpy as np
import pytest

from rnn_jax import CELLS
from rnn_jax.engines.newton_linear import Steps, kind

SIZE = 64  # D = H of the table
SOURCE = re.compile(
    r"\([^()]*(abstract|authors' repository|(table|figure|section|theorem) \d|[A-Z][^()]* \d{4})[^()]*\)"
)
TABLE = Path(__file__).parents[1] / "rnn_jax" / "cells" / "README.md"
JACOBIANS = {"full": "dense", "blocks": "blocks", "diagonal": "diagonal"}


def rows() -> dict[str, list[str]]:
    """Returns the other columns of each cell, by its name."""
    lines = re.findall(r"^\| `(\w+)` \| (.+) \|$", TABLE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {name: rest.split(" | ") for name, rest in lines}


def computed(name: str) -> list[str]:
    """Returns class, state size in multiples of H, parameters and Jacobian as the table has them."""
    cell = CELLS[name](SIZE, SIZE)
    params = jax.eval_shape(cell.init, jax.random.key(0))
    state = jax.eval_shape(cell.initial_state, params)
    numbers = sum(
        np.prod(leaf.shape) * (2 if np.iscomplexobj(leaf) else 1)
        for leaf in jax.tree.leaves(state)
        if np.issubdtype(leaf.dtype, np.inexact)
    )
    small = CELLS[name](3, 4)
    params_of = jax.eval_shape(small.init, jax.random.key(0))
    states = jax.eval_shape(small.initial_state, params_of)
    drive = jax.eval_shape(small.project, params_of, jax.ShapeDtypeStruct((3,), "float32"))
    jacobian = JACOBIANS[kind(Steps(small, params_of, states, drive))]
    parameters = sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(params))
    linear = "linear, " if cell.is_linear else ""
    return [f"`{type(cell).__name__}`", f"{numbers / SIZE:g}", f"{parameters:,}", f"{linear}{jacobian}"]


def test_the_table_has_every_cell_in_order() -> None:
    assert list(rows()) == list(CELLS)


@pytest.mark.extended
@pytest.mark.parametrize("name", CELLS)
def test_the_computed_columns_are_right(name: str) -> None:
    assert rows()[name][:4] == computed(name)


def test_every_row_names_its_equation_and_paper() -> None:
    for name, (*_, equation, paper, claim) in rows().items():
        assert re.match(r"[a-zCS]_t ?[=:]|as `", equation), name
        assert re.search(r"\d{4}", paper), name
        assert claim, name


def test_every_claim_names_its_source() -> None:
    claims = {name: columns[-1] for name, columns in rows().items()}
    assert [name for name, claim in claims.items() if not SOURCE.search(claim) and not claim.startswith("as `")] == []
