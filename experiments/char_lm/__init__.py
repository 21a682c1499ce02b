"""How well does a recurrent network tell the next character of a text, beside a model that counts the last four?

A character language model by truncated BPTT: the text is cut into streams that are read side by side, segment by
segment; the gradient ends at a segment's beginning, the state does not. Split before anything is counted; the
parameters kept are those that are best on the validation part, and the test part is looked at once, at the end.

    python -m experiments.char_lm --data=FILE              # any UTF-8 text; of a million characters, about 15 minutes
    python -m experiments.char_lm --data=FILE --hidden_size=256 --epochs=4 --checkpoints=8 --dropout=0   # one minute
    python -m experiments.char_lm                          # Python's own source; about 15 minutes
    python -m experiments.char_lm --quick                  # under 30 seconds

To expect, in nats per character of Shakespeare's plays (karpathy/char-rnn's tinyshakespeare, 90/5/5): 1.518 on the
validation part and 1.640 on the test part by the 5-gram model, 1.445 and 1.560 by the network of the second command
(medians of seeds 0, 1 and 2).
What `--quick` trains is too small, for too short a time, to come to the 5-gram model.
"""

import functools
import threading

from rich.text import Text

from experiments.char_lm import figures, measurement, summary
from experiments.char_lm.config import QUICK, Config, plan
from experiments.char_lm.measurement import ORDER, Looks, Outcome
from experiments.common import parallel
from experiments.common.run_folder import RunFolder
from experiments.common.settings import Settings
from rnn_jax import report

__all__ = ["QUICK", "Config", "run"]


def run(config: Config, workdir: str, settings: Settings = Settings()) -> None:
    """Runs the experiment and writes config.json, results.json, arrays.npz, parameters.npz, loss.png and summary.html.

    `results.json` is written anew after every look at the validation part, and `parameters.npz` where it was the best,
    so that what is interrupted keeps what it has.

    Raises:
      UserError: where the config cannot be run, `workdir` cannot be written, or holds a run of another config.
    """
    ready = plan(config)
    folder = RunFolder(config, workdir, settings)
    baselines = measurement.baselines(ready)
    lock, standing = threading.Lock(), [f"{ORDER}-gram: {baselines.ngram['validation']:.4f} nats/character"]

    def looked(looks: Looks) -> None:
        record = summary.record(ready, config, baselines, looks)
        folder.results([record])
        if looks.best_look == len(looks.steps) - 1:
            folder.arrays(summary.parameters(looks.best), "parameters.npz")
        with lock:
            standing[1:] = [
                f"step {looks.steps[-1]:,}: validation {looks.validation[-1]:.4f}, at the best "
                f"{min(looks.validation):.4f} nats/character"
            ]

    def below() -> Text:
        with lock:
            return Text("\n".join(standing))

    outcomes: list[Outcome] = []
    job = functools.partial(measurement.measure, ready, config, looked)
    parallel.run(
        [job],
        [folder.session(config.cell)],
        [ready.steps],
        1,
        folder.console,
        lambda _, outcome: outcomes.append(outcome),
        below,
    )
    (outcome,) = outcomes
    record = summary.finished_record(ready, config, baselines, outcome)
    folder.results([record])
    folder.arrays(summary.arrays(config, outcome))
    png = figures.loss_figure(ready, baselines, outcome, config.dropout > 0)
    folder.file("loss.png", png)
    rows, words = summary.rows(config, baselines, outcome), summary.sentences(ready, baselines, outcome)
    table = report.html_table(summary.COLUMNS, {summary.title(ready): rows}, summary.caption(ready))
    page = report.page(
        "A character language model",
        [*words, f"A sample: {outcome.sample}"],
        [table],
        {"Loss over the training": png},
        folder.header,
    )
    folder.file("summary.html", page)
    summary.show(folder.console, ready, rows, words, outcome.sample)
    folder.print_written()
