"""Files are written completely or not at all, with the mode that the umask leaves; `~` is the home folder."""

import os
import stat

import numpy as np
import pytest

from rnn_jax import files, interop, report

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")


@pytest.fixture(params=[0o022, 0o027, 0o077, 0o002], ids=oct)
def mode(request):
    """Sets the umask; the value is the mode of a new file."""
    before = os.umask(request.param)
    yield 0o666 & ~request.param
    os.umask(before)


def test_written_files_have_the_mode_that_the_umask_leaves(tmp_path, mode):
    files.write(tmp_path / "a.txt", "a")
    files.write(tmp_path / "a.txt", "b")  # replaced
    report.write_json(tmp_path / "a.json", {"a": 1})
    report.write_arrays(tmp_path / "a.npz", {"a": np.arange(3)})
    interop.write_safetensors(tmp_path / "a.safetensors", {"a": np.arange(3)})
    written = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert written == dict.fromkeys(("a.txt", "a.json", "a.npz", "a.safetensors"), mode)
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "b"


def test_a_file_that_cannot_be_written_leaves_the_old_one_and_nothing_else(tmp_path):
    files.write(tmp_path / "a.txt", "old")
    with pytest.raises(TypeError):
        files.write(tmp_path / "a.txt", 5)
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        files.write(tmp_path / "folder", "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "folder"]
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "old"


def test_weights_are_read_and_written_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    interop.write_safetensors("~/a.safetensors", {"a": np.arange(3)})
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]
    assert interop.read_safetensors("~/a.safetensors")["a"].tolist() == [0, 1, 2]
