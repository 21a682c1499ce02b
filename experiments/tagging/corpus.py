"""Tagged sentences of files, of a treebank's folder, or of Python's source: what was read, and how."""

import dataclasses
from typing import Any

from experiments.common import splits
from experiments.common.flags import UserError, user_errors
from rnn_jax.data import Sentence, TagCorpus, read_tagged, read_treebank, source_code

SOURCE = "Lines of Python's standard library"
TREEBANK = (
    "CoNLL-U, UTF-8: form in column 2, universal part of speech in column 4; split by file name (train, dev, test)"
)


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """What was read, and how."""

    name: str
    lines: list[str]  # which format, encoding, columns and split were read
    entities: bool = False  # tags are O, B-TYPE, I-TYPE; else each word has one of its own
    given: bool = False  # the user gave the split: sentences that come again are kept


@dataclasses.dataclass(frozen=True, eq=False)
class Corpus(TagCorpus):
    """Data of a run."""

    source: Source
    repeated: dict[str, int]  # sentences that a later split has, too, by split

    @property
    def note(self) -> str:
        """Sentence about repeated sentences."""
        return (splits.repeats_note if self.source.given else splits.removed_note)(self.repeated, "sentences")


def load(config: Any) -> Corpus:
    """Returns the corpus of a config's files or folder, or the default one.

    Raises:
      UserError: if a file is missing or malformed, no word occurs `min_count` times, or a split has no entity.
    """
    source, read = _read(config)
    if source.given:
        kept, repeated = read, splits.repeats(read, lambda sentence: sentence.words)
    else:
        kept, repeated = splits.without_repeats(read, lambda sentence: sentence.words, "sentence")
    kept = {name: each[: config.sentences] for name, each in kept.items()}
    for name, each in kept.items():
        if source.entities and not any(tag != "O" for sentence in each for tag in sentence.tags):
            raise UserError(f"{source.name}: the {name} set must hold at least one entity, got only tags O")
    with user_errors(f"--min_count={config.min_count}"):
        return Corpus.of(kept, config.min_count, config.buckets, source=source, repeated=repeated)


def _read(config: Any) -> tuple[Source, dict[str, list[Sentence]]]:
    """Returns the sentences of each split."""
    files = config.read_splits(read_tagged)
    if files is not None:
        read_files = zip(config.files.items(), files.values(), strict=True)
        lines = [f"--{name}={path}: {f.form}; {len(f.sentences):,} sentences" for (name, path), f in read_files]
        if len({file.entities for file in files.values()}) > 1:
            raise UserError(f"--train, --validation and --test must be of one format, got {'; '.join(lines)}")
        source = Source(config.train, lines, files["training"].entities, given=True)
        return source, {name: file.sentences for name, file in files.items()}
    if config.data is None:
        return Source(SOURCE, [f"{SOURCE}: 80, 10 and 10 % are training, validation and test set"]), source_code()
    with user_errors("--data"):
        read = read_treebank(config.data)
    return Source(config.data, [f"{config.data}: {TREEBANK}"]), read
