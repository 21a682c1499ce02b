"""Image captions: is attention needed, and what does it attend to?

One-to-many: a scene of one to three handwritten digits, composed on the fly, and a sentence that names the digits and
their relation. Convolutions encode the scene, a recurrent decoder writes the sentence: from the image as its initial
state alone (Vinyals et al. 2015), or with attention over the feature map (Xu et al. 2015). Training, validation and
test scenes consist of different images. Baseline: the sentence of the training scene with the nearest pixels.

    python -m experiments.captioning --data=FOLDER     # MNIST's four IDX files
    python -m experiments.captioning                   # scikit-learn's 8 x 8 digits; nothing to download
    python -m experiments.captioning --data=FOLDER     # captions.txt (image,caption) beside images, as Flickr8k
    python -m experiments.captioning --train=TRAIN.csv --test=TEST.csv      # the same for an official split
    python -m experiments.captioning --quick           # half a minute; too short to learn the task

Expected on MNIST, one seed, 15 minutes on two cores: 95.2 % of 2,000 test scenes captioned exactly with attention
(validation 96.3), 4.5 % without, 9.3 % by the nearest scene.
"""

from experiments.captioning import described, measurement, summary
from experiments.captioning.config import QUICK, Config, plan
from experiments.common import captioned_images, fitting, flags, scenes, text_scores
from experiments.common.run_folder import RunFolder
from experiments.common.runner import run_jobs
from experiments.common.settings import Settings, with_precision
from rnn_jax.data.caption_folder import is_caption_folder

__all__ = ["QUICK", "Config", "plan", "run"]


@with_precision
def run(config: Config, workdir: str, settings: Settings = Settings()) -> None:
    """Runs the experiment and writes config.json, results.json, arrays.npz, figures and summary.html."""
    if config.reads(is_caption_folder):
        return _run_described(config, workdir, settings)
    data, networks = plan(config)
    folder = RunFolder(config, workdir, settings)
    folder.print(scenes.note(data))
    baseline = measurement.baseline(data, config.seed)
    jobs = [measurement.job(data, config, network, summary.records) for network in networks]
    outcomes = run_jobs(folder, jobs, summary.records(baseline))
    folder.arrays(fitting.training_arrays(outcomes, "exact", lambda errors: 1 - errors))
    folder.show(summary.summarize(data, baseline, outcomes))


def _run_described(config: Config, workdir: str, settings: Settings) -> None:
    """Likewise for a user's own images."""
    flags.check(config)
    text_scores.check_installed()
    data = captioned_images.load(config, config.data, config.size, config.data_seed)
    networks, folder = described.make_networks(config, data), RunFolder(config, workdir, settings)
    folder.print(data.note)
    baseline = described.baseline(data)
    jobs = [described.job(config, data, baseline, network) for network in networks]
    outcomes = run_jobs(folder, jobs, described.records(baseline, baseline))
    folder.arrays(fitting.training_arrays(outcomes, "rougeL", lambda errors: 1 - errors))
    folder.show(described.summarize(data, baseline, outcomes))
