"""How well does a network predict the next character of a text, compared with a 5-gram model?

A character language model trained by truncated BPTT: the text is cut into streams that are read in parallel, segment by
segment; the gradient ends at a segment's start, the state is carried on. Validation chooses the parameters.

    python -m experiments.char_lm --data=FILE              # any UTF-8 text; about 15 minutes for a million characters
    python -m experiments.char_lm --data=FILE --hidden_size=256 --epochs=4 --checkpoints=8 --dropout=0   # one minute
    python -m experiments.char_lm                          # Python's own source; about 15 minutes
    python -m experiments.char_lm --quick                  # under 30 seconds; too small to reach the 5-gram model

Expected, in nats per character of Shakespeare's plays (karpathy/char-rnn's tinyshakespeare, 90/5/5): 1.518 on the
validation set and 1.640 on the test set by the 5-gram model, 1.445 and 1.560 by the network of the second command
(medians of seeds 0, 1 and 2).
"""

import functools
from typing import Any

from experiments.char_lm import measurement, summary
from experiments.char_lm.config import QUICK, Config, plan
from experiments.char_lm.measurement import NGRAM, STRATEGY, Evaluations, Outcome
from experiments.common.moments import split_seeds
from experiments.common.run_folder import Report, RunFolder
from experiments.common.runner import Job, Status, run_jobs
from experiments.common.settings import Settings, with_precision
from rnn_jax import trees

__all__ = ["QUICK", "Config", "run"]


@with_precision
def run(config: Config, workdir: str, settings: Settings = Settings()) -> None:
    """Runs the experiment and writes config.json, results.json, arrays.npz, parameters.npz, loss.png and summary.html.

    `results.json` is rewritten after every evaluation, and `parameters.npz` after each that was the best so far.
    """
    ready = plan(config)
    folder = RunFolder(config, workdir, settings)
    folder.print(ready.note)
    baselines, status = measurement.baselines(ready), Status()
    status[NGRAM] = f"validation {baselines[NGRAM]['validation']:.4f} nats/character"

    def on_evaluation(evaluations: Evaluations) -> None:
        folder.results([summary.record(ready, config, baselines, evaluations)])
        if evaluations.best_index == len(evaluations.steps) - 1:
            folder.arrays(trees.named_leaves(split_seeds(evaluations.best)[0]), "parameters.npz")
        last, best = evaluations.validation[-1], min(evaluations.validation)
        status[config.cell] = f"step {evaluations.steps[-1]:,}: validation {last:.4f}, best {best:.4f} nats/character"

    def records(outcome: Outcome) -> list[dict[str, Any]]:
        return [summary.record(ready, config, baselines, outcome.evaluations, outcome)]

    measure = functools.partial(measurement.measure, ready, config, on_evaluation)
    trained = functools.partial(measurement.trained, ready)
    job = Job(config.cell, ready.steps, measure, records, model=ready.model, trained=trained)
    (outcome,) = run_jobs(folder, [job], below=status)
    folder.arrays(summary.arrays(config, outcome))
    sample = f"Sample by {STRATEGY} after {ready.prompt!r}: {outcome.sample}"
    findings, table = summary.findings(ready, outcome), summary.table(ready, config, baselines, outcome)
    png = functools.partial(summary.loss_figure, ready, baselines, outcome, config.dropout > 0)
    pngs = {"loss.png": ("Loss over the training", png)}
    folder.show(Report("Character language model", [*findings, sample], [table], pngs))
