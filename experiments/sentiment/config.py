"""What is run: the config, its flags' meaning, and what follows from it, checked before anything is run."""

import dataclasses

from experiments.common.flags import UserError, setting
from experiments.common.text_classification import networks
from experiments.common.text_classification.measurement import Network
from experiments.common.text_classification.texts import Texts, read
from experiments.common.text_classification.words import words
from experiments.sentiment.reviews import reviews
from rnn_jax import training
from rnn_jax.data import Embedding

# Chosen on rt-polarity's validation part: many words, few texts of each. The grammar's 55 words have all to be read: a
# negation that is dropped turns the verdict round, and with these its reviews are not learnt at all.
FEW_TEXTS = {"word_dropout": 0.3, "input_dropout": 0.5, "dropout": 0.5}


@dataclasses.dataclass(frozen=True)
class Config:
    """What is run; every field is a flag."""

    data: str | None = setting(
        None,
        "A folder with rt-polarity.neg and rt-polarity.pos, a folder of CLASS.txt with a text a line, or a .csv or "
        ".tsv with columns label and text; by default reviews made by a grammar.",
    )
    split: tuple[str, ...] = setting(("80", "10", "10"), "Comma list of percents: training, validation and test part.")
    cells: tuple[str, ...] = setting(("rnn", "lstm", "gru", "bi_lstm"), networks.CELLS_HELP)
    embedding: int = setting(64, "Features of a word.")
    hidden_size: int = setting(64, "Units, of each direction.")
    pooling: str = setting("mean", f"What is read of the outputs over time: one of {', '.join(networks.POOLINGS)}.")
    min_count: int = setting(2, "A word that comes less often in the training part is <unk>.")
    word_dropout: float | None = setting(
        None, f"Share of the words made <unk> in training; {FEW_TEXTS['word_dropout']} with --data, else 0."
    )
    input_dropout: float | None = setting(
        None, f"Share of the words' features dropped in training; {FEW_TEXTS['input_dropout']} with --data, else 0."
    )
    dropout: float | None = setting(
        None, f"Share of the pooled features dropped in training; {FEW_TEXTS['dropout']} with --data, else 0."
    )
    epochs: int = setting(7, "Times that the training part is read; the best epoch on the validation part counts.")
    batch_size: int = setting(100, "Texts a step.")
    learning_rate: float = setting(4e-3, "Adam's learning rate at the start; it falls to 0 along a cosine.")
    clip_norm: float = setting(1.0, "Global gradient norm to which gradients are clipped.")
    seeds: int = setting(3, "Runs of each network, in one program.")
    seed: int = setting(0, "From which every random number follows, the split too.")


QUICK = Config(
    cells=("rnn", "bi_gru"),
    embedding=24,
    hidden_size=24,
    epochs=4,
    learning_rate=0.01,
    seeds=1,
)


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """A config made ready."""

    texts: Texts
    networks: list[Network]


def plan(config: Config) -> Plan:
    """All that a config asks for.

    Raises:
      UserError: where a flag's value cannot be run.
    """
    positive = ("embedding", "hidden_size", "min_count", "epochs", "batch_size", "learning_rate", "clip_norm", "seeds")
    fallback = dict.fromkeys(FEW_TEXTS, 0.0) if config.data is None else FEW_TEXTS
    given = {name: getattr(config, name) for name in FEW_TEXTS}
    rates: dict[str, float] = {name: fallback[name] if rate is None else rate for name, rate in given.items()}
    networks.check(config, positive, rates)
    if config.pooling not in networks.POOLINGS:
        raise UserError(f"--pooling must be one of {', '.join(networks.POOLINGS)}, got {config.pooling!r}")
    default = "reviews made by a grammar"
    texts = read(config.data, reviews, default, config.split, config.seed, words, config.min_count)
    encoder = Embedding(len(texts.vocabulary), config.embedding)
    steps = config.epochs * training.epoch_steps(texts.parts["training"].buckets, config.batch_size)
    optimizer = training.CosineDecay(training.Adam(config.learning_rate), steps)
    clip = training.ClipByNorm(config.clip_norm)
    made = []
    for name in config.cells:
        model = networks.classifier(
            name,
            encoder,
            config.hidden_size,
            len(texts.classes),
            networks.POOLINGS[config.pooling],
            texts.longest,
            rates["input_dropout"],
            rates["dropout"],
        )
        trainer = training.Trainer(model, config.batch_size, optimizer, clip)
        made.append(Network(name, trainer, rates["word_dropout"], config.epochs))
    return Plan(texts, made)
