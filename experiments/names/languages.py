"""Names of invented languages, made by a grammar: syllables of each language's own sounds, and endings.

The languages share most of their sounds, and two of them an ending, so that some names could be from either.
"""

from typing import NamedTuple

import numpy as np

from rnn_jax.data import Labelled


class Language(NamedTuple):
    """Parts of a name: onset and vowel, one to three times, and an ending."""

    onsets: tuple[str, ...]
    vowels: tuple[str, ...]
    endings: tuple[str, ...]
    names: int


LANGUAGES = {
    "Arvish": Language(("v", "r", "sh", "k", "t", "m", "d"), ("a", "i"), ("ov", "in", "sky", "enko"), 900),
    "Belluan": Language(("b", "l", "r", "m", "n", "p", "c"), ("a", "e", "o"), ("lli", "ni", "tti", "ro"), 500),
    "Doric": Language(("d", "th", "k", "p", "l", "s", "m"), ("a", "o", "i"), ("opos", "akis", "idis", "in"), 300),
    "Mirain": Language(("m", "r", "y", "k", "sh", "t", "n"), ("a", "i", "u", "o"), ("", "ko", "moto", "ta"), 300),
}


def names(seed: int = 0) -> Labelled:
    """Returns the names of all languages, of unequal numbers; some repeat."""
    rng = np.random.default_rng(seed)
    texts, classes = [], []
    for name, language in LANGUAGES.items():
        texts += [_name(language, rng) for _ in range(language.names)]
        classes += [name] * language.names
    return Labelled.of(texts, classes)


def _name(language: Language, rng: np.random.Generator) -> str:
    syllables = (str(rng.choice(language.onsets)) + str(rng.choice(language.vowels)) for _ in range(rng.integers(1, 4)))
    return ("".join(syllables) + str(rng.choice(language.endings))).capitalize()
