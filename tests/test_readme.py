"""The documents: their Python is run, their commands and links are checked."""

import contextlib
import dataclasses
import doctest
import importlib
import io
import itertools
import re
import shlex
from pathlib import Path

import jax
import pytest

from experiments.common.settings import Settings

ROOT = Path(__file__).parent.parent
PEERS = re.compile(r"import (haiku|keras|torch)\b")
DOCUMENTS = {
    name: (ROOT / name).read_text(encoding="utf-8")
    for name in [
        "README.md",
        "experiments/README.md",
        "rnn_jax/cells/README.md",
        "rnn_jax/interop/README.md",
        "rnn_jax/training/README.md",
        *(path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "experiments/results").glob("*/README.md"))),
        "BUILD_NOTES.md",
    ]
}


def blocks(text):
    """Every fenced block as (section, language, content)."""
    for section in re.split(r"^## ", text, flags=re.MULTILINE):
        for language, content in re.findall(r"^```(\w*)\n(.*?)^```$", section, re.DOTALL | re.MULTILINE):
            yield section.splitlines()[0], language, content


def commands(text):
    """Every `python -m experiments.NAME FLAGS` of a document: in code, indented or within a line."""
    for line in re.findall(r"python -m experiments\.\w[^`\n]*", re.sub(r"\\\n *", "", text)):
        for command in line.split("python -m ")[1:]:
            words = shlex.split(re.split(r"[;&]|  +#", command)[0])
            yield words[0].removeprefix("experiments."), words[1:]


def anchors(text):
    """The anchors of a document's headings, as GitHub makes them."""
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def python_blocks():
    """Every Python block with the output that a `text` block after it shows."""
    for name, text in DOCUMENTS.items():
        fenced = [*blocks(text), ("", "", "")]
        for (section, language, code), (_, next_language, shown) in itertools.pairwise(fenced):
            if language == "python":
                plain = name == "README.md" and section not in ("Gradients", "Train and resume")
                yield pytest.param(
                    name,
                    code,
                    shown if next_language == "text" else "",
                    id=f"{name}: {section}",
                    marks=pytest.mark.peers if PEERS.search(code) else () if plain else pytest.mark.extended,
                )


@pytest.mark.parametrize(("name", "code", "output"), list(python_blocks()))
def test_python_runs_and_prints_what_the_document_shows(name, code, output):
    for peer in PEERS.findall(code):
        pytest.importorskip(peer)
    with jax.numpy_rank_promotion("allow"):  # a reader's session
        if code.startswith(">>> "):
            example = doctest.DocTestParser().get_doctest(code, {}, name, name, 0)
            results = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(example)
            assert results.attempted == len(re.findall(r"^>>> ", code, re.MULTILINE))
            assert not results.failed
        else:
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(code, name, "exec"), {"__name__": "my_module"})
            assert printed.getvalue() == output


def test_the_readme_shows_each_subject_in_python():
    sections = [section for section, language, _ in blocks(DOCUMENTS["README.md"]) if language == "python"]
    assert sections == [
        "# rnn_jax",
        "Write your own cell",
        "Bring your own task",
        "Sequences of different lengths",
        "Gradients",
        "Train and resume",
        "Load PyTorch weights",
    ]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_commands_name_experiments_and_flags_that_exist(name):
    for experiment, words in commands(DOCUMENTS[name]):
        if experiment == "NAME":
            continue
        module, known = importlib.import_module(f"experiments.{experiment}"), {"workdir", "quick"}
        if experiment == "check":  # no experiment: it takes names of cells
            known, words = set(), [word for word in words if word.startswith("-")]
        else:
            known |= {field.name for kind in (module.Config, Settings) for field in dataclasses.fields(kind)}
        given = {word.removeprefix("--").split("=")[0] for word in words}
        assert given <= known, f"{name}: {experiment} {given - known}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name):
    folder = (ROOT / name).parent
    for target in re.findall(r"\]\(([^)\s]+)\)", DOCUMENTS[name]):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        linked = (folder / path).resolve() if path else ROOT / name
        assert linked.exists(), f"{name}: {target}"
        if anchor:
            assert anchor in set(anchors(linked.read_text(encoding="utf-8"))), f"{name}: {target}"
