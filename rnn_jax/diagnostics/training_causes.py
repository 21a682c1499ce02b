"""What can be wrong with a training: one function a cause, of the evidence alone.

Each gives a finding, or None where there is nothing or the evidence that it needs is not known.
"""

import math
from typing import NamedTuple

import numpy as np

from rnn_jax.diagnostics import findings
from rnn_jax.diagnostics.evidence import Evidence
from rnn_jax.diagnostics.findings import Finding, Severity
from rnn_jax.diagnostics.lag_gradients import fit_decay

# Two decades more at the longest lag: a step that is right for the last input is a hundredfold too long for the first.
# Healthy: up to 3 (chrono biases, trained); 74 in an IRNN that solves temporal order behind clipping. Over training
# steps a growth tells nothing by itself (leaving a plateau raises the gradient a thousandfold), only with a loss that
# rises from it.
GROWN = 100.0
# In sound runs, and in runs that are merely stuck, the running median of batches of 20 rises by 1.8 at the most.
RISEN = 3.0
WINDOW = 9  # losses of which the running median is taken: a spike of four steps is no rise
ALWAYS = 0.95  # the share of steps that are clipped where clipping is no exception any more
AT_BASELINE = 1.2  # times the baseline: an answer that ignores the past need not be the best of that kind


def exploding(e: Evidence) -> Finding | None:
    """A gradient that grows back in time, or a hundredfold from one training step to the next."""
    for look, since in ((e.before, 0), (e.now, e.steps)):
        if look.reach is None or not 0 < look.reach[0] < math.inf:
            continue
        finite = np.isfinite(look.reach)
        reach = look.reach if finite.all() else look.reach[: int(np.argmin(finite))]
        growth, slope = reach[-1] / reach[0], fit_decay(reach).slope
        overflown = len(reach) < len(look.reach) and slope > 0
        if growth < GROWN and not overflown:
            continue
        if look is e.before and findings.learnt(e):
            continue  # it has been unlearnt, or clipped away
        told = f"gradient {growth:.1e} times as large at lag {len(reach) - 1} as at lag 0"
        if slope > 0:
            told += f": e-fold every {1 / slope:.2g} steps back"
        if overflown:
            told += f", and not finite beyond lag {len(reach) - 1}"
        if e.steps:
            told += " (after training)" if since else " (before training)"
        return _explosion(e, since, told, Severity.BROKEN if overflown else findings.grade(e))
    return _cliff(e)


def _cliff(e: Evidence) -> Finding | None:
    """A gradient far beyond its usual size from which the loss has risen, or that is not finite."""
    if e.loss is None or e.grad_norm is None:
        return None
    last = e.sound_steps
    if last < e.steps and e.loss[last] < RISEN * max(float(np.median(e.loss[: last + 1])), e.baseline or 0.0):
        step = last  # the gradient is not finite, the loss is what it was
    elif (rise := _rise(e)) is not None and rise.cliff is not None:
        step = rise.cliff
    else:
        return None
    usual = f", {np.median(e.grad_norm[:step]):.2g} in the median before" if step else ""
    told = f"gradient norm {e.grad_norm[step]:.2g} at step {step + 1}{usual}"
    if e.grad_norms:
        sizes = {name: np.nan_to_num(norms[step], nan=np.inf) for name, norms in e.grad_norms.items()}
        told += f", largest in {max(sizes, key=lambda name: sizes[name])}"
    return _explosion(e, step, f"{told}; loss {e.loss[step]:.2g} then", findings.grade(e))


def _explosion(e: Evidence, since: int, told: str, severity: Severity) -> Finding:
    clip = f"a lower limit than {e.clip}" if e.clip else "Trainer(clip=training.ClipByNorm(1.0))"
    return Finding(
        "exploding gradient",
        severity,
        since,
        told,
        f"{clip}; recurrent_init=initializers.Orthogonal(1.0) or ScaledIdentity(1.0), a gain not above 1",
    )


class _Rise(NamedTuple):
    """Where the loss rises to `RISEN` times the level it had come down to, or the baseline where that is larger."""

    step: int
    level: float
    loss: float
    cliff: int | None  # the step of a gradient beyond the usual from which it rose


