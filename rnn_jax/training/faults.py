"""What NaN and infinity have done to each seed, as messages; and the way back with `RollBack`."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax.seeds import fetch
from rnn_jax.training.history import divergence, join
from rnn_jax.training.not_finite import RollBack
from rnn_jax.training.run_state import RunState
from rnn_jax.training.step import StepMetrics, TrainState


class Faults(NamedTuple):
    """The counters of a train state that record NaN and infinity; NumPy arrays [seeds]."""

    diverged: np.ndarray
    skipped: np.ndarray
    rolled_back: np.ndarray
    rate: np.ndarray

    @classmethod
    def read(cls, state: TrainState) -> "Faults":
        return cls(*fetch([getattr(state, name) for name in cls._fields]))

    def messages_since(
        self, earlier: "Faults", steps: int, chunks: Sequence[StepMetrics], good_loss: np.ndarray
    ) -> list[str]:
        """Returns a message for each seed with a new fault.

        Args:
          earlier: faults at the last log point.
          steps: optimization steps done.
          chunks: metrics of all steps so far.
          good_loss: losses [seeds] of the states that `RollBack` goes back to.
        """
        messages = []
        for seed in np.flatnonzero(self.skipped > earlier.skipped):
            if self.diverged[seed]:
                messages.append(f"{divergence(join(chunks), int(seed))}; seeds that continue: {np.sum(~self.diverged)}")
            elif self.rolled_back[seed] > earlier.rolled_back[seed]:
                messages.append(
                    f"seed {seed}: NaN or infinity before step {steps:,}, rolled back to a loss of "
                    f"{good_loss[seed]:.3g}, at {self.rate[seed]:.3g} of the learning rate"
                )
            else:
                total = self.skipped[seed]
                new = total - earlier.skipped[seed]
                messages.append(f"seed {seed}: {new} updates skipped before step {steps:,}, {total} in total")
        return messages


@jax.jit
def select(which: jax.Array, new: Any, old: Any) -> Any:
    """Returns the new arrays for each seed for which `which` [seeds] is true, the old ones for the others."""
    return jax.tree.map(lambda n, o: jnp.where(which.reshape(-1, *[1] * (n.ndim - 1)), n, o), new, old)


def roll_back(policy: RollBack, good: RunState, after: RunState) -> RunState:
    """Puts each seed that has diverged back to its good state, at a smaller learning rate than its last one."""
    now = after.training
    back = now.diverged & (now.rolled_back < policy.limit)
    if not fetch(back).any():
        return after
    state = select(back, good, after)
    return state._replace(
        training=state.training._replace(
            rate=jnp.where(back, now.rate * policy.factor, now.rate),
            skipped=now.skipped,
            rolled_back=jnp.where(back, now.rolled_back + 1, now.rolled_back),
        )
    )
