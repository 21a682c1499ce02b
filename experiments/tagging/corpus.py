"""Tagged sentences to arrays: parts, vocabularies of the training part, buckets."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from experiments.common.flags import UserError
from experiments.tagging import source_code
from rnn_jax.data import Buckets, Examples, Sentence, Vocabulary, bucket_lengths, pad, read_conllu, spell

PARTS = ("training", "validation", "test")
ENDINGS = dict(zip(PARTS, ("train", "dev", "test"), strict=True))
DEFAULT_SHARES = (0.8, 0.9, 1.0)  # where the parts of the default data end
CHARACTERS = 16  # of a word that are read; a hundredth of English words is longer
NO_TAG = -2  # of a word whose tag does not come in the training part: no tagger gives it


class Tokens(NamedTuple):
    """What the words of sentences are, time-major."""

    words: jnp.ndarray  # ids [T, N]
    characters: jnp.ndarray  # ids [T, N, C]
    tags: jnp.ndarray  # [T, N]


class Part(NamedTuple):
    """Sentences, bucket after bucket; `words` and `gold` are all of theirs in this order."""

    buckets: list[Examples]  # steps: Tokens; whole: lengths
    words: list[str]
    gold: np.ndarray  # tags [words]


@dataclasses.dataclass(frozen=True, eq=False)
class Corpus:
    """All that is learnt from and tested on."""

    source: str  # in words
    sentences: dict[str, list[Sentence]]  # by part
    removed: dict[str, int]  # sentences of a part that come in a later one, by part
    words: Vocabulary
    characters: Vocabulary
    tags: tuple[str, ...]
    parts: dict[str, Part]


def load(data: str | None, sentences: int | None, min_count: int, buckets: int) -> Corpus:
    """The corpus of a folder with CoNLL-U files, or the default one.

    Args:
      data: the folder; None means lines of Python's standard library.
      sentences: of each part at the most; None means all.
      min_count: of a training word that has an id of its own.
      buckets: lengths that sentences are padded to.

    Raises:
      UserError: where a file is missing or malformed, or no word comes as often as `min_count`.
    """
    try:
        found = _default() if data is None else _read(Path(data))
    except ValueError as error:
        raise UserError(f"--data: {error}") from error
    removed = _remove_what_comes_later(found)
    found = {part: each[:sentences] for part, each in found.items()}
    training = found["training"]
    if empty := [part for part in PARTS if not found[part]]:
        raise UserError(f"--data: the {empty[0]} part has no sentence that does not come in a later part")
    try:
        words = Vocabulary.of((s.words for s in training), min_count)
    except ValueError as error:
        raise UserError(f"--min_count={min_count}: {error}") from error
    characters = Vocabulary.of(word for s in training for word in s.words)
    tags = tuple(sorted({tag for s in training for tag in s.tags}))
    lengths = bucket_lengths([len(s.words) for s in training], buckets)
    parts = {part: _part(found[part], lengths, words, characters, tags) for part in PARTS}
    source = "lines of Python's standard library" if data is None else data
    return Corpus(source, found, removed, words, characters, tags, parts)


def _default() -> dict[str, list[Sentence]]:
    every = source_code.sentences()
    ends = [0, *(round(share * len(every)) for share in DEFAULT_SHARES)]
    return {part: every[ends[i] : ends[i + 1]] for i, part in enumerate(PARTS)}


def _read(folder: Path) -> dict[str, list[Sentence]]:
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    found = {}
    for part, ending in ENDINGS.items():
        paths = sorted(folder.glob(f"*-{ending}.conllu"))
        if len(paths) != 1:
            names = ", ".join(path.name for path in paths) or "none"
            raise ValueError(f"{folder}: must hold one file *-{ending}.conllu, got {names}")
        found[part] = read_conllu(paths[0])
    return found


def _remove_what_comes_later(found: dict[str, list[Sentence]]) -> dict[str, int]:
    """Takes sentences out of training and validation that are tested on, or chosen by; the test part stays whole."""
    removed, later = {}, {s.words for s in found["test"]}
    for part in ("validation", "training"):
        kept = [s for s in found[part] if s.words not in later]
        removed[part] = len(found[part]) - len(kept)
        later |= {s.words for s in kept}
        found[part] = kept
    return removed


def _part(
    sentences: Sequence[Sentence],
    lengths: tuple[int, ...],
    words: Vocabulary,
    characters: Vocabulary,
    tags: tuple[str, ...],
) -> Part:
    # A sentence longer than any in training has a bucket of its own.
    longest = max(len(s.words) for s in sentences)
    buckets = Buckets(lengths if longest <= lengths[-1] else (*lengths, longest))
    id_of = {tag: i for i, tag in enumerate(tags)}
    part = Part([], [], np.empty(0, np.int32))
    gold = []
    for members in buckets.members([len(s.words) for s in sentences]):
        chosen = [sentences[i] for i in members]
        if not chosen:
            continue
        of_words, counts = pad([words.encode(s.words) for s in chosen])
        of_tags = [np.array([id_of.get(tag, NO_TAG) for tag in s.tags], np.int32) for s in chosen]
        spelt, _ = pad([spell(s.words, characters, CHARACTERS) for s in chosen])
        steps = Tokens(jnp.asarray(of_words), jnp.asarray(spelt), jnp.asarray(pad(of_tags).values))
        part.buckets.append(Examples(steps, jnp.asarray(counts)))
        part.words.extend(word for s in chosen for word in s.words)
        gold += of_tags
    return part._replace(gold=np.concatenate(gold))
