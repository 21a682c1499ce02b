"""Engines: ways of solving a recurrence. All equal `Scan` in value and in gradient; they differ in time and memory.

`Hoisted` is the default and the fastest for most cells; `Checkpointed` takes the least memory; `Associative` is
parallel in time, for a `LinearCell`, and `Newton` for any cell, if it contracts; `CuDNN` is NVIDIA's own LSTM; `Fused`
is one kernel on a TPU; `Scan` is the reference; it and `Newton` support forward-mode differentiation. A new engine is
one new file and one name in `ENGINES`.

The tests ask for it in `ENGINES` (`tests/test_cell_contract.py`).
"""

from rnn_jax.engines.associative import Associative
from rnn_jax.engines.checkpointed import Checkpointed
from rnn_jax.engines.cudnn import CuDNN
from rnn_jax.engines.engine import Engine
from rnn_jax.engines.fused import Fused
from rnn_jax.engines.hoisted import Hoisted
from rnn_jax.engines.newton import Newton
from rnn_jax.engines.scan import Scan

ENGINES: dict[str, type] = {
    engine.__name__: engine for engine in (Associative, Checkpointed, CuDNN, Fused, Hoisted, Newton, Scan)
}

__all__ = ["ENGINES", "Associative", "Checkpointed", "CuDNN", "Engine", "Fused", "Hoisted", "Newton", "Scan"]
