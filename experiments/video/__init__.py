"""Video: what does a recurrence see in a clip that no single frame shows?

Aligned many-to-many and many-to-one: clips of one handwritten digit that moves along a path, made on the fly. The
question about each frame is the direction of the last move, those about the clip are digit and path. Convolutions
encode each frame, a recurrent cell reads them in order (Donahue et al. 2015). Baseline: the same convolutions without a
cell, and the mean of the frames for the clip. Training, validation and test clips show different images.

    python -m experiments.video --data=FOLDER     # MNIST's four IDX files
    python -m experiments.video --train=TRAIN.csv --test=TEST.csv      # the same for an official split
    python -m experiments.video                   # scikit-learn's 8 x 8 digits; nothing to download
    python -m experiments.video --data=FOLDER     # labels.csv (clip,label or clip,frame,label) beside folders of frames
    python -m experiments.video --quick           # half a minute; too short to learn the task

Expected on MNIST, medians of three seeds, 28 minutes on two cores: the direction of 99.9 % of the moves and digit and
path of 95.5 % of the clips with a GRU; 29.0 and 18.6 % by convolutions alone, which see the digit and guess the path.
"""

from experiments.baselines import pixels
from experiments.common import classification, clips, fitting, flags, labelled_clips
from experiments.common.run_folder import RunFolder
from experiments.common.runner import run_jobs
from experiments.common.settings import Settings, with_precision
from experiments.video import labelled, measurement, summary
from experiments.video.config import QUICK, Config, plan
from rnn_jax.data.clip_folder import is_clip_folder

__all__ = ["QUICK", "Config", "plan", "run"]


@with_precision
def run(config: Config, workdir: str, settings: Settings = Settings()) -> None:
    """Runs the experiment and writes config.json, results.json, arrays.npz, three figures and summary.html."""
    if config.reads(is_clip_folder):
        return _run_labelled(config, workdir, settings)
    data, networks = plan(config)
    folder = RunFolder(config, workdir, settings)
    folder.print(clips.note(data))
    outcomes = run_jobs(folder, [measurement.job(data, config, network, summary.records) for network in networks])
    folder.arrays(fitting.training_arrays(outcomes, "wrong"))
    folder.show(summary.summarize(data, outcomes))


def _run_labelled(config: Config, workdir: str, settings: Settings) -> None:
    """Likewise for a user's own clips."""
    flags.check(config)
    data = labelled_clips.load(config, config.data, config.size, config.data_seed)
    networks, folder = labelled.make_networks(config, data), RunFolder(config, workdir, settings)
    folder.print(data.note)
    baselines = pixels.baselines({name: split.pixels for name, split in data.splits.items()}, data)
    records = [record for row in baselines for record in classification.records(baselines, row)]
    outcomes = run_jobs(folder, [labelled.job(config, data, baselines, network) for network in networks], records)
    folder.arrays(fitting.training_arrays(outcomes, "accuracy", classification.accuracy))
    folder.show(labelled.summarize(data, baselines, outcomes))
