"""Reviews made by a small grammar in which the same words praise and condemn.

    clause    the plot is [really] brilliant | the plot is NOT [really] brilliant | it is HARDLY a masterpiece
    review    clause | clause , but CLAUSE | although clause , CLAUSE | CLAUSE , although clause

A negation makes blame of a word of praise, and praise of a word of blame ("not bad"). Of two clauses, which always
contradict each other, the one in capitals is the verdict. A third of the clauses is negated and half of the reviews
have two, so that single words reveal little. A pair of words sees a negation before its word, but not before an adverb,
and not which clause is the verdict.
"""

import numpy as np

from rnn_jax.data import Labelled

SUBJECTS = ("the film", "this movie", "the plot", "the acting", "the script", "the cast", "the ending", "the dialogue")
VERBS = ("is", "was", "seems", "remains")
ADVERBS = ("", "really", "quite", "truly", "all that", "in any way")
NEGATIONS = ("not", "never", "hardly", "far from", "anything but", "scarcely")
GOOD = ("good", "brilliant", "moving", "funny", "a masterpiece", "a delight", "clever", "a triumph", "fresh")
BAD = ("bad", "dull", "tedious", "clumsy", "a failure", "a bore", "stale", "a mess", "silly")
NEGATED = 1 / 3  # share of the clauses
SINGLE = 1 / 2  # share of the reviews with one clause
CLASSES = ("negative", "positive")


def reviews(count: int = 8000, seed: int = 0) -> Labelled:
    """Returns `count` reviews with their verdicts; some may be equal."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    return Labelled.of([_review(rng, bool(label)) for label in labels], [CLASSES[label] for label in labels])


def _review(rng: np.random.Generator, praise: bool) -> str:
    verdict, other = _clause(rng, praise), _clause(rng, not praise)
    if rng.random() < SINGLE:
        return f"{verdict} ."
    forms = (f"{other} , but {verdict}", f"although {other} , {verdict}", f"{verdict} , although {other}")
    return f"{rng.choice(forms)} ."


def _clause(rng: np.random.Generator, praise: bool) -> str:
    negated = rng.random() < NEGATED
    word = rng.choice(GOOD if praise != negated else BAD)
    negation = rng.choice(NEGATIONS) if negated else ""
    parts = (rng.choice(SUBJECTS), rng.choice(VERBS), negation, rng.choice(ADVERBS), word)
    return " ".join(part for part in parts if part)
