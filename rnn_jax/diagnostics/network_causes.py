"""What can be wrong with a network: one function a cause, of the evidence alone.

Each gives a finding, or None where there is nothing or the evidence that it needs is not known.
"""

import numpy as np

from rnn_jax.diagnostics import findings
from rnn_jax.diagnostics.evidence import Evidence, Snapshot
from rnn_jax.diagnostics.findings import Finding, Severity
from rnn_jax.diagnostics.horizon import effective_horizon

# Before training the reach tells little: a GRU of 2e-12 at lag 99 learns adding, by way of its nearer marks. Under the
# rounding of float32 the far step does not change the sum over steps at all; that is worth a warning.
UNSEEN = float(np.finfo(np.float32).eps)
# A value at its bound passes on a tenth of its gradient at the most; where half of them are there, two steps lose a
# decade.
SATURATED = 0.5
# A forget gate of bias -3 has about half of its values within 0.05 of zero, one of bias 1 or a chrono bias under 5 %.
CLOSED = 1 / 3
# An IRNN starts on positive inputs with about half of its units dead, and learns.
DEAD = 0.9


def bad_numbers(e: Evidence) -> Finding | None:
    """NaN or infinite numbers in parameters or inputs."""
    for look, since in ((e.before, 0), (e.now, e.steps)):
        bad = {name: count for name, count in (look.not_finite or {}).items() if count}
        if bad:
            told = ", ".join(f"{name} ({count})" for name, count in bad.items())
            return Finding(
                "bad numbers",
                Severity.BROKEN,
                since,
                f"numbers that are NaN or infinite, {'after' if since else 'before'} any training step: {told}",
                "look at what made them: the cell's init, a file of weights, or the data (inputs); "
                "jax.config.update('jax_debug_nans', True) stops at the operation",
            )
    return None


def dead_relu(e: Evidence) -> Finding | None:
    """Rectified units of which nearly none is ever active."""

    def share(look: Snapshot) -> float:
        return max((float(s.dead) for name, s in (look.saturation or {}).items() if name.startswith("max")), default=0)

    if share(e.now) < DEAD:
        return None
    since = findings.since(e, share(e.before) >= DEAD)
    died = f"; {share(e.before):.0%} before training" if e.before.saturation and since else ""
    remedy = "a lower learning rate and clipping: they died in training" if since else "a bias that is not negative"
    return Finding(
        "dead ReLU",
        Severity.BROKEN,
        since,
        f"{share(e.now):.0%} of the units are active at no step of any sequence{died}",
        f"{remedy}; recurrent_init=initializers.ScaledIdentity(1.0), input_init=initializers.Normal(0.001); or tanh",
    )


def saturation(e: Evidence) -> Finding | None:
    """Gates that are closed, activations at their bounds, where the gradient at the dependency is lost as well.

    A gate at its bound is no fault by itself: chrono biases hold input gates nearly closed and forget gates open.
    """
    if not findings.lost(e, e.now):
        return None
    stuck = _stuck(e.now)
    if not stuck:
        return None
    since = findings.since(e, bool(_stuck(e.before)) and findings.lost(e, e.before))
    if since:
        remedy = "it came in training: a lower learning rate, or LayerNormLSTM, LayerNormGRU"
    elif any(name.startswith("logistic") for name in stuck):
        remedy = f"a higher gate bias: {findings.gated(e)}"
    else:
        remedy = (
            "smaller weights, or inputs of unit size: input_init=initializers.LecunNormal(), "
            "recurrent_init=initializers.Orthogonal(1.0)"
        )
    told = f"{', '.join(stuck.values())}; {findings.left(e, e.now)}"
    return Finding("saturation", findings.grade(e), since, told, remedy)


def _stuck(look: Snapshot) -> dict[str, str]:
    found = {}
    for name, s in (look.saturation or {}).items():
        if name.startswith("logistic") and s.low >= CLOSED:
            found[name] = f"{s.low:.0%} of the values of {name} closed (under 0.05)"
        elif name.startswith("tanh") and s.low + s.high >= SATURATED:
            found[name] = f"{s.low + s.high:.0%} of the values of {name} at a bound (within 0.05)"
    return found


def vanishing(e: Evidence) -> Finding | None:
    """A gradient that does not reach back over the task's dependency."""
    share = findings.kept(e, e.now)
    if share is None or share >= (findings.LOST if e.steps >= findings.ENOUGH_STEPS else UNSEEN):
        return None
    return _vanished(e, e.now, "vanishing gradient", findings.grade(e), findings.since(e, findings.lost(e, e.before)))


def vanishing_at_first(e: Evidence) -> Finding | None:
    """A gradient that did not reach back before training, and does after it: what has it cost?"""
    share, now = findings.kept(e, e.before), findings.kept(e, e.now)
    if share is None or share >= UNSEEN or now is None or now < findings.LOST:
        return None
    return _vanished(e, e.before, "vanishing before training", Severity.WARNING, 0)


def _vanished(e: Evidence, look: Snapshot, cause: str, severity: Severity, since: int) -> Finding:
    assert look.reach is not None
    return Finding(
        cause,
        severity,
        since,
        f"{findings.left(e, look)}, where the task needs it; "
        f"under {findings.LOST:.0%} beyond lag {effective_horizon(look.reach, findings.LOST):.0f}",
        f"{findings.gated(e)}; of a ReLU network recurrent_init=initializers.ScaledIdentity(1.0)",
    )
