"""Does attention translate better than a state alone, and is either better than looking up the nearest sentence?

Sequence to sequence: a bidirectional encoder reads a sentence, a decoder writes its translation, with attention to
all that was read (Luong et al. 2015; Bahdanau et al. 2015) or from the encoder's last state alone (Sutskever et al.
2014). Split by source sentence, so that none is on two sides; the vocabulary is the training part's; of each network
the parameters that are best on the validation part; the test part is translated once, at the end, by beam search.

    python -m experiments.translation --data=deu.txt       # German to English, pairs of manythings.org/anki (Tatoeba)
    python -m experiments.translation --data=deu.txt --pairs=100000 --epochs=2 --embedding=96 --hidden_size=192 \
        --readout=96                                       # a small one: 15 minutes of one core
    python -m experiments.translation                      # dates to ISO 8601, by characters; nothing to download
    python -m experiments.translation --quick              # under 30 seconds

To expect of the second command (BLEU of lower-cased text, one seed): 30.6 with attention, 27.0 without, 26.9 and 20.2
on the longest sources. The nearest training sentence's translation has 34.0, as many a sentence of Tatoeba stands there
under several sources; where no translation of a source was seen, it has 21.9, against 29.8 with attention and 25.2.
Of `--quick`: 95% of dates right with attention, none without (3 seeds).
"""

import functools
import threading
from typing import Any

from rich.text import Text

from experiments.common import parallel
from experiments.common.run_folder import RunFolder
from experiments.common.settings import Settings
from experiments.translation import corpus as corpora
from experiments.translation import figures, measurement, scoring, summary
from experiments.translation.config import QUICK, Config, plan
from experiments.translation.measurement import Outcome
from rnn_jax import report, training

__all__ = ["QUICK", "Config", "run"]


def run(config: Config, workdir: str, settings: Settings = Settings()) -> None:
    """Runs the experiment and writes config.json, results.json, loss.png, length.png, alignment.png and summary.html.

    `results.json` is written anew when a network has ended, so that what is interrupted keeps what it has. There is no
    alignment.png without a network that attends.

    Raises:
      UserError: where the config cannot be run, `workdir` cannot be written, or holds a run of another config.
    """
    ready = plan(config)
    folder = RunFolder(config, workdir, settings)
    items = corpora.items(ready.corpus.parts.test)
    shared = summary.common(ready, items)
    found: dict[str, list[dict[str, Any]]] = {}
    for name, translations in scoring.baselines(ready.corpus, items).items():
        baseline = summary.Baseline(translations, scoring.score(ready.corpus, items, translations))
        found[name] = [summary.baseline_record(ready, items, name, baseline) | shared]
    names = list(ready.trainers)
    lock, standing = threading.Lock(), dict.fromkeys(names, "")

    def looked(name: str, fit: training.Fit) -> None:
        with lock:
            nats = fit.scores[:, -1].mean()
            standing[name] = f"{name}: epoch {fit.scores.shape[1]}, validation {nats:.3f} nats/token"

    def below() -> Text:
        with lock:
            return Text("\n".join(line for line in standing.values() if line))

    outcomes: dict[str, Outcome] = {}

    def finished(place: int, outcome: Outcome) -> None:
        name = names[place]
        outcomes[name] = outcome
        found[name] = [record | shared for record in summary.records(ready, config, items, name, outcome)]
        everything = [record for of_run in found.values() for record in of_run]
        folder.results(everything)

    jobs = [
        functools.partial(measurement.measure, ready, config, name, items, functools.partial(looked, name))
        for name in names
    ]
    sessions, work = [folder.session(name) for name in names], [ready.steps] * len(jobs)
    parallel.run(jobs, sessions, work, parallel.programs_at_a_time(), folder.console, finished, below)
    in_order = {name: found[name] for name in [*(n for n in found if n not in ready.trainers), *names]}
    outcomes = {name: outcomes[name] for name in names}
    pngs = {
        "loss.png": ("Loss over the training", figures.loss_figure(ready, outcomes)),
        "length.png": ("Over the length of the source", figures.length_figure(ready, in_order)),
    }
    attending = [name for name in names if outcomes[name].weights is not None]
    if attending:
        pngs["alignment.png"] = ("Where it looked", figures.alignment_figure(ready, items, outcomes[attending[0]]))
    for name, (_, png) in pngs.items():
        folder.file(name, png)
    rows, words = summary.rows(in_order), summary.sentences(ready, in_order)
    table = report.html_table(
        summary.columns(ready.corpus.by_words), {summary.title(ready): rows}, summary.caption(ready, shared)
    )
    page = report.page("Translation", words, [table], dict(pngs.values()), folder.header)
    folder.file("summary.html", page)
    summary.show(folder.console, ready, rows, shared, words, in_order)
    folder.print_written()
