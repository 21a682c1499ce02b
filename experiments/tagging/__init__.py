"""What do a word's neighbours tell of its part of speech, and what do its characters?

A tag for every word (aligned many-to-many): a bidirectional LSTM over words, one over words and their characters, and
one that sees the characters and what stands before a word but not what follows, beside the tagger that gives each word
its most frequent tag, and an unseen one that of its ending. The vocabularies are of the training part, the parameters
kept are those that are best on the validation part, the test part is looked at once, at the end.

    python -m experiments.tagging --data=FOLDER      # CoNLL-U files of a treebank of Universal Dependencies
    python -m experiments.tagging                    # lines of Python, each token's role
    python -m experiments.tagging --quick            # a small version, to see that it works

To expect, on the test part of UD English EWT (one seed): 86.1 % by the most frequent tag, 89.3 % with the endings of
unseen words, 91.5 % by the network on words, 94.4 % with characters, 92.1 % with characters but forward alone. One
seed of the three takes ten minutes of one core.
"""

import functools

from rich.console import Console

from experiments import side_by_side
from experiments.command_line import writable
from experiments.tagging import figures, measurement, summary
from experiments.tagging.config import QUICK, Config, plan
from experiments.tagging.measurement import Outcome
from rnn_jax import files, report

__all__ = ["QUICK", "Config", "run"]


def run(config: Config, workdir: str) -> None:
    """Runs the experiment and writes config.json, results.json, arrays.npz, accuracy.png, tags.png and summary.html.

    `results.json` is written anew as soon as a network has ended, so that what is interrupted keeps what it has.

    Raises:
      UserError: where the config cannot be run or `workdir` cannot be written.
    """
    ready = plan(config)
    folder = writable(workdir)
    console = Console()
    header = {"config": config, "environment": report.environment()}
    report.write_json(folder / "config.json", config)
    baselines = measurement.baselines(ready)
    ended: dict[int, Outcome] = {}

    def finished(place: int, outcome: Outcome) -> None:
        ended[place] = outcome
        found = [record for _, each in sorted(ended.items()) for record in summary.records(ready, each)]
        every = [*summary.baseline_records(ready, baselines), *found]
        report.write_json(folder / "results.json", {**header, "results": every})

    jobs = [functools.partial(measurement.measure, ready, config, network) for network in ready.networks]
    work = [ready.steps * config.epochs] * len(jobs)
    side_by_side.run(jobs, work, side_by_side.programs_at_a_time(), console, finished)
    outcomes = [ended[place] for place in range(len(jobs))]
    report.write_arrays(folder / "arrays.npz", summary.arrays(outcomes))
    pngs = {
        "Validation accuracy over the training": figures.accuracy_figure(baselines, outcomes),
        "F1 of every tag on the test part": figures.tags_figure(ready, baselines, outcomes),
    }
    for name, png in zip(("accuracy.png", "tags.png"), pngs.values(), strict=True):
        files.write(folder / name, png)
    rows, words = summary.rows(baselines, outcomes), summary.sentences(baselines, outcomes)
    sections, caption = {summary.title(ready): rows}, summary.caption(ready, config.seeds)
    table = report.html_table(summary.COLUMNS, sections, caption)
    files.write(folder / "summary.html", report.page("A tag for every word", words, table, pngs, header))
    console.print(report.text_tables(summary.COLUMNS, sections, caption), highlight=False)
    for sentence in words:
        console.print(f"- {sentence}", markup=False, highlight=False)
    console.print(f"{folder}: config.json, results.json, arrays.npz, accuracy.png, tags.png, summary.html")
