"""rnn_jax itself, with an engine or with the one that `unroll` takes by default."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

import rnn_jax
from experiments.throughput.peers.contestant import Programs, jax_programs, same_function
from experiments.throughput.problem import Data, Problem
from rnn_jax.engines import Engine

DEFAULT = "rnn_jax"


@dataclasses.dataclass(frozen=True)
class Ours:
    """`rnn_jax.unroll`; engine None: as a user calls it who does not name one."""

    name: str
    engine: Engine | None = None

    function = staticmethod(same_function)

    def prepare(self, problem: Problem, data: Data) -> Programs:
        cell = problem.cell if problem.dtype == "float32" else rnn_jax.MixedPrecision(problem.cell)
        return run_cell(cell, data.params, data, self.engine)


def run_cell(cell: rnn_jax.Cell, params: Any, data: Data, engine: Engine | None) -> Programs:
    """The programs of any cell of ours, in float32, whatever the data was rounded to."""
    params, data = jax.tree.map(lambda a: a.astype(jnp.float32), (params, data))
    options: dict[str, Any] = {} if engine is None else {"engine": engine}

    def apply(params: Any, xs: jax.Array) -> jax.Array:
        return rnn_jax.unroll(cell, params, xs, **options)[1]

    return jax_programs(apply, params, data, batch_first=False)


SCAN, CHECKPOINTED = Ours("Scan", rnn_jax.Scan()), Ours("Checkpointed", rnn_jax.Checkpointed())
ENGINES = (Ours(DEFAULT), SCAN)
