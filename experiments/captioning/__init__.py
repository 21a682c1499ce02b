"""Does a network say what is on a picture, and where does it look for each word?

Image to sentence, one-to-many: scenes of one to three handwritten digits, composed on the fly, and a sentence that says
which they are and how they stand to each other. Convolutions see the scene, a recurrent decoder writes: from the image
as its first state alone (Vinyals et al. 2015), or with attention to the map of features (Xu et al. 2015). Training,
validation and test scenes are made of different images. The validation part chooses the epoch; the test part is
described once. Beside them the sentence of the training scene whose pixels are nearest.

    python -m experiments.captioning --data=FOLDER     # MNIST's four IDX files
    python -m experiments.captioning                   # scikit-learn's 8 x 8 digits; nothing to download
    python -m experiments.captioning --quick           # half a minute, to see that all works: too short to learn it

To expect of MNIST, one seed, in 15 minutes on two cores: 95.2 % of 2,000 test scenes captioned without an error with
attention (validation part 96.3), 4.5 % without, 9.3 % by the nearest scene.
"""

import functools

from experiments.captioning import figures, measurement, summary
from experiments.captioning.config import QUICK, Config, plan
from experiments.captioning.measurement import Outcome
from experiments.common import parallel
from experiments.common.run_folder import RunFolder
from experiments.common.settings import Settings

__all__ = ["QUICK", "Config", "run"]


def run(config: Config, workdir: str, settings: Settings = Settings()) -> None:
    """Runs the experiment and writes config.json, results.json, validation.png, attention.png and summary.html.

    There is no attention.png without the network that attends.

    Raises:
      UserError: where the config cannot be run, `workdir` cannot be written, or holds a run of another config.
    """
    ready = plan(config)
    folder = RunFolder(config, workdir, settings)
    opponent = measurement.nearest(ready, config.seed)
    ended: dict[int, Outcome] = {}

    def finished(place: int, outcome: Outcome) -> None:
        ended[place] = outcome
        found = [record for _, each in sorted(ended.items()) for record in summary.records(ready, each, config.seed)]
        folder.results([summary.opponent_record(ready, opponent), *found])

    jobs = [functools.partial(measurement.measure, ready, config, network) for network in config.models]
    work = [ready.steps] * len(jobs)
    sessions = [folder.session(name) for name in config.models]
    parallel.run(jobs, sessions, work, parallel.programs_at_a_time(), folder.console, finished)
    outcomes = [ended[place] for place in range(len(jobs))]
    pngs = {"validation.png": ("Captions over the training", figures.validation_figure(ready, outcomes))}
    for outcome in outcomes:
        if outcome.network == "attention":
            pngs["attention.png"] = ("Where it looked for each word", figures.attention_figure(ready, outcome))
    folder.show_parts(
        "Captions",
        summary.sentences(ready, opponent, outcomes),
        [(summary.COLUMNS, {summary.title(ready): summary.rows(ready, opponent, outcomes)}, summary.CAPTION)],
        pngs,
    )
