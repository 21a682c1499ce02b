"""Scores of tagged sentences: of words by their tags, and of entities by seqeval."""

import collections
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from rnn_jax import significance
from rnn_jax.data import Sentence, TagCorpus, TagSplit, entities


class Scores(NamedTuple):
    """Scores of predicted tags."""

    values: dict[str, np.ndarray]  # [seeds] by name
    scored: significance.Scored  # the main one of them; items are sentences


OUTSIDE = -1  # id of O if no word of the training set is outside of an entity
NAMES = {"f1": "f1-score", "precision": "precision", "recall": "recall"}  # ours, and seqeval's


def word_scores(corpus: TagCorpus, predicted: np.ndarray) -> Scores:
    """Returns accuracies and the F1 of each tag, for predicted tags of the test set, ids [seeds, words].

    `unseen_accuracy` is that of words that are not in the training set, `ambiguous_accuracy` that of words with several
    tags there; NaN if there is no such word. F1 of a tag that is neither predicted nor correct is NaN, too.
    """
    from sklearn.metrics import f1_score

    words, gold = corpus.splits["test"].words, corpus.splits["test"].gold
    pairs = {pair for sentence in corpus.splits["training"].sentences for pair in zip(*sentence, strict=True)}
    known_tags = collections.Counter(word for word, _ in pairs)
    tag_counts = np.array([known_tags[word] for word in words])
    groups = {"accuracy": tag_counts >= 0, "unseen_accuracy": tag_counts == 0, "ambiguous_accuracy": tag_counts > 1}
    with np.errstate(invalid="ignore"):  # 0 / 0 if there is no such word
        accuracies = {name: np.sum((predicted == gold) & group, axis=1) / group.sum() for name, group in groups.items()}
    labels = range(len(corpus.tags))
    f1 = np.array([f1_score(gold, tags, labels=labels, average=None, zero_division=np.nan) for tags in predicted])
    by_tag = {f"f1/{tag}": f1[:, index] for index, tag in enumerate(corpus.tags)}
    sentences = corpus.splits["test"].sentences
    of_sentence = np.repeat(np.arange(len(sentences)), [len(sentence.words) for sentence in sentences])
    return Scores(accuracies | by_tag, significance.means(predicted == gold, of_sentence))


def entity_scores(corpus: TagCorpus, split: TagSplit, predicted: np.ndarray) -> Scores:
    """Returns F1, precision, recall, `unseen_recall` and the F1 of each type, for predicted tags, ids [seeds, words].

    An entity is right if its words and its type are, in strict IOB2: an I without its B is none. `unseen_recall` is
    that of entities whose words are no entity of the training set. It is NaN if there is none, as is the F1 of a type
    that is neither predicted nor correct.
    """
    ends = np.cumsum([len(sentence.words) for sentence in split.sentences])[:-1]
    names = np.array([*corpus.tags, "O"])
    by_seed = [[part.tolist() for part in np.split(names[tags], ends)] for tags in predicted]
    rows = [_of_seed(corpus, split, tags) for tags in by_seed]
    counts = np.array([[_counts(*pair) for pair in zip(split.sentences, tags, strict=True)] for tags in by_seed])

    def f1(sentences: np.ndarray) -> np.ndarray:
        right, both = np.moveaxis(counts[:, sentences].sum(axis=1), -1, 0)
        return 2 * right / np.maximum(both, 1)

    return Scores(
        {name: np.array([row[name] for row in rows]) for name in rows[0]}, significance.Scored(f1, len(split.sentences))
    )


def _counts(sentence: Sentence, predicted: Sequence[str]) -> tuple[int, int]:
    """Returns the number of right entities of a sentence, and of all that are predicted or gold."""
    recognised, gold = set(entities(predicted)), set(entities(sentence.tags))
    return len(recognised & gold), len(recognised) + len(gold)


def _of_seed(corpus: TagCorpus, split: TagSplit, predicted: list[list[str]]) -> dict[str, float]:
    from seqeval.metrics import classification_report  # an optional dependency: parts of speech need none
    from seqeval.scheme import IOB2

    gold = [list(sentence.tags) for sentence in split.sentences]
    options: dict[str, Any] = {"mode": "strict", "scheme": IOB2, "output_dict": True, "zero_division": 0}
    report = classification_report(gold, predicted, **options)
    types = [tag[2:] for tag in corpus.tags if tag[0] == "B"]
    by_type = {f"f1/{kind}": float(report.get(kind, {}).get("f1-score", np.nan)) for kind in types}
    total = {name: float(report["micro avg"][theirs]) for name, theirs in NAMES.items()}
    return total | {"unseen_recall": _unseen_recall(corpus, split, predicted)} | by_type


def _unseen_recall(corpus: TagCorpus, split: TagSplit, predicted: list[list[str]]) -> float:
    training = corpus.splits["training"].sentences
    seen = {s.words[start:end] for s in training for start, end, _ in entities(s.tags)}
    right = []
    for sentence, tags in zip(split.sentences, predicted, strict=True):
        recognised = entities(tags)
        unseen = [each for each in entities(sentence.tags) if sentence.words[each.start : each.end] not in seen]
        right += [each in recognised for each in unseen]
    return float(np.mean(right)) if right else np.nan