def _rise(e: Evidence) -> _Rise | None:
    if e.loss is None or not e.sound_steps:
        return None
    losses = e.loss[: e.sound_steps]
    if e.sound_steps < e.steps:
        # Nothing comes after the loss that diverged: it stands for the rest.
        losses = np.append(losses, np.full(WINDOW, np.nan_to_num(e.loss[e.sound_steps], nan=np.inf)))
    level = float(losses[0])
    for start in range(1, len(losses) - WINDOW + 1):
        window = losses[start : start + WINDOW]
        limit, loss = RISEN * max(level, e.baseline or 0.0), float(np.median(window))
        if loss > limit:
            step = start + int(np.argmax(window > limit))
            return _Rise(step, level, loss, _cliff_before(e, step))
        level = min(level, loss)
    return None


def _cliff_before(e: Evidence, step: int) -> int | None:
    """The largest of the last gradients before a step, where it is beyond the usual by `GROWN`."""
    first = step - WINDOW
    if e.grad_norm is None or first < WINDOW:  # too few to know what is usual
        return None
    largest = first + int(np.argmax(e.grad_norm[first:step]))
    return largest if e.grad_norm[largest] > GROWN * np.median(e.grad_norm[:first]) else None


def learning_rate(e: Evidence) -> Finding | None:
    """A loss that rises from steps whose gradients were the usual."""
    rise = _rise(e)
    if rise is None or rise.cliff is not None:
        return None
    before = "" if e.grad_norm is None else f"; gradient norm {e.grad_norm[rise.step - 1]:.2g} the step before"
    return Finding(
        "learning rate too high",
        findings.grade(e),
        rise.step,
        f"loss {rise.loss:.2g} from step {rise.step + 1} on (median of {WINDOW}), after {rise.level:.2g}{before}",
        f"a tenth of the learning rate{f' of {e.optimizer}' if e.optimizer else ''}",
    )


def clipping(e: Evidence) -> Finding | None:
    """Clipping that is no exception but the rule."""
    if e.clipped is None or e.sound_steps < findings.ENOUGH_STEPS:
        return None
    share = float(np.mean(e.clipped[: e.sound_steps]))
    if share < ALWAYS:
        return None
    norm = None if e.grad_norm is None else float(np.median(e.grad_norm[: e.sound_steps]))
    usual = "" if norm is None else f"; the gradient's norm is {norm:.2g} in the median"
    limit = "a larger limit" if norm is None else f"clip=training.ClipByNorm({2 * norm:.2g}), twice the usual norm"
    # Adam makes good for it; where it does not, the loss has not even come down to the baseline.
    slow = (
        not findings.learnt(e)
        and e.baseline is not None
        and float(np.median(findings.quarters(e)[-1])) > AT_BASELINE * e.baseline
    )
    return Finding(
        "clipping always active",
        Severity.BROKEN if slow else Severity.WARNING,
        findings.ENOUGH_STEPS,
        f"{e.clip or 'clipping'} changed {share:.0%} of the gradients{usual}: every step is of one size",
        f"{limit}, or none",
    )


def plateau(e: Evidence) -> Finding | None:
    """A loss that has come down to what ignoring the past gives, and no further."""
    if (
        e.loss is None
        or e.baseline is None
        or e.sound_steps < max(e.steps, findings.ENOUGH_STEPS)
        or findings.learnt(e)
    ):
        return None
    third, last = (float(np.median(quarter)) / e.baseline for quarter in findings.quarters(e)[2:])
    if not all(findings.LEARNT <= level <= AT_BASELINE for level in (third, last)):
        return None
    return Finding(
        "memoryless plateau",
        Severity.WARNING,
        e.steps,
        f"loss {last * e.baseline:.3g}, {last:.2f} of the baseline {e.baseline:.3g} that ignoring the past gives, "
        f"in the whole second half of {e.steps} steps",
        "more steps, more units, or a shorter task first (a smaller length)",
    )


def diverged(e: Evidence) -> Finding | None:
    """A training step whose loss or gradient was not finite."""
    if e.loss is None or e.sound_steps == e.steps:
        return None
    step = e.sound_steps
    told = f"loss {e.loss[step]:.3g}"
    if e.grad_norm is not None:
        told += f", gradient norm {e.grad_norm[step]:.3g}"
    bad = [name for name, norms in (e.grad_norms or {}).items() if not np.isfinite(norms[step])]
    if bad:
        told += f", not finite in {', '.join(bad)}"
    if step and e.grad_norm is not None:
        told += f"; the step before {e.grad_norm[step - 1]:.3g}"
    return Finding(
        "diverged",
        Severity.BROKEN,
        step,
        f"at step {step + 1}: {told}",
        "Trainer(clip=training.ClipByNorm(1.0)) and a tenth of the learning rate; "
        "jax.config.update('jax_debug_nans', True) stops at the operation",
    )
