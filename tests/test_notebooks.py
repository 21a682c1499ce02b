"""The notebooks: stored without outputs, and executed from top to bottom on a CPU."""

import importlib.util
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = {path.stem: path for path in sorted((ROOT / "experiments/notebooks").glob("*.ipynb"))}
every_notebook = pytest.mark.parametrize("name", NOTEBOOKS)


def cells(name, kind="code"):
    content = json.loads(NOTEBOOKS[name].read_text(encoding="utf-8"))
    return [cell for cell in content["cells"] if cell["cell_type"] == kind]


@every_notebook
def test_a_notebook_is_stored_without_outputs(name):
    """Strip one with `jupyter nbconvert --clear-output --inplace FILE`."""
    text = NOTEBOOKS[name].read_text(encoding="utf-8")
    assert [cell["id"] for cell in cells(name) if cell["outputs"] or cell["execution_count"] is not None] == []
    assert set(json.loads(text)["metadata"]) == {"kernelspec", "language_info"}
    assert re.findall(r"/(?:home|Users|tmp|content)/|[A-Z]:\\", text) == []


@every_notebook
def test_a_notebook_has_the_format_of_its_version(name):
    nbformat = pytest.importorskip("nbformat")
    nbformat.validate(nbformat.read(NOTEBOOKS[name], as_version=nbformat.NO_CONVERT))


@every_notebook
def test_every_cell_answers_a_question(name):
    _, *texts, _ = cells(name, "markdown")
    assert len(texts) == len(cells(name))
    assert [text["id"] for text in texts if not re.match(r"\*\*[A-Z][^*]*\?\*\*", text["source"][0])] == []


def test_all_notebooks_install_alike():
    assert len({"".join(cells(name)[0]["source"]) for name in NOTEBOOKS}) == 1


def install(monkeypatch, present, **changes):
    """Runs the cell that installs, on a machine with the modules and commands `present`; returns what pip is given."""
    given, code = [], "".join(cells("own_cell")[0]["source"])
    code, count = re.subn(r'%pip install -q "{build}>=0.10" "{REPOSITORY}"', "given.append((build, REPOSITORY))", code)
    assert count == 1
    for before, after in changes.items():
        code, count = re.subn(rf"(?m)^{before} = \S*", f"{before} = {after!r}", code)
        assert count == 1
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: "spec" if module in present else None)
    monkeypatch.setattr(shutil, "which", lambda command: command if command in present else None)
    exec(code, {"given": given})
    return given


@pytest.mark.parametrize(
    ("present", "build"),
    [
        ((), "jax"),
        (("libtpu",), "jax[tpu]"),
        (("nvidia-smi",), "jax[cuda12]"),
        (("nvidia-smi", "libtpu"), "jax[cuda12]"),
    ],
)
def test_jax_is_installed_for_the_accelerator(monkeypatch, present, build):
    address = "git+https://example.org/rnn_jax"
    assert install(monkeypatch, present, REPOSITORY=address) == [(build, address)]


def test_an_installed_project_is_left_alone(monkeypatch):
    assert install(monkeypatch, ("rnn_jax", "libtpu")) == []


def test_a_clone_is_installed_from_beside_the_notebook(monkeypatch):
    monkeypatch.chdir(ROOT / "experiments/notebooks")
    assert install(monkeypatch, ()) == [("jax", "../..")]


def test_a_repository_that_is_not_there_is_refused(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"REPOSITORY must be git\+https://... or the folder of a clone, got '../..'"):
        install(monkeypatch, ())


def execute(name, monkeypatch, folder, last):
    """Executes a notebook with its small sizes, then the code `last`.

    Returns:
      What is printed by each cell, the number of its figures, and what `last` prints, read as JSON.
    """
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("RNN_JAX_QUICK", "1")
    monkeypatch.setenv("IPYTHONDIR", str(folder))
    monkeypatch.delenv("MPLBACKEND", raising=False)  # the kernel's own draws into the notebook
    notebook = nbformat.read(NOTEBOOKS[name], as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(f"import json\nprint(json.dumps({last}))", id="last"))
    nbclient.NotebookClient(
        notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}}
    ).execute()
    printed, figures = {}, {}
    for cell in notebook.cells:
        outputs = cell.get("outputs", [])
        printed[cell.id] = "".join(output.text for output in outputs if output.output_type == "stream")
        figures[cell.id] = sum("image/png" in output.get("data", {}) for output in outputs)
    return printed, {name: count for name, count in figures.items() if count}, json.loads(printed["last"])


def kept(printed):
    """Returns the share of the gradient that each cell is printed to keep."""
    return {cell: float(share) for cell, share in re.findall(r"(\w+) +keeps (\S+) of the gradient", printed)}


@pytest.mark.extended
def test_gradient_norms_shows_whose_gradient_reaches_and_who_learns(monkeypatch, tmp_path):
    last = "{name: run.history.loss.tolist() for name, run in runs.items()}"
    printed, figures, losses = execute("gradient_norms", monkeypatch, tmp_path, last)
    assert figures == {"before": 1, "curves": 1, "after": 1}
    assert "CPU: cpu" in printed["machine"]
    assert "precision of matrix products: highest" in printed["machine"]
    assert all(np.shape(curves) == (5, 300) and np.isfinite(curves).all() for curves in losses.values())
    before = kept(printed["before"])
    assert 1e-14 < before["GRU"] < before["RNN"] < before["LSTM"] < 1e-4
    rows = re.findall(r"^(\w+) +(\S+) → (\S+) +(\S+)  \d of 5", printed["table"], re.MULTILINE)
    table = {cell: tuple(map(float, numbers)) for cell, *numbers in rows}
    assert {cell: first for cell, (first, _, _) in table.items()} == before
    assert max(table["LSTM"][2], table["GRU"][2]) < 0.02 < 0.15 < table["RNN"][2]
    assert table["RNN"][1] < 1e-5 < 1e-3 < min(table["LSTM"][1], table["GRU"][1])


@pytest.mark.extended
def test_own_cell_finds_why_a_cell_does_not_learn_and_repairs_it(monkeypatch, tmp_path):
    last = "{'Leaky': leaky.curves['mse'][:, -1].tolist(), 'Gated': gated.curves['mse'][:, -1].tolist()}"
    printed, figures, errors = execute("own_cell", monkeypatch, tmp_path, last)
    assert figures == {"reach": 1, "train": 1, "repair": 1, "repaired": 1}
    assert printed["check"] == "Leaky keeps the contract of a cell\n"
    shares = kept(printed["repair"])
    assert shares.items() >= kept(printed["reach"]).items()
    assert shares["LSTM"] < shares["Leaky"] < shares["Gated"]
    assert len(errors["Leaky"]) == len(errors["Gated"]) == 3
    assert max(errors["Gated"]) < 0.02 < 0.15 < min(errors["Leaky"])
    assert "- vanishing gradient (" in printed["doctor"]
    assert "remedy: in Leaky: initial weights and gates" in printed["doctor"]
    assert "Gated: 0 findings in 3 seeds" in printed["repaired"]
