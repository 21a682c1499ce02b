"""Why does a network not learn? Names the problems of a run, with their evidence and remedies.

A loss that does not fall has many possible causes: a gradient that vanishes or explodes, saturated or dead units, a
learning rate too high, clipping at every step. The doctor reads the records of a run, names the causes that its
numbers show, separates them from their effects, and proposes a remedy.

    python -m experiments.gradient_norms --workdir=runs/mine
    python -m experiments.doctor --workdir=runs/mine                            # four seconds

It reads the folder of any experiment that writes its records by `experiments.common.records`, and writes doctor.json
there: one flat record for every finding of every seed. Expected for the default run: no problem with the chrono LSTM
and GRU on adding; a vanishing gradient, and the plateau that follows from it, in the orthogonal tanh network.
"""

import dataclasses
from typing import Any

from rich.console import Console

from experiments.common import evidence
from experiments.common.command_line import writable
from experiments.doctor import findings
from rnn_jax import report
from rnn_jax.diagnostics import Finding, doctor

__all__ = ["Config", "run"]


@dataclasses.dataclass(frozen=True)
class Config:
    """The doctor has no settings."""


def run(config: Config, workdir: str) -> None:
    """Diagnoses every seed of every run in a folder, prints the findings and writes doctor.json.

    Args:
      config: settings; there are none.
      workdir: folder of a finished run.

    Raises:
      UserError: if `workdir` holds no finished run, or cannot be written.
    """
    del config
    runs = evidence.read(workdir)
    folder = writable(workdir)
    diagnoses = {name: {seed: doctor(e) for seed, e in seeds.items()} for name, seeds in runs.items()}
    unmeasured = [name for name, seeds in runs.items() if not any(e.has_measurements for e in seeds.values())]
    content = {
        "environment": report.environment(),
        "no_training_evidence": unmeasured,
        "results": _records(diagnoses),
    }
    report.write_json(folder / "doctor.json", content)
    findings.show(Console(), diagnoses, unmeasured)


def _records(diagnoses: dict[str, dict[int, list[Finding]]]) -> list[dict[str, Any]]:
    return [
        {"run": name, "seed": seed, **dataclasses.asdict(finding), "severity": finding.severity.name.lower()}
        for name, seeds in diagnoses.items()
        for seed, seed_findings in seeds.items()
        for finding in seed_findings
    ]
