"""The doctor: names the problems of a training run, with their evidence and remedies.

Causes imply one another: the gradient of a saturated network vanishes, and a network without a gradient stays on the
plateau. A finding follows from another one that can cause it and that holds no later; of two that hold from the same
step on, the first in `CHECKS` is the cause.
"""

import dataclasses
from collections.abc import Callable

from rnn_jax.diagnostics import network_causes, training_causes
from rnn_jax.diagnostics.evidence import Evidence
from rnn_jax.diagnostics.findings import Finding

# A new check is a function and a line here; causes come before their effects.
CHECKS: tuple[Callable[[Evidence], Finding | None], ...] = (
    network_causes.bad_numbers,
    training_causes.exploding,
    training_causes.learning_rate,
    network_causes.dead_relu,
    network_causes.saturation,
    network_causes.vanishing,
    network_causes.vanishing_before_training,
    training_causes.clipping,
    training_causes.plateau,
    training_causes.diverged,
    network_causes.sequential,
)

_UNSTABLE = (
    "exploding gradient",
    "learning rate too high",
    "dead ReLU",
    "saturation",
    "vanishing gradient",
    "clipping always active",
    "memoryless plateau",
    "diverged",
)
# The findings that a cause can bring about.
EFFECTS: dict[str, tuple[str, ...]] = {
    "bad numbers": _UNSTABLE,
    "exploding gradient": _UNSTABLE,
    "learning rate too high": _UNSTABLE,
    "dead ReLU": ("saturation", "vanishing gradient", "memoryless plateau"),
    "saturation": ("vanishing gradient", "memoryless plateau"),
    "vanishing gradient": ("memoryless plateau",),
}


def doctor(evidence: Evidence) -> list[Finding]:
    """Diagnoses one seed: returns its problems, causes before their effects.

    A seed that has solved its task is healthy, whatever its gates and gradients are, unless a step of its training was
    not finite. A check whose evidence is None finds nothing, so an empty list means "healthy" only if
    `evidence.has_measurements`; of a baseline without them nothing is known.

    >>> import jax
    >>> from rnn_jax import VanillaRNN, diagnostics, initializers, models, tasks
    >>> cell = VanillaRNN(2, 4, recurrent_init=initializers.Normal(0.1))
    >>> model, task = models.ReadoutModel(cell, 1), tasks.Adding(length=20)
    >>> params, batch = model.init(jax.random.key(0)), task.sample(jax.random.key(1), 8)
    >>> [finding.cause for finding in diagnostics.doctor(diagnostics.examine(model, task, params, batch))]
    ['vanishing gradient']

    Args:
      evidence: measurements of a run on disk (`experiments.common.evidence.read`) or of a live model (`examine`).

    Returns:
      Findings: first those that follow from no other, the most severe ones first; then those that follow from them.
    """
    if evidence.solved and evidence.finite_steps == evidence.steps:
        return []
    findings = [finding for check in CHECKS if (finding := check(evidence)) is not None]
    findings.sort(key=lambda finding: finding.since)  # stable: findings of the same step keep their order
    for index, finding in enumerate(findings):
        causes = (f.cause for f in findings[:index] if finding.cause in EFFECTS.get(f.cause, ()) and f.follows is None)
        findings[index] = dataclasses.replace(finding, follows=next(causes, None))
    graded = [
        dataclasses.replace(f, severity=max(g.severity for g in findings if f.cause in (g.cause, g.follows)))
        for f in findings
    ]
    return sorted(graded, key=lambda finding: (finding.follows is not None, -finding.severity))
