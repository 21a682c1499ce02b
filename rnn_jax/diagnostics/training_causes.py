"""Checks of a training: each returns a finding, or None if there is none or the evidence it needs is unknown."""

import math
from typing import NamedTuple

import numpy as np

from rnn_jax import trees
from rnn_jax.diagnostics import findings
from rnn_jax.diagnostics.evidence import Evidence
from rnn_jax.diagnostics.findings import Finding, Severity
from rnn_jax.diagnostics.lag_gradients import fit_decay

# Growth of the gradient, over the lags or from one training step to the next, that counts as an explosion: a step that
# is right for the last input is a hundred times too long for the first one. In healthy runs the growth over the lags is
# at most 3 (chrono biases, trained), and 74 in an IRNN that solves temporal order with clipping. Growth over training
# steps alone shows nothing (leaving a plateau raises the gradient a thousandfold); the loss must rise from it.
GROWTH = 100.0
# In healthy and in merely stuck runs the running median of the losses of batches of 20 rises by at most 1.8.
RISE = 3.0
WINDOW = 9  # steps of the running median of the losses: a spike of four steps is no rise
ALWAYS = 0.95  # share of clipped steps from which clipping is the rule, not the exception
AT_BASELINE = 1.2  # multiple of the baseline: an answer that ignores the past need not be the best of its kind


def exploding(e: Evidence) -> Finding | None:
    """Checks for a gradient that grows with the lag, or a hundredfold from one training step to the next."""
    for snapshot, since in ((e.before, 0), (e.now, e.steps)):
        if snapshot.reach is None or not 0 < snapshot.reach[0] < math.inf:
            continue
        finding = _growth_over_lags(e, snapshot.reach, since)
        # A growth before training from which the network has learned was unlearned or clipped.
        if finding is not None and not (snapshot is e.before and findings.improved(e)):
            return finding
    return _explosion_in_training(e)


def _growth_over_lags(e: Evidence, norms: np.ndarray, since: int) -> Finding | None:
    finite = np.isfinite(norms)
    reach = norms if finite.all() else norms[: int(np.argmin(finite))]
    growth, slope = reach[-1] / reach[0], fit_decay(reach).slope
    overflow = len(reach) < len(norms) and slope > 0
    if growth < GROWTH and not overflow:
        return None
    evidence = f"gradient {growth:.1e} times as large at lag {len(reach) - 1} as at lag 0"
    if slope > 0:
        evidence += f": e-fold every {1 / slope:.2g} steps back"
    if overflow:
        evidence += f", and not finite beyond lag {len(reach) - 1}"
    if e.steps:
        evidence += " (after training)" if since else " (before training)"
    return _explosion(e, since, evidence, Severity.BROKEN if overflow else findings.severity(e))


def _explosion_in_training(e: Evidence) -> Finding | None:
    """Checks for a gradient that is not finite, or far above its usual size with a loss that rises from it."""
    if e.loss is None or e.grad_norm is None:
        return None
    last = e.finite_steps
    size = e.grad_norm
    if e.grad_norms and _only_update_not_finite(e):
        size = np.linalg.norm(np.array(list(e.grad_norms.values()), np.float64), axis=0)
        if not last or size[last] < GROWTH * np.median(size[:last]):
            return None
    if last < e.steps and e.loss[last] < _risen(e, float(np.median(e.loss[: last + 1]))):
        step = last  # the gradient is not finite while the loss has not risen
    elif (rise := _rise(e)) is not None and rise.large_gradient is not None:
        step = rise.large_gradient
    else:
        return None
    usual = f", {np.median(size[:step]):.2g} in the median before" if step else ""
    evidence = f"gradient norm {size[step]:.2g} at step {step + 1}{usual}"
    if e.grad_norms:
        sizes = {name: np.nan_to_num(norms[step], nan=np.inf) for name, norms in e.grad_norms.items()}
        evidence += f", largest in {max(sizes, key=lambda name: sizes[name])}"
    return _explosion(e, step, f"{evidence}; loss {e.loss[step]:.2g} then", findings.severity(e))


def _only_update_not_finite(e: Evidence) -> bool:
    """Whether training ended at finite loss and gradients: their norm is NaN then, but not that of a parameter."""
    step = e.finite_steps
    if e.loss is None or step == e.steps or not e.grad_norms:
        return False
    return bool(np.isfinite([e.loss[step], *(norms[step] for norms in e.grad_norms.values())]).all())


def _explosion(e: Evidence, since: int, evidence: str, severity: Severity) -> Finding:
    clip = f"a lower limit than {e.clip}" if e.clip else "Trainer(clip=training.ClipByNorm(1.0))"
    initial = findings.for_cell(
        e,
        "recurrent_init=initializers.Orthogonal(1.0) or ScaledIdentity(1.0), a gain not above 1",
        "initial recurrent weights of a gain not above 1 (diagnostics.spectral_radius)",
    )
    return Finding(
        "exploding gradient",
        severity,
        since,
        evidence,
        f"{clip}; {initial}",
    )


class _Rise(NamedTuple):
    """A rise of the loss from its lowest running median, or from the baseline if that is larger."""

    step: int
    level: float  # lowest running median before
    loss: float  # running median after
    large_gradient: int | None  # step of an unusually large gradient just before


