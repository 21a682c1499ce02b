"""Does a recurrent network tell praise from blame better than what counts words?

Many-to-one: one class for a sequence of words. Beside the networks stand naive Bayes and logistic regression on single
words and pairs, which are hard to beat where there are few texts and no vectors learnt elsewhere. Texts that repeat are
left out and the rest is split before a word is counted; the validation part chooses the epoch, and the opponents'
smoothing; the test part is read once, at the end.

    python -m experiments.sentiment --data=FOLDER      # rt-polarity: 11 minutes on two cores with much other work
    python -m experiments.sentiment                    # reviews made by a grammar; less
    python -m experiments.sentiment --quick            # under 30 seconds on two idle cores

To expect of rt-polarity (Pang & Lee 2005; 10,662 sentences, 80/10/10), in percent of the test part's 1,066 sentences,
over three seeds: 75.3 by the vanilla network, 75.5 by the LSTM, 75.3 by the GRU, 76.4 by the bidirectional LSTM; 76.7
by naive Bayes and 77.0 by logistic regression. One such figure has a standard error of 1.3: no network is shown to be
better than counting. Of the grammar's reviews, where negation and the order of clauses decide, 100 by the bidirectional
LSTM and 60 by logistic regression.
"""

from collections.abc import Sequence

from experiments.common.run_folder import RunFolder
from experiments.common.settings import Settings
from experiments.common.text_classification import figures, summary
from experiments.common.text_classification.measurement import Outcome
from experiments.common.text_classification.opponents import opponents
from experiments.common.text_classification.run import train
from experiments.sentiment.config import QUICK, Config, plan

__all__ = ["QUICK", "Config", "run"]

WORDS = (1, 2)  # n-grams that the opponents count


def run(config: Config, workdir: str, settings: Settings = Settings()) -> None:
    """Runs the experiment and writes config.json, results.json, arrays.npz, figures and summary.html.

    `results.json` is written anew as soon as a network has ended, so that what is interrupted keeps what it has.

    Raises:
      UserError: where the config cannot be run, `workdir` cannot be written, or holds a run of another config.
    """
    ready = plan(config)
    folder = RunFolder(config, workdir, settings)
    texts = ready.texts
    counted = opponents(texts, WORDS)

    def write(outcomes: Sequence[Outcome]) -> None:
        found = [record for outcome in outcomes for record in summary.records(outcome, texts, config.seed)]
        results = [*found, *summary.opponents_records(counted, texts)]
        folder.results(results)

    write([])
    outcomes = train(ready.networks, texts, config.seeds, config.seed, folder, write)
    folder.arrays(dict(figures.curves(outcomes)))
    words = [summary.against(outcomes, counted, texts), *summary.diverged(outcomes)]
    rows = {summary.title(texts): summary.rows(outcomes, counted, texts)}
    folder.show_parts(
        "Sentiment",
        words,
        [(summary.COLUMNS, rows, summary.caption(texts, config.seeds))],
        {
            "validation.png": ("validation", figures.validation_figure(outcomes, counted)),
            "test.png": ("test", figures.test_figure(outcomes, counted, texts.parts["test"].labels)),
        },
    )
