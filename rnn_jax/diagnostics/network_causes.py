"""Checks of a network: each returns a finding, or None if there is none or the evidence it needs is unknown."""

import numpy as np

from rnn_jax.diagnostics import findings
from rnn_jax.diagnostics.evidence import Evidence, Snapshot
from rnn_jax.diagnostics.findings import Finding, Severity
from rnn_jax.diagnostics.horizon import effective_horizon

# Before training the reach predicts little: a GRU that keeps 2e-12 at lag 99 learns the adding problem, through its
# nearer marks. A warning is due only below float32's rounding, when a far step does not change the sum over steps.
ROUNDING = float(np.finfo(np.float32).eps)
# A value at its bound passes on at most a tenth of its gradient; if half of the values are, two steps lose a decade.
SATURATED = 0.5
# A forget gate of bias -3 has about half of its values within 0.05 of zero, one of bias 1 or a chrono bias under 5 %.
CLOSED = 1 / 3
# An IRNN on positive inputs starts with about half of its units dead, and learns.
DEAD = 0.9


def bad_numbers(e: Evidence) -> Finding | None:
    """Checks for NaN and infinite numbers in parameters and inputs."""
    for snapshot, since in ((e.before, 0), (e.now, e.steps)):
        counts = {name: count for name, count in (snapshot.not_finite or {}).items() if count}
        if counts:
            names = ", ".join(f"{name} ({count})" for name, count in counts.items())
            return Finding(
                "bad numbers",
                Severity.BROKEN,
                since,
                f"numbers that are NaN or infinite, {'after' if since else 'before'} any training step: {names}",
                "check their source: the cell's init, a file of weights, or the data (inputs); "
                "jax.config.update('jax_debug_nans', True) stops at the operation",
            )
    return None


def dead_relu(e: Evidence) -> Finding | None:
    """Checks whether nearly all rectified units are always inactive."""

    def dead(snapshot: Snapshot) -> float:
        shares = [float(s.dead) for name, s in (snapshot.saturation or {}).items() if name.startswith("max")]
        return max(shares, default=0)

    if dead(e.now) < DEAD:
        return None
    since = findings.holds_since(e, dead(e.before) >= DEAD)
    earlier = f"; {dead(e.before):.0%} before training" if e.before.saturation and since else ""
    remedy = "a lower learning rate and clipping: they died in training" if since else "a bias that is not negative"
    initial = findings.for_cell(
        e,
        "recurrent_init=initializers.ScaledIdentity(1.0), input_init=initializers.Normal(0.001)",
        "recurrent weights that start as the identity, and small input weights",
    )
    return Finding(
        "dead ReLU",
        Severity.BROKEN,
        since,
        f"{dead(e.now):.0%} of the units are active at no step of any sequence{earlier}",
        f"{remedy}; {initial}; or tanh",
    )


def saturation(e: Evidence) -> Finding | None:
    """Checks for closed gates and activations at their bounds, if the gradient at the dependency is lost as well.

    A gate at its bound is not a problem by itself: chrono biases keep input gates nearly closed and forget gates open.
    """
    if not findings.gradient_lost(e, e.now):
        return None
    at_bounds = _at_bounds(e.now)
    if not at_bounds:
        return None
    since = findings.holds_since(e, bool(_at_bounds(e.before)) and findings.gradient_lost(e, e.before))
    if since:
        normalised = findings.for_cell(e, "LayerNormLSTM, LayerNormGRU", "layer normalisation of what enters its gates")
        remedy = f"it came in training: a lower learning rate, or {normalised}"
    elif any(name.startswith("logistic") for name in at_bounds):
        remedy = findings.for_cell(
            e, f"a higher gate bias: {findings.gated_cells(e)}", "higher initial biases of gates that keep its state"
        )
    else:
        options = "input_init=initializers.LecunNormal(), recurrent_init=initializers.Orthogonal(1.0)"
        initial = findings.for_cell(e, options, "initial weights of about 1 / sqrt(inputs)")
        remedy = f"smaller weights, or inputs of unit size: {initial}"
    evidence = f"{', '.join(at_bounds.values())}; {findings.describe_kept_share(e, e.now)}"
    return Finding("saturation", findings.severity(e), since, evidence, remedy)


def _at_bounds(snapshot: Snapshot) -> dict[str, str]:
    """Returns a description of each nonlinearity with too many values at a bound, by its name."""
    descriptions = {}
    for name, s in (snapshot.saturation or {}).items():
        if name.startswith("logistic") and s.low >= CLOSED:
            descriptions[name] = f"{s.low:.0%} of the values of {name} closed (under 0.05)"
        elif name.startswith("tanh") and s.low + s.high >= SATURATED:
            descriptions[name] = f"{s.low + s.high:.0%} of the values of {name} at a bound (within 0.05)"
    return descriptions


def vanishing(e: Evidence) -> Finding | None:
    """Checks whether the gradient reaches back over the task's dependency."""
    share = findings.kept_share(e, e.now)
    if share is None or share >= (findings.LOST if e.steps >= findings.ENOUGH_STEPS else ROUNDING):
        return None
    since = findings.holds_since(e, findings.gradient_lost(e, e.before))
    return _vanishing(e, e.now, "vanishing gradient", findings.severity(e), since)


def vanishing_before_training(e: Evidence) -> Finding | None:
    """Checks whether the gradient, which reaches back after training, did not do so before."""
    share, now = findings.kept_share(e, e.before), findings.kept_share(e, e.now)
    if share is None or share >= ROUNDING or now is None or now < findings.LOST:
        return None
    return _vanishing(e, e.before, "vanishing before training", Severity.WARNING, 0)


def sequential(e: Evidence) -> Finding | None:
    """Checks for a network trained by `Newton` whose steps the loop has to run all the same."""
    p = e.now.parallelizability
    if p is None or not p.looped:
        return None
    remedy = "the default engine, BPTT(Hoisted()), or recurrent weights of a smaller gain"
    return Finding("sequential dynamics", Severity.WARNING, e.steps, p.verdict, remedy)


def _vanishing(e: Evidence, snapshot: Snapshot, cause: str, severity: Severity, since: int) -> Finding:
    assert snapshot.reach is not None
    return Finding(
        cause,
        severity,
        since,
        f"{findings.describe_kept_share(e, snapshot)}, which the task needs; "
        f"under {findings.LOST:.0%} beyond lag {effective_horizon(snapshot.reach, findings.LOST):.0f}",
        findings.for_cell(
            e,
            f"{findings.gated_cells(e)}; of a ReLU network recurrent_init=initializers.ScaledIdentity(1.0)",
            "initial weights and gates with which a step keeps its state (diagnostics.spectral_radius of 1); compare "
            f"{findings.gated_cells(e)}",
        ),
    )
