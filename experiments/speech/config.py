"""Config, flags, and the recordings and networks that follow from them."""

import dataclasses
from collections.abc import Iterable

import numpy as np

from experiments.common import flags, networks
from experiments.common.fitting import Network
from experiments.common.flags import FitConfig, UserError, setting, user_errors
from experiments.speech import recordings
from experiments.speech.measurement import QUESTIONS, Problem, Split, loss
from rnn_jax import Bidirectional
from rnn_jax.applications import SpeechRecognizer
from rnn_jax.data import Buckets, LogMel, SpokenDigit, read_spoken_digits, synthetic_digits
from rnn_jax.models import CTC, Classifier, MeanPool

LAG = 40  # frames of a digit, about, for chrono initialisation
HELD_OUT = 500  # joined recordings of the validation and of the test set, at most


@dataclasses.dataclass(frozen=True)
class Config(FitConfig):
    """Config of a run; every field is a flag."""

    data: str | None = setting(None, "Folder of {digit}_{speaker}_{number}.wav; by default synthetic digits.")
    questions: tuple[str, ...] = setting(
        tuple(QUESTIONS),
        "Comma list of digits, speakers (digits of unknown speakers), joined (digits in a row).",
        choices=tuple(QUESTIONS),
    )
    cell: str = setting("gru", networks.CELL_HELP)
    hidden_size: int = setting(64, "Units of each layer in each direction.")
    layers: int = setting(2, "Number of bidirectional layers.")
    bands: int = setting(40, "Mel bands of a frame.")
    recordings: int = setting(20, "Synthetic recordings of each digit by each speaker.")
    joined: int = setting(2000, "Joined recordings of the training set.")
    buckets: int = setting(3, "Lengths that recordings are padded to; each is compiled.")
    epochs: int = setting(12)
    learning_rate: float = setting(5e-3)
    dropout: float = setting(0.2, "Share dropped of the inputs of the readout and of all layers but one.", share=True)
    seeds: int = setting(3, "Runs of each network, all in one compiled program; one for each of `speakers`.")

    @property
    def networks(self) -> int:
        return len(self.questions)


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


def plan(config: Config) -> tuple[str, list[Problem]]:
    """Returns a description of the recordings, and the problems.

    Raises:
      UserError: if a flag's value cannot be run.
    """
    flags.check(config)
    if config.data is None:
        rng = np.random.default_rng(config.seed)
        source, (every, rate) = "two gliding formants", synthetic_digits(config.recordings, rng)
    else:
        with user_errors("--data"):
            source, (every, rate) = config.data, read_spoken_digits(config.data)
    with user_errors(f"--bands={config.bands}"):
        mel = LogMel(rate, config.bands)
    speakers = sorted({recording.speaker for recording in every})
    if "speakers" in config.questions and len(speakers) < 2:
        raise UserError(f"--questions=speakers needs recordings of two speakers, got only {speakers[0]} in {source}")
    problems = []
    for question in (each for each in QUESTIONS if each in config.questions):
        for unknown in speakers if question == "speakers" else [None]:
            with user_errors(source):
                splits = recordings.split(every, unknown)
            problems.append(_problem(config, question, unknown, splits, mel))
    return f"{len(every):,} recordings of {len(speakers)} speakers: {source}", problems


def _problem(
    config: Config, question: str, unknown: str | None, singles: dict[str, list[SpokenDigit]], mel: LogMel
) -> Problem:
    """Returns a problem; the frames are standardised, band by band, on the training set."""
    read = {name: [([each.digit], each.samples) for each in split] for name, split in singles.items()}
    if question == "joined":
        rng, held_out = np.random.default_rng(config.seed), min(HELD_OUT, config.joined)
        counts = {"training": config.joined, "validation": held_out, "test": held_out}
        read = {name: recordings.join(singles[name], count, mel.rate, rng) for name, count in counts.items()}
    frames = {name: [mel(samples) for _, samples in split] for name, split in read.items()}
    steps = np.concatenate(frames["training"])
    mean, deviation = steps.mean(axis=0), steps.std(axis=0) + 1e-6

    def scaled(frames: Iterable[np.ndarray]) -> list[np.ndarray]:
        return [(each - mean) / deviation for each in frames]

    lengths = Buckets.of([each for split in frames.values() for each in split], config.buckets)
    splits = {n: Split.of(scaled(frames[n]), [digits for digits, _ in split], lengths) for n, split in read.items()}
    labelled = {n: (scaled(mel(d.samples) for d in s), np.array([d.digit for d in s])) for n, s in singles.items()}
    model = _model(config, question)
    networks.probe_loss(f"--cell={config.cell}", model, loss, splits["training"].buckets)
    name, kind = f"speaker {unknown}" if unknown else question, "CTC" if question == "joined" else "classifier"
    scale = {"mean": tuple(map(float, mean)), "deviation": tuple(map(float, deviation))}
    application = SpeechRecognizer(model, mel, **scale, labels=tuple("0123456789"))
    trainer = config.trainer(model, splits["training"].buckets)
    network = Network(name, trainer, f"{unknown or question}, {kind}", application)
    return Problem(question, network, 1 if unknown else config.seeds, splits, labelled)


def _model(config: Config, question: str) -> Classifier | CTC:
    shape = (config.bands, config.hidden_size, LAG, config.layers)
    cell = networks.make_stack(config.cell, *shape, Bidirectional, config.dropout)
    return CTC(cell, 10) if question == "joined" else Classifier(cell, 10, None, MeanPool(), config.dropout)
