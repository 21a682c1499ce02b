"""A finding of the doctor, and what several of its checks ask of the evidence."""

import dataclasses
import enum

import numpy as np

from rnn_jax.diagnostics.evidence import Evidence, Snapshot

# A loss under this share of the baseline is past it; the noise of a test set of 2,560 sequences is about 3 %.
LEARNT = 0.9
# The gradient at the longest dependency is lost where less than this share of it is left: half of it and more is what
# the gated networks that solve adding keep (BUILD_NOTES), 1e-3 and less what those keep that stay at the baseline.
LOST = 0.01
ENOUGH_STEPS = 50  # before which there is no telling what the loss settles at


class Severity(enum.IntEnum):
    """How bad a finding is."""

    WARNING = 1  # it may learn all the same
    BROKEN = 2  # it has not learnt, or cannot


@dataclasses.dataclass(frozen=True)
class Finding:
    """What is wrong, how one sees it, and what to do.

    Args:
      cause: its name.
      severity: the gravest of its own and of what follows from it.
      since: the training step by which it is known to hold, counted from 0.
      evidence: the numbers, in words.
      remedy: which knob to turn.
      follows: the cause, found too, that explains this one; its remedy comes first.
    """

    cause: str
    severity: Severity
    since: int
    evidence: str
    remedy: str
    follows: str | None = None


def learnt(e: Evidence) -> bool | None:
    """Whether the loss is past the baseline."""
    if e.baseline is None or (e.now.loss is None and not e.sound_steps):
        return None
    if e.sound_steps < e.steps:
        return False
    loss = e.now.loss if e.now.loss is not None else float(np.median(quarters(e)[-1]))
    return bool(loss < LEARNT * e.baseline)


def kept(e: Evidence, look: Snapshot) -> float | None:
    """The share of the gradient at lag 0 that is left at the dependency, or at the longest lag where that is nearer."""
    if look.reach is None or not np.isfinite(look.reach[0]):
        return None
    share = look.reach[lag(e, look)] / look.reach[0] if look.reach[0] > 0 else 0.0
    return None if np.isnan(share) else float(share)


def lag(e: Evidence, look: Snapshot) -> int:
    """The lag that the task needs, as far as it is measured."""
    assert look.reach is not None
    longest = len(look.reach) - 1
    return longest if e.dependency is None else min(e.dependency, longest)


def lost(e: Evidence, look: Snapshot) -> bool:
    """Whether the gradient does not reach back as far as the task needs it."""
    share = kept(e, look)
    return share is not None and share < LOST


def since(e: Evidence, held_before: bool) -> int:
    """Of what is seen now: from the start where it held before training too."""
    return 0 if held_before else e.steps


def grade(e: Evidence) -> Severity:
    """Broken where a training has not taken the loss past the baseline."""
    return Severity.BROKEN if e.steps >= ENOUGH_STEPS and not learnt(e) else Severity.WARNING


def quarters(e: Evidence) -> list[np.ndarray]:
    """The losses of the sound steps, in four."""
    assert e.loss is not None
    return np.array_split(e.loss[: e.sound_steps], 4)


def gated(e: Evidence) -> str:
    """The cell whose memory is made for the task's dependency."""
    chrono = f"initializers.Chrono({max(3, e.dependency or 100)})"
    return f"LSTM(forget_bias={chrono}) or GRU(update_bias={chrono})"


def left(e: Evidence, look: Snapshot) -> str:
    """The share that is left, in words."""
    share = kept(e, look)
    return f"{f'{share:.0e}' if share else 'nothing'} of the gradient at lag 0 is left at lag {lag(e, look)}"
