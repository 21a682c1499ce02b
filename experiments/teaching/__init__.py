"""Do the two programs that courses begin with compute the same here as in Keras and PyTorch, step by step?

The character generator: 50 ReLU units read three characters of "This is GeeksforGeeks a software training institute",
one-hot, and a softmax says the next one; 100 epochs, then 50 characters written greedily after "This is G". The
classifier: two LSTM layers of 50 units read 5 steps of 10 numbers, and the last step of the upper one is told which of
two classes it was; 20 epochs of 1,000 random sequences. Both by cross-entropy and Adam, 1e-3, in batches of 32. The
classifier's labels are random, as the originals have them: it can only learn them by heart.

All begin with the same parameters, handed over by `rnn_jax.interop`, and read the same batches in the same order;
Adam's epsilon is 1e-8 for all. Two things then keep the originals from being one program, and "as written" shows what
they make: Keras's Adam has another epsilon, in another place, and PyTorch has two biases where the others have one,
each with Adam's whole step. Without these two (`peers/keras.py`, `peers/pytorch.py`) only rounding is left.

    python -m experiments.teaching                         # a minute
    JAX_ENABLE_X64=1 python -m experiments.teaching        # in 64 bit: no rounding to speak of
    python -m experiments.teaching --programs=generator --text=FILE
    python -m experiments.teaching --cell=gru              # a library that has not the cell is left out
    python -m experiments.teaching --quick                 # the generator alone, under 30 seconds

Keras and PyTorch are optional: `pip install ".[peers]"`; whichever is missing is told, and the rest runs.

To expect of the greatest difference of a batch's loss from ours, as a share of it, seeds 0 to 2: Keras 1e-6 in the
generator and 4e-6 to 8e-6 in the classifier; PyTorch 2e-5 to 1.5e-3 and 3e-5 to 7e-5, as it computes Adam's 1 - 0.999^n
in 64 bit, where optax and Keras are 1e-5 off, and a ReLU near zero then falls to the other side. As written: Keras 4e-3
to 6e-3 and 5e-3 to 1.3e-2, PyTorch 7e-2 to 8e-2 and 0.3 to 0.4. In 64 bit PyTorch has 6e-16 and 5e-15. All three write
the same 50 characters; PyTorch as written writes others for two of the seeds. The classifier gets 99 % of its training
data right, by heart, and fresh data at chance.
"""

import functools
from typing import Any

from experiments.common import parallel
from experiments.common.run_folder import RunFolder
from experiments.common.settings import Settings
from experiments.teaching import figures, peers, summary
from experiments.teaching.config import QUICK, Config, plan
from experiments.teaching.measurement import Outcome, measure
from experiments.teaching.ours import Ours
from rnn_jax import report, training

__all__ = ["QUICK", "Config", "run"]


def run(config: Config, workdir: str) -> None:
    """Runs the experiment and writes config.json, results.json, arrays.npz, a figure a program and summary.html.

    `results.json` is written anew as soon as a training has ended, so that what is interrupted keeps what it has.

    Raises:
      UserError: where the config cannot be run, `workdir` cannot be written, or another process has it.
    """
    lessons = plan(config)
    others, missing = peers.find()
    forms = [Ours(), *others]
    pairs = [(lesson, form) for lesson in lessons for form in forms if form.refusal(lesson) is None]
    left_out = [f"{name} is missing: {why}" for name, why in missing.items()] + summary.refusals(lessons, forms)
    environment = report.environment() | peers.versions(missing)
    folder = RunFolder(config, workdir, Settings(resume=False), {"environment": environment, "left_out": left_out})
    for sentence in left_out:
        folder.console.print(sentence, markup=False, highlight=False)
    found: dict[str, dict[str, Outcome]] = {lesson.program.name: {} for lesson in lessons}
    records: list[dict[str, Any]] = []

    def finished(place: int, outcome: Outcome) -> None:
        lesson, form = pairs[place]
        outcomes = found[lesson.program.name]
        outcomes[form.name] = outcome
        records.append(summary.record(lesson, config.seed, form.name, outcomes))
        folder.results(records)

    jobs = [functools.partial(measure, lesson, form) for lesson, form in pairs]
    # One at a time, in order: ours is what the others are compared with, and their times would be of each other.
    parallel.run(
        jobs, [training.Session()] * len(jobs), [lesson.work for lesson, _ in pairs], 1, folder.console, finished
    )
    folder.arrays(summary.arrays(found))
    pngs = {lesson.program.name: figures.loss_figure(lesson, found[lesson.program.name]) for lesson in lessons}
    for name, png in pngs.items():
        folder.file(f"{name}.png", png)
    sections = {summary.title(lesson): summary.rows(lesson, found[lesson.program.name]) for lesson in lessons}
    words = [word for lesson in lessons for word in summary.sentences(lesson, found[lesson.program.name])]
    table = report.html_table(summary.COLUMNS, sections, summary.CAPTION)
    shown = {lesson.program.title: pngs[lesson.program.name] for lesson in lessons}
    folder.file(
        "summary.html", report.page("Two teaching programs", [*left_out, *words], [table], shown, folder.header)
    )
    summary.show(folder.console, sections, words)
    folder.print_written()
