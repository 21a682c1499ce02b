"""Which language is a name of, and can a network make up names of a language?

Many-to-one: one language for a sequence of characters. The classes are very unequal, so macro-F1 stands beside the
accuracy, and beside the networks the most frequent language and what counts n-grams of characters. A name that repeats
within a language is left out (practical-pytorch's Arabic file holds 108 names in 2,000 lines: who splits the lines
tests on what was learnt). A name that stands under several languages is no repetition but ambiguous: it stays under
each, all of them go to one part, and as nobody can tell which is meant, they set a ceiling on the accuracy, which is
computed.

One-to-many: a character language model whose first token is the language, a BEGIN for each, writes 1,000 names. How
many are new, and how often does the classifier hear the language that was asked for?

    python -m experiments.names --data=FOLDER      # names/*.txt: 15 minutes on two cores with much other work
    python -m experiments.names                    # names of invented languages; less
    python -m experiments.names --quick            # under 30 seconds on two idle cores

To expect of the 18,004 names of 18 languages (practical-pytorch's, 80/10/10), in percent of the test part, over three
seeds: an accuracy of 83.0 and a macro-F1 of 53 by the bidirectional LSTM, 81.8 and 47 by the LSTM, 80.2 and 43 by the
vanilla network; 82.1 and 49 by logistic regression, 51.9 and 4 by the most frequent language. Nobody can get more than
97.0 right. Of 1,000 generated names 903 are new, and the classifier hears the language asked for in 43 % of them (in
50 % of the test part's, as the mean over the languages).
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from experiments.common import parallel
from experiments.common.run_folder import RunFolder
from experiments.common.settings import Settings
from experiments.common.text_classification import figures, summary
from experiments.common.text_classification.measurement import Outcome, chosen
from experiments.common.text_classification.opponents import opponents
from experiments.common.text_classification.run import train
from experiments.names import generated
from experiments.names.config import QUICK, Config, Plan, plan
from experiments.names.generator import Writing, learn
from rnn_jax.data import best_possible

__all__ = ["QUICK", "Config", "run"]

CHARACTERS = (1, 3)  # n-grams that the opponents count


def run(config: Config, workdir: str, settings: Settings = Settings()) -> None:
    """Runs the experiment and writes config.json, results.json, arrays.npz, names.txt, figures and summary.html.

    `results.json` is written anew as soon as a network has ended, so that what is interrupted keeps what it has.

    Raises:
      UserError: where the config cannot be run, `workdir` cannot be written, or holds a run of another config.
    """
    ready = plan(config)
    folder = RunFolder(config, workdir, settings)
    texts = ready.texts
    test = texts.parts["test"].labelled
    counted = opponents(texts, CHARACTERS)
    ceiling = best_possible(test)
    fixed = [{**record, "ceiling": ceiling} for record in summary.opponents_records(counted, texts)]

    def write(outcomes: Sequence[Outcome], *more: Mapping[str, Any]) -> None:
        found = [record for outcome in outcomes for record in summary.records(outcome, texts, config.seed)]
        folder.results([*found, *fixed, *more])

    write([])
    outcomes = train(ready.networks, texts, config.seeds, config.seed, folder, write)
    judge = chosen(outcomes)
    writing = _learn(ready, config.seed, folder)
    write(outcomes, generated.record(ready.generator, writing, None, judge.network.name))
    made = generated.generated(ready.generator, writing, judge, texts, config.seed)
    write(outcomes, generated.record(ready.generator, writing, made, judge.network.name))
    folder.arrays(dict(figures.curves(outcomes)))
    lines = [f"{texts.classes[n]}\t{name}\n" for n, name in zip(made.languages, made.names, strict=True)]
    folder.file("names.txt", "".join(lines))
    assert judge.guesses is not None
    confusion = f"{judge.network.name}, {config.seeds} seeds together, on the test part"
    pngs = {
        "validation.png": ("validation", figures.validation_figure(outcomes, counted)),
        "test.png": ("test", figures.test_figure(outcomes, counted, test.labels)),
        "confusion.png": (
            "confusion",
            figures.confusion_figure(judge.guesses, test.labels, texts.classes, confusion),
        ),
    }
    words = [
        f"No classifier gets more than {100 * ceiling:.1f} % of the test part's names right: the others stand under "
        "another language too, and whoever names one language misses them.",
        summary.against(outcomes, counted, texts),
        *generated.sentences(writing, made, judge.network.name),
        *summary.diverged(outcomes),
    ]
    rows = {summary.title(texts): summary.rows(outcomes, counted, texts)}
    written = {f"{generated.COUNT:,} generated names": generated.rows(made, texts)}
    heard = f"Heard: {judge.network.name} gives them the language that was asked for."
    folder.show_parts(
        "Names",
        words,
        [(summary.COLUMNS, rows, summary.caption(texts, config.seeds)), (generated.COLUMNS, written, heard)],
        pngs,
    )


def _learn(ready: Plan, seed: int, folder: RunFolder) -> Writing:
    """Trains the generator."""
    key = jax.random.fold_in(jax.random.key(seed), 1)
    found: list[Writing] = []
    job = functools.partial(learn, ready.generator, key, lambda fit: None)
    sessions, work = [folder.session("generator")], [ready.generator.work]
    parallel.run([job], sessions, work, 1, folder.console, lambda _, writing: found.append(writing))
    (writing,) = found
    scores = writing.fit.scores
    folder.console.print(
        f"generator: {np.nanmin(scores):.3f} nats per character of the validation part", highlight=False
    )
    return writing
