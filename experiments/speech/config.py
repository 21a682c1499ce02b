"""Config, flags, and the recordings and networks that follow from them."""

import dataclasses
from collections.abc import Iterable

import numpy as np

from experiments.common import flags, networks, splits
from experiments.common.fitting import Network
from experiments.common.flags import FitConfig, Need, setting, user_errors
from experiments.common.splits import SplitFiles
from experiments.common.transcripts import Split
from experiments.speech import recordings
from experiments.speech.measurement import QUESTIONS, Problem, loss
from experiments.speech.recordings import Task
from rnn_jax import Bidirectional
from rnn_jax.applications import SpeechRecognizer
from rnn_jax.data import Buckets, LogMel, read_labelled_sounds, read_spoken_digits, synthetic_digits
from rnn_jax.data.sound_folder import has_class_folders
from rnn_jax.models import CTC, Classifier, MeanPool

LAG = 40  # frames of a digit, about, for chrono initialisation
JOINED = Need(
    lambda c: "joined" in c.questions and not c.reads(has_class_folders), "without --questions=joined of digits"
)


@dataclasses.dataclass(frozen=True)
class Config(SplitFiles, FitConfig):
    """Config of a run; every field is a flag."""

    data: str | None = setting(
        None, "Folder of {digit}_{speaker}_{number}.wav, or of folders CLASS of WAV files; by default synthetic digits."
    )
    train: str | None = setting(None, "Folder of folders CLASS of the training set; with --test, in place of --data.")
    questions: tuple[str, ...] = setting(
        tuple(QUESTIONS),
        "Comma list of digits, speakers (digits of unknown speakers), joined (digits in a row), speaker (who speaks), "
        "class (folder of a recording); those that the recordings cannot answer are left out.",
        choices=tuple(QUESTIONS),
    )
    cell: str = setting("gru", networks.CELL_HELP)
    hidden_size: int = setting(64, "Units of each layer in each direction.")
    layers: int = setting(2, "Number of bidirectional layers.")
    bands: int = setting(40, "Mel bands of a frame.")
    recordings: int = setting(20, "Synthetic recordings of each digit by each speaker.", needs=splits.MADE)
    joined: int = setting(2000, "Joined recordings of the training set.", needs=JOINED)
    buckets: int = setting(3, "Lengths that recordings are padded to; each is compiled.")
    epochs: int = setting(12)
    learning_rate: float = setting(5e-3)
    dropout: float = setting(0.2, "Share dropped of the inputs of the readout and of all layers but one.", share=True)
    seeds: int = setting(3, "Runs of each network, all in one compiled program; one for each of `speakers`.")

    @property
    def networks(self) -> int:
        return len(self.questions)


QUICK = Config(
    questions=("digits", "joined", "class"),
    hidden_size=24,
    layers=1,
    bands=20,
    recordings=14,
    joined=128,
    buckets=1,
    epochs=16,
    learning_rate=0.01,
    seeds=1,
)


def plan(config: Config) -> tuple[list[str], list[Problem]]:
    """Returns lines about the recordings, and the problems.

    Raises:
      UserError: if a flag's value cannot be run.
    """
    flags.check(config)
    source, rate, tasks = _read(config)
    with user_errors(f"--bands={config.bands}"):
        mel = LogMel(rate, config.bands)
    notes = [f"{source}, {rate:,} Hz", *(task.note for task in tasks)]
    if skipped := [each for each in config.questions if each not in {task.question for task in tasks}]:
        notes.append(f"Not for these recordings: {', '.join(skipped)}")
    return notes, [_problem(config, task, mel) for task in tasks]


def _read(config: Config) -> tuple[str, int, list[Task]]:
    """Returns a description of the recordings, their rate, and the tasks."""
    if config.reads(has_class_folders):
        path = str(config.train or config.data)
        parts, how = splits.read_folder(config, path, read_labelled_sounds, "recordings", config.data_seed)
        count, rate = sum(len(each.samples) for each in parts.values()), parts["training"].rate
        with user_errors(path):
            tasks = recordings.class_tasks(parts, config.questions)
        return f"{path}: {count:,} recordings in folders, {how}", rate, tasks
    origin, rng = config.data or "Two gliding formants", np.random.default_rng(config.data_seed)
    with user_errors("--data"):
        every, rate = read_spoken_digits(config.data) if config.data else synthetic_digits(config.recordings, rng)
    with user_errors(origin):
        tasks = recordings.digit_tasks(every, rate, config.questions, config.joined, config.data_seed)
    return f"{origin}: {len(every):,} recordings of spoken digits", rate, tasks


def _problem(config: Config, task: Task, mel: LogMel) -> Problem:
    """Returns a problem; the frames are standardised, band by band, on the training set."""
    frames = {name: [mel(samples) for _, samples in part] for name, part in task.asked.items()}
    steps = np.concatenate(frames["training"])
    mean, deviation = steps.mean(axis=0), steps.std(axis=0) + 1e-6

    def scaled(frames: Iterable[np.ndarray]) -> list[np.ndarray]:
        return [(each - mean) / deviation for each in frames]

    lengths = Buckets.of([each for part in frames.values() for each in part], config.buckets)
    splits = {n: Split.of(scaled(frames[n]), [ids for ids, _ in part], lengths) for n, part in task.asked.items()}
    singles = {n: (scaled(mel(x) for _, x in p), np.array([i for (i,), _ in p])) for n, p in task.singles.items()}
    model = _model(config, task)
    networks.probe_loss(f"--cell={config.cell}", model, loss, splits["training"].buckets)
    title = f"{task.name.removeprefix('speaker ')}, {'CTC' if task.question == 'joined' else 'classifier'}"
    application = SpeechRecognizer(model, mel, tuple(map(float, mean)), tuple(map(float, deviation)), task.labels)
    network = Network(task.name, config.trainer(model, splits["training"].buckets), title, application)
    seeds = 1 if task.question == "speakers" else config.seeds
    return Problem(task.question, task.labels, network, seeds, splits, singles)


def _model(config: Config, task: Task) -> Classifier | CTC:
    shape = (config.bands, config.hidden_size, LAG, config.layers)
    cell, size = networks.make_stack(config.cell, *shape, Bidirectional, config.dropout), len(task.labels)
    return CTC(cell, size) if task.question == "joined" else Classifier(cell, size, None, MeanPool(), config.dropout)
