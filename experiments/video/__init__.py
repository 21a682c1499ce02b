"""What does a recurrence see in a film that no frame shows?

Aligned many-to-many and many-to-one: clips of one handwritten digit that moves along a path, made on the fly. Of every
frame the direction of the last move is asked, of the clip which digit moved along which path. Convolutions see each
frame, a recurrent cell reads them in order (Donahue et al. 2015); beside it the same convolutions with no cell, and the
mean of the frames for the clip. Training, validation and test clips are made of different images. The validation part
chooses the epoch; the test part is looked at once.

    python -m experiments.video --data=FOLDER     # MNIST's four IDX files
    python -m experiments.video                   # scikit-learn's 8 x 8 digits; nothing to download
    python -m experiments.video --quick           # half a minute, to see that all works: too short to learn it

To expect of MNIST, medians of three seeds: the direction of 99.9 % of the moves and digit and path of 95.5 % of the
clips by convolutions with a GRU, 29.0 and 18.6 % by convolutions alone, that know the digit and guess the path.
"""

import functools

from experiments.common import parallel
from experiments.common.run_folder import RunFolder
from experiments.common.settings import Settings
from experiments.video import figures, measurement, summary
from experiments.video.config import QUICK, Config, plan
from experiments.video.measurement import Outcome

__all__ = ["QUICK", "Config", "run"]


def run(config: Config, workdir: str, settings: Settings = Settings()) -> None:
    """Runs the experiment and writes config.json, results.json, three figures and summary.html.

    Raises:
      UserError: where the config cannot be run, `workdir` cannot be written, or holds a run of another config.
    """
    ready = plan(config)
    folder = RunFolder(config, workdir, settings)
    true = measurement.truth(ready.test)
    ended: dict[int, Outcome] = {}

    def finished(place: int, outcome: Outcome) -> None:
        ended[place] = outcome
        every = sorted(ended.items())
        folder.results([record for _, each in every for record in summary.records(ready, each, true, config.seed)])

    jobs = [functools.partial(measurement.measure, ready, config, cell) for cell in config.cells]
    work = [ready.steps] * len(jobs)
    sessions = [folder.session(name) for name in config.cells]
    parallel.run(jobs, sessions, work, parallel.programs_at_a_time(), folder.console, finished)
    outcomes = [ended[place] for place in range(len(jobs))]
    folder.show_parts(
        "Video",
        summary.sentences(outcomes, true),
        [(summary.COLUMNS, {summary.title(ready): summary.rows(outcomes, true)}, summary.CAPTION)],
        {
            "clips.png": ("What is said of each frame", figures.clips_figure(ready, outcomes, true)),
            "paths.png": ("Which path is taken for which", figures.paths_figure(outcomes, true)),
            "validation.png": ("Errors over the training", figures.validation_figure(ready, outcomes)),
        },
    )
