"""Sparse n-step approximation of real-time recurrent learning."""

import dataclasses
from typing import Any

import jax

from rnn_jax import checks
from rnn_jax.gradients.online import Vectors
from rnn_jax.gradients.pattern import Blocks, blocks
from rnn_jax.gradients.sparse import Sparse


@dataclasses.dataclass(frozen=True)
class SnAp(Sparse):
    """SnAp-n of Menick et al. 2021, arXiv:2006.07232: of M = ds_t/dtheta only the entries that a parameter can reach
    within n steps are kept, by the full D = dstep/ds.

    With n = 1 a parameter keeps its influence on the components of its own unit: memory O(P) a sequence. It is exact
    where units do not meet (minGRU; with n = 2 LRU, whose complex units are two components). With n = 2 a densely
    connected layer keeps everything and this is `RTRL`; more steps are for sparse weights. D itself is [S, S].

    Args:
      steps: n.

    Raises:
      ValueError: where n is not a positive integer.
    """

    steps: int = 1

    def __post_init__(self) -> None:
        checks.integer_at_least(1, self.steps, "SnAp: steps")

    def blocks(self, vectors: Vectors, x: Any) -> Blocks:
        return blocks(vectors, x, self.steps)

    def jacobian(self, vectors: Vectors, theta: jax.Array, s: jax.Array, x: Any) -> jax.Array:
        return jax.jacrev(vectors.step, argnums=1)(theta, s, x)
