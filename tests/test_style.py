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


OTHERS = ("Image", "data", "os", "tokenize")  # modules whose functions of these names are not `pathlib`'s


def _opens_text(call: ast.Call) -> bool:
    """Returns whether a call reads or writes text in the encoding of the machine."""
    match call.func:
        case ast.Name(id="open"):
            arguments = call.args[1:]
        case ast.Attribute(value=ast.Name(id=module)) if module in OTHERS:
            return False
        case ast.Attribute(attr="read_text" | "write_text"):
            arguments = []
        case ast.Attribute(attr="open"):
            arguments = call.args
        case _:
            return False
    modes = [*arguments, *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
    is_binary = any(isinstance(mode, ast.Constant) and "b" in str(mode.value) for mode in modes)
    return not is_binary and all(keyword.arg != "encoding" for keyword in call.keywords)


def test_texts_are_read_and_written_in_a_stated_encoding() -> None:
    """Also on Windows, where the default is not UTF-8."""
    unstated = [
        f"{_name(path)}:{node.lineno}"
        for path in [*MODULES, *(ROOT / "tests").rglob("*.py")]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and _opens_text(node)
    ]
    assert unstated == []
