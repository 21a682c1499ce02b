"""Rules of the code's shape that a reader relies on; each is read off the source."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
MODULES = sorted([*(ROOT / "rnn_jax").rglob("*.py"), *(ROOT / "experiments").rglob("*.py")])
LONGEST_FUNCTION = 60  # lines without its docstring


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _functions(path: Path) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.FunctionDef)]


def _docstrings(path: Path) -> list[str]:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    nodes = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, kinds)]
    return [text for node in nodes if (text := ast.get_docstring(node))]


def test_no_module_has_the_name_of_a_function_in_it() -> None:
    clashes = [
        _name(path)
        for path in MODULES
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name == path.stem
    ]
    assert clashes == []


def test_docstrings_begin_with_their_subject_and_raise_if() -> None:
    riddles = [_name(path) for path in MODULES for text in _docstrings(path) if re.match(r"Of\b", text)]
    conditions = [_name(path) for path in MODULES for text in _docstrings(path) if re.search(r"Error: where\b", text)]
    assert (riddles, conditions) == ([], [])


def test_no_function_is_longer_than_a_screen() -> None:
    long = []
    for path in MODULES:
        for node in _functions(path):
            has_docstring = ast.get_docstring(node) is not None
            body = node.body[1:] if has_docstring else node.body
            if body and (lines := (node.end_lineno or 0) - body[0].lineno + 1) > LONGEST_FUNCTION:
                long.append(f"{_name(path)}: {node.name} {lines}")
    assert long == []


def test_imports_of_the_library_go_down_only() -> None:
    for path in (ROOT / "rnn_jax").rglob("*.py"):
        assert "experiments" not in re.findall(r"^(?:from|import) (\w+)", path.read_text(encoding="utf-8"), re.M), path
