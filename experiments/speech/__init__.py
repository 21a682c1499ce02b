"""Which digit was spoken, by a known voice and by one never heard; and which digits, where nobody cut them apart?

Bidirectional recurrent networks on log-mel frames: a classifier of single recordings (many-to-one), and by
connectionist temporal classification the transcript of several digits in a row, of which training tells the order but
not the moment. Beside them a support vector machine on recordings of one length, for joined digits cut where it is
quiet. The validation part chooses the epoch; the test part is heard once.

    python -m experiments.speech --data=FOLDER             # {digit}_{speaker}_{number}.wav, as the Free Spoken Digit
                                                           # Dataset's, split as it says: 0 to 4 test
    python -m experiments.speech                           # digits made by two gliding formants, no speech
    python -m experiments.speech --quick                   # to see that all works: too short to learn much

To expect of the Free Spoken Digit Dataset, medians of three seeds: 99.7 % of the single digits by voices heard in
training; of 3 to 7 digits in a row 0.7 % wrong (`--questions=digits,joined`, five minutes on two cores). By a voice
that was never heard, one seed for each of six, 70 %.
"""

import functools

import jax

from experiments.common import parallel
from experiments.common.run_folder import RunFolder
from experiments.common.settings import Settings
from experiments.speech import figures, summary
from experiments.speech.config import QUICK, Config, plan
from experiments.speech.measurement import Outcome, measure

__all__ = ["QUICK", "Config", "plan", "run"]


def run(config: Config, workdir: str, settings: Settings = Settings()) -> None:
    """Runs the experiment and writes config.json, results.json, figures and summary.html.

    `results.json` is written anew as soon as a network has ended, so that what is interrupted keeps what it has.

    Raises:
      UserError: where the config cannot be run, `workdir` cannot be written, or holds a run of another config.
    """
    ready = plan(config)
    folder = RunFolder(config, workdir, settings)
    problems = ready.problems
    outcomes: dict[int, Outcome] = {}

    def finished(place: int, outcome: Outcome) -> None:
        outcomes[place] = outcome
        folder.results([record for i in sorted(outcomes) for record in summary.records(outcomes[i], config.seed)])

    keys = jax.random.split(jax.random.key(config.seed), len(problems))
    jobs = [functools.partial(measure, problem, key) for problem, key in zip(problems, keys, strict=True)]
    sessions, work = [folder.session(f"{p.question} {p.name}") for p in problems], [p.work for p in problems]
    parallel.run(jobs, sessions, work, parallel.programs_at_a_time(), folder.console, finished)
    done = [outcomes[place] for place in range(len(problems))]
    pngs = {"errors.png": ("Errors over the training", figures.errors_figure(done))}
    if single := [outcome for outcome in done if outcome.problem.question != "joined"]:
        pngs["confusion.png"] = ("Which digit is taken for which", figures.confusion_figure(single))
    for outcome in done:
        if outcome.problem.question == "joined":
            pngs["joined.png"] = ("Several digits", figures.joined_figure(outcome, ready.mel.hop))
    words = [summary.source(ready), *summary.sentences(done)]
    folder.show_parts("Spoken digits", words, [(summary.COLUMNS, summary.sections(done), summary.CAPTION)], pngs)
