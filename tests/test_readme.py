"""The README's examples with prompts, run as they stand and checked against what they show."""

import doctest
import importlib.util
import re
from pathlib import Path

import jax
import pytest

README = Path(__file__).parent.parent / "README.md"
EXAMPLES = {
    section.splitlines()[0]: block
    for section in README.read_text().split("\n## ")
    for block in re.findall(r"```python\n(>>> .*?)```", section, re.DOTALL)
}


def test_the_readme_has_examples():
    others = {"Sequences of different lengths", "Stop and resume", "Load PyTorch weights"}
    assert set(EXAMPLES) == others | {"Which gradient?"}


@pytest.mark.parametrize("section", EXAMPLES)
def test_examples_of_the_readme(section):
    if "import torch" in EXAMPLES[section] and not importlib.util.find_spec("torch"):
        pytest.skip("torch is not installed")
    example = doctest.DocTestParser().get_doctest(EXAMPLES[section], {}, section, str(README), 0)
    with jax.numpy_rank_promotion("allow"):  # a reader's session
        results = doctest.DocTestRunner().run(example)
    assert results.attempted >= 8
    assert not results.failed
