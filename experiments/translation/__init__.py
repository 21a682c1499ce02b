"""Does attention translate better than a final state alone, and better than the nearest training sentence?

Sequence to sequence: a bidirectional encoder reads a sentence, a decoder writes its translation, with attention over
the encoder's outputs (Luong et al. 2015; Bahdanau et al. 2015) or from its final state alone (Sutskever et al. 2014).
Split by source sentence, so that none is in two splits. The test set is translated once, by beam search. Summaries are
pairs, too, such as a text and its headline: ROUGE beside BLEU; the lead, a text's first words, among the baselines.

    python -m experiments.translation --data=deu.txt       # German to English, pairs of manythings.org/anki (Tatoeba)
    python -m experiments.translation --train=FILE --validation=FILE --test=FILE    # a given split, kept
    python -m experiments.translation --data=headlines.tsv --columns=1,2 --max_words=60    # text, tab, headline
    python -m experiments.translation                      # dates to ISO 8601, by characters; nothing to download
    python -m experiments.translation --quick              # under 30 seconds

Expected with --pairs=100000 --epochs=2 --embedding=96 --hidden_size=192 --readout=96, in 15 minutes
on two cores (BLEU of lower-cased text, one seed): 30.6 with attention, 27.0 without; 26.9 and 20.2 on the longest
sources; the nearest training sentence 34.0, as many sentences of Tatoeba occur with several sources. On sources without
a translation in the training set: 29.8, 25.2, nearest 21.9. Of `--quick`: 95 % of dates right with attention, none
without (3 seeds).
"""

import functools

from experiments.common import fitting
from experiments.common.run_folder import RunFolder
from experiments.common.runner import Status, run_jobs
from experiments.common.settings import Settings, with_precision
from experiments.translation import measurement, summary
from experiments.translation.config import QUICK, Config, plan

__all__ = ["QUICK", "Config", "run"]


@with_precision
def run(config: Config, workdir: str, settings: Settings = Settings()) -> None:
    """Runs the experiment and writes config.json, results.json, arrays.npz, figures and summary.html.

    There is no alignment.png without a network that has attention.
    """
    corpus, networks = plan(config)
    folder = RunFolder(config, workdir, settings)
    for line in corpus.lines:
        folder.print(line)
    baselines, status = measurement.baselines(corpus), Status()
    records = functools.partial(summary.records, corpus, baselines)
    jobs = [measurement.job(corpus, config, network, records, status) for network in networks]
    outcomes = run_jobs(folder, jobs, [r for row in baselines for r in records(row)], below=status)
    folder.arrays(fitting.training_arrays(outcomes, "nats_per_token"))
    folder.show(summary.summarize(corpus, baselines, outcomes))
