"""Which digit was spoken, who spoke, of which class a recording is; and which digits in a row, without alignment?

Bidirectional recurrent networks on log-mel frames: classifiers of recordings (many-to-one), and connectionist temporal
classification (CTC) of digits in a row, without their times. Baseline: a support vector machine on 16 frames of each
recording; digits in a row are cut at pauses.

    python -m experiments.speech --data=FOLDER     # files {digit}_{speaker}_{number}.wav; numbers 0 to 4 are tested
    python -m experiments.speech --data=FOLDER --questions=speaker   # who speaks, in recordings not trained on
    python -m experiments.speech --data=FOLDER     # FOLDER/CLASS/*.wav, such as commands; or --train, --test FOLDERs
    python -m experiments.speech                   # synthetic digits of two gliding formants: all but the last
    python -m experiments.speech --quick           # a small version, under a minute; too short for CTC to learn

Expected for the Free Spoken Digit Dataset, medians of three seeds: 99.7 % of the single digits correct, 0.7 % of the
digits wrong in rows of 3 to 7 (`--questions=digits,joined`, five minutes on two cores). Unknown speakers: 70 % correct.
Who speaks (`--questions=speaker --epochs=5`): 100 %, the baseline 99.7 %.
"""

import jax

from experiments.common import fitting
from experiments.common.run_folder import RunFolder
from experiments.common.runner import run_jobs
from experiments.common.settings import Settings, with_precision
from experiments.speech import measurement, summary
from experiments.speech.config import QUICK, Config, plan

__all__ = ["QUICK", "Config", "plan", "run"]


@with_precision
def run(config: Config, workdir: str, settings: Settings = Settings()) -> None:
    """Runs the experiment and writes config.json, results.json, arrays.npz, figures and summary.html."""
    notes, problems = plan(config)
    folder = RunFolder(config, workdir, settings)
    folder.print("\n".join(notes))
    baselines = [measurement.baseline(problem) for problem in problems]
    keys = jax.random.split(jax.random.key(config.seed), len(problems))
    jobs = [measurement.job(config, *pair, summary.records) for pair in zip(problems, keys, strict=True)]
    pairs = zip(problems, baselines, strict=True)
    outcomes = run_jobs(folder, jobs, [record for pair in pairs for record in summary.records(*pair)])
    folder.arrays(fitting.training_arrays(outcomes, "label_error_rate"))
    folder.show(summary.summarize(notes[0], problems, baselines, outcomes))
