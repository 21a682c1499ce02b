"""Sentiment of a sentence: recurrent networks against bag-of-words baselines.

Many-to-one: one class for a sequence of words. Baselines: naive Bayes and logistic regression on single words and
pairs, hard to beat with few texts and no pretrained vectors. Duplicates are removed and texts are split before any word
is counted; validation chooses the epoch and the baselines' smoothing; the test set is evaluated once, at the end.

    python -m experiments.sentiment --data=FOLDER      # rt-polarity: 11 minutes on two busy cores
    python -m experiments.sentiment                    # reviews made by a grammar; less
    python -m experiments.sentiment --train=train.tsv --validation=dev.tsv --test=test.tsv    # an official split
    python -m experiments.sentiment --quick            # a small version, under 30 seconds on two idle cores

Expected on rt-polarity (Pang & Lee 2005; 10,662 sentences, 80/10/10), in percent of the 1,066 test sentences, mean of
three seeds: 75.3 by the RNN, 75.5 by the LSTM, 75.3 by the GRU, 76.4 by the bidirectional LSTM; 76.7 by naive Bayes and
77.0 by logistic regression. The standard error of one such figure is 1.3: no network is shown to be better than
counting words. On the grammar's reviews, in which negation and the order of clauses decide, 100 by the bidirectional
LSTM and 60 by logistic regression.
"""

from typing import Any

from experiments.baselines import bag_of_words
from experiments.common import classification, fitting
from experiments.common.classification import Row
from experiments.common.run_folder import Report, RunFolder
from experiments.common.runner import Status, run_jobs
from experiments.common.settings import Settings, with_precision
from experiments.sentiment.config import QUICK, Config, plan

__all__ = ["QUICK", "Config", "plan", "run"]

NGRAMS = (1, 2)  # smallest and largest n of the baselines


@with_precision
def run(config: Config, workdir: str, settings: Settings = Settings()) -> None:
    """Runs the experiment and writes config.json, results.json, arrays.npz, figures and summary.html."""
    texts, loss, networks = plan(config)
    folder = RunFolder(config, workdir, settings)
    for line in texts.lines:
        folder.print(line)
    baselines, status = bag_of_words.baselines(texts, NGRAMS), Status()

    def records(row: Row) -> list[dict[str, Any]]:
        return classification.records(baselines, row, base_seed=config.seed, finished=True, **texts.fields)

    jobs = [classification.job(config, texts, network, loss, records, status) for network in networks]
    outcomes = run_jobs(folder, jobs, [r for row in baselines for r in records(row)], below=status)
    folder.arrays(fitting.training_arrays(outcomes, "accuracy", classification.accuracy))
    findings = [classification.finding(baselines, outcomes), *fitting.diverged(outcomes)]
    table = classification.table(texts, baselines, outcomes, texts.source, "texts", texts.note)
    figures = classification.accuracy_figures(baselines, outcomes, "texts")
    folder.show(Report("Sentiment of a sentence", findings, [table], figures))
