"""An assertion on messages, for the tests of wrong input."""

import re

import pytest


def refuses(call, error, *words):
    """Asserts that `call` raises exactly `error` with every one of `words` in its message, in this order."""
    with pytest.raises(error, match=".*".join(map(re.escape, words))) as raised:
        call()
    assert raised.type is error
