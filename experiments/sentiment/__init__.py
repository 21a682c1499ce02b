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

from rich.console import Console

from experiments.command_line import writable
from experiments.sentiment.config import QUICK, Config, plan
from experiments.text_classification import figures, summary
from experiments.text_classification.measurement import Outcome
from experiments.text_classification.opponents import opponents
from experiments.text_classification.run import train
from rnn_jax import files, report

__all__ = ["QUICK", "Config", "run"]

WORDS = (1, 2)  # n-grams that the opponents count


def run(config: Config, workdir: str) -> None:
    """Runs the experiment and writes config.json, results.json, arrays.npz, figures and summary.html.

    `results.json` is written anew as soon as a network has ended, so that what is interrupted keeps what it has.

    Raises:
      UserError: where the config cannot be run or `workdir` cannot be written.
    """
    ready = plan(config)
    folder = writable(workdir)
    texts, console = ready.texts, Console()
    header = {"config": config, "environment": report.environment()}
    report.write_json(folder / "config.json", config)
    counted = opponents(texts, WORDS)

    def write(outcomes: Sequence[Outcome]) -> None:
        found = [record for outcome in outcomes for record in summary.records(outcome, texts, config.seed)]
        results = [*found, *summary.opponents_records(counted, texts)]
        report.write_json(folder / "results.json", {**header, "results": results})

    write([])
    outcomes = train(ready.networks, texts, config.seeds, config.seed, console, write)
    report.write_arrays(folder / "arrays.npz", dict(figures.curves(outcomes)))
    pngs = {
        "validation": figures.validation_figure(outcomes, counted),
        "test": figures.test_figure(outcomes, counted, texts.parts["test"].labels),
    }
    for name, png in pngs.items():
        files.write(folder / f"{name}.png", png)
    sections = {summary.title(texts): summary.rows(outcomes, counted, texts)}
    caption = summary.caption(texts, config.seeds)
    sentences = [summary.against(outcomes, counted, texts), *summary.diverged(outcomes)]
    table = report.html_table(summary.COLUMNS, sections, caption)
    files.write(folder / "summary.html", report.page("Sentiment", sentences, table, pngs, header))
    console.print(report.text_tables(summary.COLUMNS, sections, caption), highlight=False)
    for sentence in sentences:
        console.print(f"- {sentence}", markup=False, highlight=False)
    console.print(f"{folder}: config.json, results.json, arrays.npz, {', '.join(pngs)} (.png), summary.html")
