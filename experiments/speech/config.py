"""What is run: the config, its flags' meaning, and the recordings made ready, checked before anything is run."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import networks
from experiments.common.flags import UserError, check_positive, check_shares, setting
from experiments.speech import recordings, synthetic
from experiments.speech.augmentation import of_classes, of_sequences
from experiments.speech.frames import Part, Scale
from experiments.speech.frames import parts as parts_of
from experiments.speech.recordings import Parts, Recording
from rnn_jax import Bidirectional, Cell, Dropout, Stack, cells, training
from rnn_jax.data import LogMel
from rnn_jax.models import CTC, Classifier, MeanPool
from rnn_jax.training.example_source import ExampleLoss

QUESTIONS = ("digits", "speakers", "joined")
LAG = 40  # frames of a digit, about: what chrono biases are told
TESTED = 500  # joined recordings that validate, and that test


@dataclasses.dataclass(frozen=True)
class Config:
    """What is run; every field is a flag."""

    data: str | None = setting(
        None, "Folder of files {digit}_{speaker}_{number}.wav; by default digits made by two gliding formants."
    )
    questions: tuple[str, ...] = setting(
        QUESTIONS,
        "Comma list of digits (which one, of known speakers), speakers (of one never heard, each in turn), joined "
        "(which ones, several in a recording, by CTC).",
    )
    cell: str = setting("gru", f"One of {', '.join([*cells.CELLS, *networks.VARIANTS])}, or your own as module:Class.")
    hidden_size: int = setting(64, "Units of each direction of each layer.")
    layers: int = setting(2, "Bidirectional layers, one above the other.")
    bands: int = setting(40, "Mel bands of a frame.")
    recordings: int = setting(20, "Of a digit by a speaker, where they are made.")
    joined: int = setting(2000, "Joined recordings to learn from.")
    buckets: int = setting(3, "Lengths that recordings are padded to; each is compiled.")
    epochs: int = setting(12, "Times that every recording is heard.")
    batch_size: int = setting(32, "Recordings an optimization step.")
    learning_rate: float = setting(5e-3, "Adam's learning rate at the start; it falls to 0 along a cosine.")
    clip_norm: float = setting(1.0, "Global gradient norm to which gradients are clipped.")
    dropout: float = setting(0.2, "Share of a layer's inputs dropped, above the first, and of what is read at the end.")
    seeds: int = setting(3, "Runs of each network, all in one compiled program; of `speakers` there is one a speaker.")
    seed: int = setting(0, "From which every random number follows.")


QUICK = Config(
    questions=("digits", "joined"),
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


@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    """A split of recordings made ready, and the network that is to read them."""

    question: str
    name: str  # of the table's row
    parts: dict[str, Part]
    singles: dict[str, Part]  # what its opponent learns from: training and validation part of single digits
    trainer: training.Trainer
    loss: ExampleLoss
    epochs: int
    seeds: int

    @property
    def work(self) -> int:
        """Optimization steps."""
        return self.epochs * training.epoch_steps(self.parts["training"].examples[0], self.trainer.batch_size)


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """A config made ready."""

    source: str  # of the recordings, in words
    count: int
    speakers: list[str]
    mel: LogMel
    problems: list[Problem]


def plan(config: Config) -> Plan:
    """All that a config asks for.

    Raises:
      UserError: where a flag's value cannot be run.
    """
    counts = ("hidden_size", "layers", "bands", "recordings", "joined", "buckets", "epochs", "batch_size", "seeds")
    check_positive(config, *counts, "learning_rate", "clip_norm")
    check_shares(config, "dropout")
    if not config.questions or set(config.questions) - set(QUESTIONS):
        raise UserError(f"--questions must be some of {', '.join(QUESTIONS)}, got {','.join(config.questions)!r}")
    source, found, rate = _found(config)
    try:
        mel = LogMel(rate, config.bands)
    except ValueError as error:
        raise UserError(f"--bands={config.bands}: {error}") from error
    speakers = sorted({recording.speaker for recording in found})
    if "speakers" in config.questions and len(speakers) < 2:
        raise UserError(
            f"--questions=speakers needs recordings of two speakers, got those of {speakers[0]} in {source}"
        )
    problems = []
    try:
        if "digits" in config.questions:
            problems.append(_classify(config, "digits", "classifier", recordings.by_number(found), mel))
        if "speakers" in config.questions:
            problems += [
                _classify(config, "speakers", name, recordings.by_speaker(found, name), mel) for name in speakers
            ]
        if "joined" in config.questions:
            problems.append(_transcribe(config, recordings.by_number(found), mel))
    except ValueError as error:
        raise UserError(f"{source}: {error}") from error
    return Plan(source, len(found), speakers, mel, problems)


def _found(config: Config) -> tuple[str, list[Recording], int]:
    """Where the recordings are from, they, and their rate."""
    if config.data is None:
        made = synthetic.recordings(config.recordings, np.random.default_rng(config.seed))
        return "two gliding formants", made, synthetic.RATE
    try:
        found, rate = recordings.read_folder(config.data)
    except ValueError as error:
        raise UserError(f"--data: {error}") from error
    return config.data, found, rate


def _classify(config: Config, question: str, name: str, parts: Parts, mel: LogMel) -> Problem:
    frames, digits = _singles(parts, mel)
    ready = parts_of(frames, digits, Scale.of(frames["training"]), config.buckets)
    model = Classifier(_layer(config), 10, pooling=MeanPool(), dropout=config.dropout)
    seeds = config.seeds if question == "digits" else 1
    trainer = _trainer(config, model, ready["training"])
    return Problem(question, name, ready, ready, trainer, of_classes, config.epochs, seeds)


def _transcribe(config: Config, parts: Parts, mel: LogMel) -> Problem:
    rng = np.random.default_rng(config.seed)
    # Few where few are learnt from, as `--quick` does.
    counts = {"training": config.joined, "validation": TESTED, "test": TESTED}
    counts = {part: min(count, config.joined) for part, count in counts.items()}
    joined = {part: recordings.join(each, counts[part], mel.rate, rng) for part, each in parts._asdict().items()}
    frames = {part: [mel(j.samples) for j in each] for part, each in joined.items()}
    scale = Scale.of(frames["training"])
    ready = parts_of(frames, {part: [j.digits for j in each] for part, each in joined.items()}, scale, config.buckets)
    singles = parts_of(*_singles(parts, mel), scale, config.buckets)
    model = CTC(_layer(config), 10)
    trainer = _trainer(config, model, ready["training"])
    return Problem("joined", "CTC", ready, singles, trainer, of_sequences, config.epochs, config.seeds)


def _singles(parts: Parts, mel: LogMel) -> tuple[dict[str, list[np.ndarray]], dict[str, list[list[int]]]]:
    """Frames and digits by part."""
    named = parts._asdict()
    return (
        {part: [mel(r.samples) for r in each] for part, each in named.items()},
        {part: [[r.digit] for r in each] for part, each in named.items()},
    )


def _trainer(config: Config, model: Any, part: Part) -> training.Trainer:
    steps = config.epochs * training.epoch_steps(part.examples[0], config.batch_size)
    optimizer = training.CosineDecay(training.Adam(config.learning_rate), steps)
    return training.Trainer(model, config.batch_size, optimizer, training.ClipByNorm(config.clip_norm))


def _layer(config: Config) -> Cell:
    """Bidirectional layers, dropout between them."""
    found: list[Cell] = []
    for _ in range(config.layers):
        size = found[-1].output_size if found else config.bands
        (cell,) = networks.make_cells(config.cell, size, config.hidden_size, LAG, 1)
        layer: Cell = Bidirectional(cell)
        found.append(Dropout(layer, config.dropout) if found and config.dropout else layer)
    model = found[0] if len(found) == 1 else Stack(tuple(found))

    def use(key: jax.Array) -> Any:
        classifier, xs = Classifier(model, 10, pooling=MeanPool()), jnp.zeros((2, 1, config.bands))
        params = classifier.init(key)
        return jax.grad(lambda p: classifier.loss(p, xs, jnp.zeros(1, int), key=key))(params)

    try:
        jax.eval_shape(use, jax.random.key(0))
    except Exception as error:  # a user's own code
        raise UserError(f"--cell={config.cell} cannot be used: {type(error).__name__}: {error}") from error
    return model
