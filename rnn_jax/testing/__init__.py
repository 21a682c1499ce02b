"""The contracts as functions for tests: `check_cell(MyCell(2, 3))` raises one sentence about what does not hold.

One module for each contract: cells and layers, engines, estimators, tasks. The project's own tests run the same
properties over its registries.
"""

from rnn_jax.testing.cells import check_cell, check_layer
from rnn_jax.testing.comparison import ContractError
from rnn_jax.testing.engines import check_engine
from rnn_jax.testing.estimators import check_estimator
from rnn_jax.testing.tasks import check_task

__all__ = ["ContractError", "check_cell", "check_engine", "check_estimator", "check_layer", "check_task"]
