"""Image captions: is attention needed, and what does it attend to?

One-to-many: a scene of one to three handwritten digits, composed on the fly, and a sentence that names the digits and
their relation. Convolutions encode the scene, a recurrent decoder writes the sentence: from the image as its initial
state alone (Vinyals et al. 2015), or with attention over the feature map (Xu et al. 2015). Training, validation and
test scenes consist of different images. Baseline: the sentence of the training scene with the nearest pixels.

    python -m experiments.captioning --data=FOLDER     # MNIST's four IDX files
    python -m experiments.captioning                   # scikit-learn's 8 x 8 digits; nothing to download
    python -m experiments.captioning --quick           # half a minute; too short to learn the task

Expected on MNIST, one seed, 15 minutes on two cores: 95.2 % of 2,000 test scenes captioned exactly with attention
(validation 96.3), 4.5 % without, 9.3 % by the nearest scene.
"""

from experiments.captioning import measurement, summary
from experiments.captioning.config import QUICK, Config, plan
from experiments.common import fitting
from experiments.common.run_folder import RunFolder
from experiments.common.runner import run_jobs
from experiments.common.settings import Settings, with_precision

__all__ = ["QUICK", "Config", "plan", "run"]


@with_precision
def run(config: Config, workdir: str, settings: Settings = Settings()) -> None:
    """Runs the experiment and writes config.json, results.json, arrays.npz, figures and summary.html."""
    data, networks = plan(config)
    folder = RunFolder(config, workdir, settings)
    baseline = measurement.baseline(data, config.seed)
    jobs = [measurement.job(data, config, network, summary.records) for network in networks]
    outcomes = run_jobs(folder, jobs, summary.records(baseline))
    folder.arrays(fitting.training_arrays(outcomes, "exact", lambda errors: 1 - errors))
    folder.show(summary.summarize(data, baseline, outcomes))
