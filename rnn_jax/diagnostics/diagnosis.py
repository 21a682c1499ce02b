"""The doctor: names what is wrong with a run, with the evidence and the remedy.

Causes imply one another: a saturated network's gradient vanishes, and a network without a gradient stays on the
plateau. What comes first explains the rest: a finding follows another that can bring it about and held no later; of two
that held from the same step on, the one that stands first in `CHECKS` is the cause.
"""

import dataclasses
from collections.abc import Callable

from rnn_jax.diagnostics import network_causes, training_causes
from rnn_jax.diagnostics.evidence import Evidence
from rnn_jax.diagnostics.findings import Finding

# A new cause is a function and a line here, causes before their effects.
CHECKS: tuple[Callable[[Evidence], Finding | None], ...] = (
    network_causes.bad_numbers,
    training_causes.exploding,
    training_causes.learning_rate,
    network_causes.dead_relu,
    network_causes.saturation,
    network_causes.vanishing,
    network_causes.vanishing_at_first,
    training_causes.clipping,
    training_causes.plateau,
    training_causes.diverged,
)

# What a cause brings about.
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
EFFECTS: dict[str, tuple[str, ...]] = {
    "bad numbers": _UNSTABLE,
    "exploding gradient": _UNSTABLE,
    "learning rate too high": _UNSTABLE,
    "dead ReLU": ("saturation", "vanishing gradient", "memoryless plateau"),
    "saturation": ("vanishing gradient", "memoryless plateau"),
    "vanishing gradient": ("memoryless plateau",),
}


def doctor(evidence: Evidence) -> list[Finding]:
    """What is wrong with one seed.

    A seed that has solved its task has nothing wrong with it, whatever its gates and gradients look like; but that it
    diverged on the way is told.

    Args:
      evidence: of a run (`run_files.read`) or of a live model (`examine`). Checks whose evidence is not
        known do not speak: an empty answer says that nothing was found in what was there.

    Returns:
      The findings: first those that nothing else explains, the gravest first, then what follows from them.
    """
    if evidence.solved and evidence.sound_steps == evidence.steps:
        return []
    found = [finding for check in CHECKS if (finding := check(evidence)) is not None]
    found.sort(key=lambda finding: finding.since)  # stable: what holds from the same step on stays in order
    for index, finding in enumerate(found):
        earlier = (f.cause for f in found[:index] if finding.cause in EFFECTS.get(f.cause, ()) and f.follows is None)
        found[index] = dataclasses.replace(finding, follows=next(earlier, None))
    graded = [
        dataclasses.replace(f, severity=max(g.severity for g in found if f.cause in (g.cause, g.follows)))
        for f in found
    ]
    return sorted(graded, key=lambda finding: (finding.follows is not None, -finding.severity))