def _rise(e: Evidence) -> _Rise | None:
    if e.loss is None or not e.finite_steps:
        return None
    losses = e.loss[: e.finite_steps]
    if e.finite_steps < e.steps:
        # The curve ends with the loss that diverged: repeat it, so that a window can hold it.
        losses = np.append(losses, np.full(WINDOW, np.nan_to_num(e.loss[e.finite_steps], nan=np.inf)))
    level = float(losses[0])
    for start in range(1, len(losses) - WINDOW + 1):
        window = losses[start : start + WINDOW]
        limit, loss = _risen(e, level), float(np.median(window))
        if loss > limit:
            step = start + int(np.argmax(window > limit))
            return _Rise(step, level, loss, _large_gradient_before(e, step))
        level = min(level, loss)
    return None


def _risen(e: Evidence, level: float) -> float:
    """Returns the loss above which it has risen from a level."""
    assert e.loss is not None
    if np.any(e.loss < 0):  # -log of a density, whose multiples mean nothing: the density is `RISE` times smaller
        return level + math.log(RISE)
    return RISE * max(level, e.baseline or 0.0)


def _large_gradient_before(e: Evidence, step: int) -> int | None:
    """Returns the step of the largest of the last gradients, if it is `GROWTH` times the usual one."""
    first = step - WINDOW
    if e.grad_norm is None or first < WINDOW:  # with fewer steps the usual size is unknown
        return None
    largest = first + int(np.argmax(e.grad_norm[first:step]))
    return largest if e.grad_norm[largest] > GROWTH * np.median(e.grad_norm[:first]) else None


def learning_rate(e: Evidence) -> Finding | None:
    """Checks for a loss that rises although gradients had their usual size."""
    rise = _rise(e)
    if rise is None or rise.large_gradient is not None:
        return None
    before = "" if e.grad_norm is None else f"; gradient norm {e.grad_norm[rise.step - 1]:.2g} the step before"
    return Finding(
        "learning rate too high",
        findings.severity(e),
        rise.step,
        f"loss {rise.loss:.2g} from step {rise.step + 1} on (median of {WINDOW}), after {rise.level:.2g}{before}",
        f"a tenth of the learning rate{f' of {e.optimizer}' if e.optimizer else ''}",
    )


def clipping(e: Evidence) -> Finding | None:
    """Checks whether nearly every gradient is clipped."""
    if e.clipped is None or e.finite_steps < findings.ENOUGH_STEPS:
        return None
    share = float(np.mean(e.clipped[: e.finite_steps]))
    if share < ALWAYS:
        return None
    norm = None if e.grad_norm is None else float(np.median(e.grad_norm[: e.finite_steps]))
    usual = "" if norm is None else f"; the gradient's norm is {norm:.2g} in the median"
    limit = "a larger limit" if norm is None else f"clip=training.ClipByNorm({2 * norm:.2g}), twice the usual norm"
    # Adam compensates for it; without Adam the loss may not even have come down to the baseline.
    slow = (
        not findings.improved(e)
        and e.baseline is not None
        and float(np.median(findings.loss_quarters(e)[-1])) > AT_BASELINE * e.baseline
    )
    return Finding(
        "clipping always active",
        Severity.BROKEN if slow else Severity.WARNING,
        findings.ENOUGH_STEPS,
        f"{e.clip or 'clipping'} changed {share:.0%} of the gradients{usual}: every step is of one size",
        f"{limit}, or none",
    )


def plateau(e: Evidence) -> Finding | None:
    """Checks for a loss that settles at the baseline, the loss of an answer that ignores the past."""
    finished = e.finite_steps >= max(e.steps, findings.ENOUGH_STEPS)
    if e.loss is None or e.baseline is None or not finished or findings.improved(e):
        return None
    third, last = (float(np.median(quarter)) / e.baseline for quarter in findings.loss_quarters(e)[2:])
    if not all(findings.IMPROVED <= level <= AT_BASELINE for level in (third, last)):
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
    """Checks for a training step whose loss or gradient is not finite."""
    if e.loss is None or e.finite_steps == e.steps:
        return None
    step = e.finite_steps
    evidence = f"loss {e.loss[step]:.3g}"
    if e.grad_norm is not None:
        evidence += f", gradient norm {e.grad_norm[step]:.3g}"
    bad = [name for name, norms in (e.grad_norms or {}).items() if not np.isfinite(norms[step])]
    if _only_update_not_finite(e):
        evidence = f"loss {e.loss[step]:.3g}, gradient finite, but not the updated parameters or optimizer state"
    if bad:
        evidence += f", not finite in {trees.listed(bad)}"
    if step and e.grad_norm is not None:
        evidence += f"; the step before {e.grad_norm[step - 1]:.3g}"
    return Finding(
        "diverged",
        Severity.BROKEN,
        step,
        f"at step {step + 1}: {evidence}",
        "Trainer(clip=training.ClipByNorm(1.0)) and a tenth of the learning rate; "
        "jax.config.update('jax_debug_nans', True) stops at the operation",
    )
