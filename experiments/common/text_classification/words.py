"""A text's words."""

import re

# A word with what is inside it (isn't, co-writer); or signs that are none, such as three dots.
WORD = re.compile(r"\w+(?:['\u2019\-/]\w+)*|[^\w\s]+")


def words(text: str) -> list[str]:
    """The words and signs of a text, without regard to case: "It ISN'T good..." -> it, isn't, good, ..."""
    return WORD.findall(text.casefold())
