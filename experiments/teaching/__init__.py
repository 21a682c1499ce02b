"""Do the two programs that courses start with compute the same here as in Keras and PyTorch, step by step?

Character generator: 50 ReLU units read three one-hot characters of "This is GeeksforGeeks a software training
institute", and a softmax predicts the next one; 100 epochs, then 50 characters written greedily after "This is G".
Sequence classifier: two LSTM layers of 50 units read 1,000 random sequences of 5 x 10 numbers; 20 epochs. Its labels
are random, as in the originals, so it can only memorise them. Both: cross-entropy, Adam with 1e-3, batches of 32.

All libraries start from the same parameters and read the same batches. Two differences are left: Keras's Adam adds
another epsilon elsewhere, and PyTorch trains two biases in place of one (`experiments/peers/`, `keras.py`, `torch.py`).
"As written" has them; without them only rounding differs.

    python -m experiments.teaching                         # a minute
    JAX_ENABLE_X64=1 python -m experiments.teaching        # in 64 bit, with hardly any rounding
    python -m experiments.teaching --programs=generator --text=FILE
    python -m experiments.teaching --cell=gru              # libraries without the cell are left out
    python -m experiments.teaching --quick                 # the generator alone, under 30 seconds

Keras and PyTorch are optional, `pip install ".[peers]"`; a missing one is reported, and the rest runs.

Expected greatest relative difference of a batch's loss from rnn_jax's, generator and classifier: Keras 1e-6 and 8e-6,
as written 6e-3 and 1e-2; PyTorch up to 1.5e-3 and 7e-5 (in 64 bit 6e-16 and 5e-15), as written 8e-2 and 0.4. All
generate the same text, except PyTorch as written for some seeds. The classifier gets 99 % of its training data right,
fresh data at chance. Every seed and the reasons: experiments/results/teaching/README.md.
"""

import functools
import itertools

import numpy as np

from experiments.common.run_folder import Report, RunFolder, Table
from experiments.common.runner import Job, run_jobs
from experiments.common.settings import Settings, with_precision
from experiments.peers import Unsupported
from experiments.teaching import measurement, summary
from experiments.teaching.config import QUICK, Config, plan
from experiments.teaching.programs import Setup
from rnn_jax import report

__all__ = ["QUICK", "Config", "run"]


@with_precision
def run(config: Config, workdir: str) -> None:
    """Runs the experiment and writes config.json, results.json, arrays.npz, one figure per program and summary.html.

    It does not resume; results.json keeps the trainings that ended before an interruption.
    """
    setups = plan(config)
    forms, versions, missing = measurement.find()
    left_out = {name: f"is missing: {reason}" for name, reason in missing.items()}
    curves: dict[Setup, dict[str, np.ndarray]] = {setup: {} for setup in setups}
    jobs = []
    for setup, (form, create) in itertools.product(setups, forms.items()):
        try:
            network = create(setup.trainer, setup.state)
        except Unsupported as error:
            left_out[form.removesuffix(", as written")] = f"is left out: {error}"
            continue
        measured = functools.partial(measurement.measure, setup, form, network, curves[setup])
        jobs.append(Job(f"{setup.program.name}/{form}", setup.steps, measured, lambda record: [record]))
    notices = [f"{name} {reason}" for name, reason in left_out.items()]
    header = {"environment": report.environment() | versions, "left_out": notices}
    folder = RunFolder(config, workdir, Settings(resume=False), header)
    for notice in notices:
        folder.print(notice)
    # One at a time, in order: rnn_jax is the reference of the others, and parallel trainings would slow each other.
    records = run_jobs(folder, jobs, at_a_time=1)
    folder.arrays({f"{s.program.name}/{form}": losses for s, each in curves.items() for form, losses in each.items()})
    sections = {summary.title(s): [row for row in records if row["run"] == s.program.name] for s in setups}
    figures = {
        f"{s.program.name}.png": (s.program.title, functools.partial(summary.loss_figure, s, curves[s])) for s in setups
    }
    table = Table(summary.COLUMNS, sections, summary.CAPTION)
    folder.show(Report("Two teaching programs", [*notices, *summary.findings(records)], [table], figures))
