"""What NaN and infinity have done to each seed, told in sentences, and the way back by `RollBack`."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax.seeds import fetch
from rnn_jax.training.history import divergence, join
from rnn_jax.training.not_finite import RollBack
from rnn_jax.training.step import StepMetrics, TrainState, of_training


class Faults(NamedTuple):
    """What NaN and infinity have done to each seed; [seeds]."""

    diverged: np.ndarray
    left_out: np.ndarray
    rolled_back: np.ndarray
    rate: np.ndarray

    @classmethod
    def of(cls, state: Any) -> "Faults":
        return cls(*fetch([getattr(of_training(state), name) for name in cls._fields]))

    def since(self, earlier: "Faults", done: int, pieces: Sequence[StepMetrics], good_loss: np.ndarray) -> list[str]:
        """What is new after `done` steps, a sentence each; by the metrics so far, and the losses rolled back to."""
        found = []
        for seed in np.flatnonzero(self.left_out > earlier.left_out):
            if self.diverged[seed]:
                found.append(f"{divergence(join(pieces), int(seed))}; {np.sum(~self.diverged)} seeds go on")
            elif self.rolled_back[seed] > earlier.rolled_back[seed]:
                found.append(
                    f"seed {seed}: NaN or infinity before step {done:,}, back to where its loss was "
                    f"{good_loss[seed]:.3g}, at {self.rate[seed]:.3g} of the learning rate"
                )
            else:
                new = self.left_out[seed] - earlier.left_out[seed]
                found.append(f"seed {seed}: {new} updates left out before step {done:,}, {self.left_out[seed]} in all")
        return found


@jax.jit
def chosen(which: jax.Array, new: Any, old: Any) -> Any:
    """Of each seed the new arrays where `which` is true."""
    return jax.tree.map(lambda n, o: jnp.where(which.reshape(-1, *[1] * (n.ndim - 1)), n, o), new, old)


def roll_back(policy: RollBack, good: Any, after: Any) -> Any:
    """The states to go on with: of a seed that has diverged the good one, at a smaller rate than at last."""
    now = of_training(after)
    back = now.diverged & (now.rolled_back < policy.limit)
    if not fetch(back).any():
        return after
    state = chosen(back, good, after)
    of_seeds = of_training(state)._replace(
        rate=jnp.where(back, now.rate * policy.factor, now.rate),
        left_out=now.left_out,
        rolled_back=jnp.where(back, now.rolled_back + 1, now.rolled_back),
    )
    return of_seeds if isinstance(state, TrainState) else state._replace(training=of_seeds)
