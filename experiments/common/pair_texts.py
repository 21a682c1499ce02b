"""Pairs of texts to learn one from the other: files of sentences, articles and headlines; their split; their scores."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from experiments.common import splits, text_scores
from experiments.common.flags import FitConfig, UserError, given, setting, user_errors
from experiments.common.splits import SplitFiles
from rnn_jax import data, significance
from rnn_jax.data.pairs import Words, bare

EXAMPLES = 10  # test sources whose texts are shown
FILE = given("data", "train")  # generated dates are read by characters

WordPairs = list[tuple[Words, Words]]


@dataclasses.dataclass(frozen=True)
class PairConfig(SplitFiles, FitConfig):
    """Flags of every experiment on pairs of texts."""

    data: str | None = setting(
        None, "UTF-8 file with a pair of sentences on each line, tab-separated; by default dates are generated."
    )
    columns: tuple[str, ...] = setting(
        ("2", "1"), "Columns of source and target; tatoeba.org's files have English first.", checked=False, needs=FILE
    )
    max_words: int = setting(
        10,
        "Words of the longest sentences kept, on either side, punctuation included; of given splits, for training.",
        needs=FILE,
    )
    pairs: int | None = setting(
        None, "Number of pairs drawn, of given splits for training; by default all (of dates, 24,000)."
    )
    min_count: int = setting(5, "Occurrences in the training set from which a word has an id.", needs=FILE)
    validation_sources: int = setting(1000, "Different sources drawn into the validation set from --data.")
    test_sources: int = setting(2000, "Different sources drawn into the test set from --data.")
    buckets: int = setting(3, "Lengths that the training pairs are padded to.")


@dataclasses.dataclass(frozen=True, eq=False)
class Corpus(data.PairCorpus):
    """Data of a run."""

    name: str
    lines: Sequence[str]  # which columns, encoding, delimiter and split were read
    by_words: bool  # else by characters
    read: int  # number of pairs in the files, or generated
    kept: int  # number of those that are short enough
    count: int  # number of buckets
    repeated: dict[str, int]  # pairs whose source a later split has, too, by split; empty if the split is drawn here

    def text(self, tokens: Sequence[str]) -> str:
        """Returns tokens as text."""
        return data.sentence(tokens) if self.by_words else "".join(tokens)

    @property
    def join(self) -> text_scores.Join | None:
        """Function that makes a text of words, for `text_scores`; None for characters."""
        return data.sentence if self.by_words else None

    @functools.cached_property
    def training(self) -> list[data.Examples]:
        """Training set in buckets."""
        return self.buckets(self.count)

    @property
    def token(self) -> str:
        """What a token is."""
        return "word" if self.by_words else "character"

    @property
    def scores(self) -> list[tuple[str, str, float]]:
        """Scores that are compared, the main one first: field in a record, name, and factor in tables."""
        return [("bleu", "BLEU", 1.0), ("rougeL", "ROUGE-L", 100.0)] if self.by_words else [("exact", "% exact", 100.0)]

    @functools.cached_property
    def fields(self) -> dict[str, Any]:
        """Fields that every record has."""
        vocabularies, signature = {"source": self.source, "target": self.target}, None
        unknown = {
            name: np.concatenate([vocabulary.encode(pair[side]) for pair in self.splits.test]) == vocabulary.UNKNOWN
            for side, (name, vocabulary) in enumerate(vocabularies.items())
        }
        if self.by_words:
            texts = [(self.text(item.source), [*map(self.text, item.references)]) for item in self.tested]
            signature = text_scores.bleu(*zip(*texts, strict=True))[1]
        return {
            "source": self.name,
            "pairs/read": self.read,
            "pairs/kept": self.kept,
            **{f"pairs/{split}": len(pairs) for split, pairs in self.splits._asdict().items()},
            **{f"{split}/repeated": count for split, count in self.repeated.items()},
            **{f"vocabulary/{name}": len(vocabulary) for name, vocabulary in vocabularies.items()},
            "test/sources": len(self.tested),
            "test/sources_with_unseen_targets": len(self.unseen),
            **{f"test/unknown_{name}_words": float(np.mean(words)) for name, words in unknown.items()},
            "bleu_signature": signature,
        }

    def main_score(self, written: Sequence[Sequence[Words]]) -> significance.Scored:
        """Returns the main score of the texts that each seed of a model wrote for the test set."""
        return text_scores.scored(self.tested, written, self.join)

    def scored(self, written: Sequence[Words]) -> dict[str, Any]:
        """Returns the fields of a record about texts that a model wrote for the test set: scores and examples."""
        items, unseen = self.tested, self.unseen
        groups = {
            "": text_scores.score(items, written, self.join),
            "unseen_targets/": text_scores.score([items[i] for i in unseen], [written[i] for i in unseen], self.join),
        }
        # Evenly spread over the test set, chosen without regard to the texts written.
        places = np.linspace(0, len(items) - 1, min(EXAMPLES, len(items))).astype(int)
        return {
            **{f"test/{group}{name}": value for group, scores in groups.items() for name, value in scores.items()},
            "test/by_length": text_scores.by_length(items, written, self.join),
            "examples": [
                {
                    "source": self.text(items[i].source),
                    "translation": self.text(written[i]),
                    "references": [*map(self.text, items[i].references)],
                }
                for i in places
            ],
        }


def load(config: PairConfig, default: Callable[[np.random.Generator], WordPairs], source: str) -> Corpus:
    """Returns the corpus of the files of each split, of `--data`, or generated pairs of characters.

    Args:
      config: paths, columns, sizes and seed.
      default: function that generates the pairs if no path is given.
      source: name of those.

    Raises:
      UserError: if a file cannot be read or has too few pairs.
    """
    rng, columns = np.random.default_rng(config.data_seed), _columns(config)
    form = "UTF-8, tab-separated, source in column {}, target in column {}".format(*columns)
    name, repeated = config.train or config.data or source, {}
    given = config.read_splits(lambda path: _sentences(path, columns))
    with user_errors("--train" if given else "--data"):
        if given is not None:
            read = [pair for each in given.values() for pair in each]
            made = data.PairSplits(_used(given["training"], config, name, rng), given["validation"], given["test"])
            pairs = [pair for each in made for pair in each]
            repeated = splits.repeats(made._asdict(), lambda pair: bare(pair[0]))
            lines = [f"--{name}={path}: {form}" for name, path in config.files.items()]
            lines.append(f"By source without punctuation. {splits.repeats_note(repeated, 'pairs')}")
        else:
            read = default(rng) if config.data is None else _sentences(name, columns)
            pairs = read if config.data is None else _used(read, config, name, rng)
            made = data.split_by_source(pairs, config.validation_sources, config.test_sources, rng)
            lines = [f"{name}: {'generated, by characters' if config.data is None else form}"]
            lines.append("Split at random; all pairs of a source are in one split, none twice")
        sizes = ", ".join(f"{len(each):,} {split}" for split, each in made._asdict().items())
        lines.append(f"{len(read):,} pairs read, {len(pairs):,} used: {sizes}")
        by_words = bool(config.train or config.data)
        fields = {"name": name, "lines": lines, "by_words": by_words, "read": len(read), "kept": len(pairs)}
        least = config.min_count if by_words else 1
        return Corpus.of(made, least, count=config.buckets, repeated=repeated, **fields)


def _columns(config: PairConfig) -> tuple[int, int]:
    try:
        source, target = (int(column) for column in config.columns)
    except ValueError as error:
        raise UserError(f"--columns must be two numbers, as 2,1, got {','.join(config.columns)!r}") from error
    return source, target


def _sentences(path: str, columns: tuple[int, int]) -> WordPairs:
    return [(data.words(source), data.words(target)) for source, target in data.read_pairs(path, columns)]


def _used(read: WordPairs, config: Any, path: str, rng: np.random.Generator) -> WordPairs:
    """Returns the pairs of at most `max_words` words a side; `pairs` of them, drawn at random, if there are more."""
    pairs = [pair for pair in read if max(map(len, pair)) <= config.max_words]
    if not pairs:
        raise ValueError(f"{path}: no pair has at most {config.max_words} words a side")
    if config.pairs is not None and config.pairs < len(pairs):
        pairs = [pairs[place] for place in np.sort(rng.choice(len(pairs), config.pairs, replace=False))]
    return pairs
