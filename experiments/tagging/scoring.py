"""What parts of speech and entities are scored by, and the models that they are compared with."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from experiments.baselines import most_frequent_tag
from experiments.baselines.seen_entities import LEAST_SHARES, SeenEntities
from experiments.common import fitting, tag_scores
from experiments.common.tag_scores import Scores
from experiments.tagging.corpus import Corpus
from rnn_jax.data import Sentence

Outcome = fitting.Outcome[Scores]
Baseline = fitting.Baseline[Scores]
Row = Baseline | Outcome


@dataclasses.dataclass(frozen=True)
class Scoring:
    """Scores of predicted tags, which are ids [seeds, words]."""

    metric: str  # main score, which validation chooses by
    label: str  # its name in tables and figures
    columns: Mapping[str, str]  # scores in a table, by title
    caption: str  # explanation of the columns
    validation: Callable[[Corpus, np.ndarray], np.ndarray]  # main score on the validation set
    test: Callable[[Corpus, np.ndarray], Scores]  # all scores on the test set; `f1/NAME` is of a tag or a type
    baselines: Callable[[Corpus], list[Baseline]]  # the best one last


def _most_frequent_tags(corpus: Corpus) -> list[Baseline]:
    """Returns the most frequent tag of each word, with one tag for all unseen words and with that of their ending."""
    training, validation, test = (split.sentences for split in corpus.splits.values())
    rows = []
    for title, tagger in most_frequent_tag.taggers(training, validation).items():
        scores = tag_scores.word_scores(corpus, _ids(corpus, tagger.tags, test))
        errors = np.array([1 - tagger.accuracy(validation)])
        rows.append(Baseline(title, errors, scores, {"longest_ending": tagger.longest}))
    return rows


def _dictionary(corpus: Corpus) -> list[Baseline]:
    """Returns the dictionary of seen entities, with the share that validation chooses."""
    training, validation, test = corpus.splits.values()
    fitted = [SeenEntities.fit(training.sentences, least) for least in LEAST_SHARES]
    scores = [tag_scores.entity_scores(corpus, validation, _ids(corpus, s.tags, validation.sentences)) for s in fitted]
    best = int(np.argmax([each.values["f1"][0] for each in scores]))
    tested = tag_scores.entity_scores(corpus, test, _ids(corpus, fitted[best].tags, test.sentences))
    fields = {"least_share": fitted[best].least_share, "phrases": len(fitted[best].types)}
    return [Baseline("dictionary of seen entities", 1 - scores[best].values["f1"], tested, fields)]


def _ids(corpus: Corpus, tagger: Callable[[Sequence[str]], Sequence[str]], sentences: Sequence[Sentence]) -> np.ndarray:
    """Returns the tags of sentences [1, words]."""
    ids = {tag: index for index, tag in enumerate(corpus.tags)}
    return np.array([[ids.get(tag, tag_scores.OUTSIDE) for s in sentences for tag in tagger(s.words)]])


WORDS = Scoring(
    "accuracy",
    "accuracy",
    {"test": "accuracy", "unseen": "unseen_accuracy", "ambiguous": "ambiguous_accuracy"},
    "Words with the correct tag: of the validation set; of the test set; of its words that the training set does not "
    "have; of those with several tags there.",
    lambda corpus, predicted: (predicted == corpus.splits["validation"].gold).mean(axis=1),
    tag_scores.word_scores,
    _most_frequent_tags,
)
ENTITIES = Scoring(
    "f1",
    "F1 of entities",
    {"F1": "f1", "precision": "precision", "recall": "recall", "unseen": "unseen_recall"},
    "Entities by seqeval, strict IOB2: F1 on the validation set; F1, precision and recall on the test set; recall of "
    "those that are no entity of the training set.",
    lambda corpus, predicted: tag_scores.entity_scores(corpus, corpus.splits["validation"], predicted).values["f1"],
    lambda corpus, predicted: tag_scores.entity_scores(corpus, corpus.splits["test"], predicted),
    _dictionary,
)
