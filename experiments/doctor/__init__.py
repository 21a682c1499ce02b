"""What is wrong with a run: vanishing, exploding, saturated, dead, too fast, clipped, stuck, or nothing?

A loss that stays where it is has many causes that look alike. The doctor reads what a run has left behind, names the
causes that its numbers show, tells them from what merely follows, and says which knob to turn.

    python -m experiments.gradient_norms --workdir=runs/mine
    python -m experiments.doctor --workdir=runs/mine                            # four seconds

It reads the folder of any experiment that keeps its records by `run_files`, and writes doctor.json there: one
flat record for every finding of every seed. To expect of the default run: nothing wrong with the chrono LSTM and GRU on
adding, a vanishing gradient and the plateau that follows from it in the orthogonal tanh network.
"""

import dataclasses
from typing import Any

from rich.console import Console

from experiments.common import run_files
from experiments.common.command_line import writable
from experiments.doctor import findings
from rnn_jax import report
from rnn_jax.diagnostics import Finding, doctor

__all__ = ["Config", "run"]


@dataclasses.dataclass(frozen=True)
class Config:
    """Nothing to set: all that the doctor needs is in the run."""


def run(config: Config, workdir: str) -> None:
    """Diagnoses every seed of every run in `workdir`, prints the findings and writes doctor.json there.

    Raises:
      UserError: where `workdir` holds no finished run, or cannot be written.
    """
    del config
    runs = run_files.read(workdir)
    folder = writable(workdir)
    found = {name: {seed: doctor(e) for seed, e in seeds.items()} for name, seeds in runs.items()}
    report.write_json(folder / "doctor.json", {"environment": report.environment(), "results": _records(found)})
    findings.show(Console(), found)


def _records(found: dict[str, dict[int, list[Finding]]]) -> list[dict[str, Any]]:
    return [
        {"run": name, "seed": seed, **dataclasses.asdict(finding), "severity": finding.severity.name.lower()}
        for name, seeds in found.items()
        for seed, of_seed in seeds.items()
        for finding in of_seed
    ]
