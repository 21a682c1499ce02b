"""A finding of the doctor, and questions about the evidence that several checks share."""

import dataclasses
import enum

import numpy as np

from rnn_jax.diagnostics.evidence import Evidence, Snapshot

# A loss below this share of the baseline is an improvement on it: on a test set of 2,560 sequences noise is about 3 %.
IMPROVED = 0.9
# Share of the gradient at lag 0 below which the gradient at the longest dependency counts as lost. Gated networks that
# solve the adding problem keep at least half of it; networks that stay at the baseline keep at most 1e-3.
LOST = 0.01
ENOUGH_STEPS = 50  # in fewer steps a loss does not settle


class Severity(enum.IntEnum):
    """Severity of a finding."""

    WARNING = 1  # the network may learn in spite of it
    BROKEN = 2  # the network has not learned, or cannot


@dataclasses.dataclass(frozen=True)
class Finding:
    """A problem, the evidence for it, and a remedy.

    Args:
      cause: name of the problem.
      severity: the larger one of its own severity and those of the findings that follow from it.
      since: training step from which it is known to hold, counted from 0.
      evidence: numbers that show it, as text.
      remedy: setting to change, as text.
      follows: cause of the finding that explains this one, whose remedy comes first; None if there is none.
    """

    cause: str
    severity: Severity
    since: int
    evidence: str
    remedy: str
    follows: str | None = None


def improved(e: Evidence) -> bool | None:
    """Returns whether the loss is below the baseline; None if unknown."""
    if e.baseline is None or (e.now.loss is None and not e.finite_steps):
        return None
    if e.finite_steps < e.steps:
        return False
    loss = e.now.loss if e.now.loss is not None else float(np.median(loss_quarters(e)[-1]))
    return bool(loss < IMPROVED * e.baseline)


def kept_share(e: Evidence, snapshot: Snapshot) -> float | None:
    """Returns the gradient at `needed_lag` as a share of that at lag 0; None if unknown."""
    if snapshot.reach is None or not np.isfinite(snapshot.reach[0]):
        return None
    share = snapshot.reach[needed_lag(e, snapshot)] / snapshot.reach[0] if snapshot.reach[0] > 0 else 0.0
    return None if np.isnan(share) else float(share)


def needed_lag(e: Evidence, snapshot: Snapshot) -> int:
    """Returns the lag of the task's dependency, or the longest lag measured if that is shorter."""
    assert snapshot.reach is not None
    longest = len(snapshot.reach) - 1
    return longest if e.dependency is None else min(e.dependency, longest)


def gradient_lost(e: Evidence, snapshot: Snapshot) -> bool:
    """Returns whether the gradient is known not to reach back over the task's dependency."""
    share = kept_share(e, snapshot)
    return share is not None and share < LOST


def holds_since(e: Evidence, held_before: bool) -> int:
    """Returns the step since which a problem of the current snapshot holds."""
    return 0 if held_before else e.steps


def severity(e: Evidence) -> Severity:
    """Returns BROKEN if a training has not improved on the baseline, else WARNING."""
    return Severity.BROKEN if e.steps >= ENOUGH_STEPS and not improved(e) else Severity.WARNING


def loss_quarters(e: Evidence) -> list[np.ndarray]:
    """Returns the losses of the finite steps, split into four."""
    assert e.loss is not None
    return np.array_split(e.loss[: e.finite_steps], 4)


def for_cell(e: Evidence, ours: str, any_cell: str) -> str:
    """Returns a remedy: the option of a cell of this package, or for a user-defined one, what to change in it."""
    return ours if e.user_cell is None else f"in {e.user_cell}: {any_cell}"


def gated_cells(e: Evidence) -> str:
    """Returns, for a remedy, the cells whose gates are initialised for the task's dependency."""
    chrono = f"initializers.Chrono({max(3, e.dependency or 100)})"
    return f"LSTM(forget_bias={chrono}) or GRU(update_bias={chrono})"


def describe_kept_share(e: Evidence, snapshot: Snapshot) -> str:
    """Returns `kept_share` as text."""
    share = kept_share(e, snapshot)
    return f"{f'{share:.0e}' if share else 'nothing'} of the gradient at lag 0 is left at lag {needed_lag(e, snapshot)}"
