"""Questions about stories (bAbI): does attention find the facts that the answer needs?

Many-to-one: a recurrent layer reads a story sentence by sentence, and a cell reads the question: with attention over
the sentences, several times (hops), or beside the layer's last outputs alone. Each task has networks of its own, as is
usual, trained on 10,000 questions; the supporting facts are not trained on, only compared with the attention weights.
Baselines: the most frequent answer, and the answer that the story mentions last. A list of answers is one class.

    python -m experiments.question_answering                 # stories by the rules of tasks 1, 2, 3, 6 and 15
    python -m experiments.question_answering --data=FOLDER   # files of bAbI: qa1_*train.txt, qa1_*test.txt, ...
    python -m experiments.question_answering --quick         # task 1 in small, half a minute

Expected for one seed, in percent of 1,000 test questions of each task, after 21 minutes of CPU time: with attention
100.0 (task 1), 84.0 (2), 73.9 (3), 94.4 (6), 52.0 (15); without 99.8, 71.5, 58.1, 90.2, 50.6; the most frequent answer
16.5, 32.2, 36.8, 48.7, 24.3; the last mentioned 47.7, 43.4, 12.1, 48.7, 29.6. With attention and `--dropout=0
--epochs=25` task 15 reaches 65.5.
"""

import functools

from experiments.common import fitting
from experiments.common.run_folder import RunFolder
from experiments.common.runner import run_jobs
from experiments.common.settings import Settings, with_precision
from experiments.question_answering import measurement
from experiments.question_answering.config import QUICK, Config, plan
from experiments.question_answering.summary import Result, records, summarize

__all__ = ["QUICK", "Config", "plan", "run"]


@with_precision
def run(config: Config, workdir: str, settings: Settings = Settings()) -> None:
    """Runs the experiment and writes config.json, results.json, arrays.npz, figures and summary.html."""
    plans = plan(config)
    folder = RunFolder(config, workdir, settings)
    baselines = [measurement.baselines(task.corpus) for task, _ in plans]
    recorders = [functools.partial(records, task, rows) for (task, _), rows in zip(plans, baselines, strict=True)]
    known = [r for record, rows in zip(recorders, baselines, strict=True) for row in rows for r in record(row)]
    pairs = zip(plans, recorders, strict=True)
    jobs = [measurement.job(task.corpus, config, each, r) for (task, networks), r in pairs for each in networks]
    outcomes = run_jobs(folder, jobs, known)
    folder.arrays(fitting.training_arrays(outcomes, "accuracy", lambda errors: 1 - errors))
    size = len(config.models)
    by_task = [outcomes[start : start + size] for start in range(0, len(outcomes), size)]
    results = [Result(task, b, o) for (task, _), b, o in zip(plans, baselines, by_task, strict=True)]
    folder.show(summarize(results, config.sentences))
