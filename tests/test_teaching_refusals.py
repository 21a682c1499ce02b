"""What the teaching programs refuse, before anything is written."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import teaching
from experiments.common.flags import UserError
from experiments.teaching import config as configs

ROOT = Path(__file__).parents[1]

BAD = [
    ({"programs": ("generator", "translator")}, "--programs: unknown 'translator': known are generator, classifier"),
    ({"programs": ()}, "--programs must name at least one and none twice, got ''"),
    ({"programs": ("generator",) * 2}, "--programs must name at least one and none twice, got 'generator,generator'"),
    ({"epochs": 0}, "--epochs must be positive, got 0"),
    ({"seed": -1}, "--seed must be from 0 to 2147483647, got -1"),
    ({"cell": "nope"}, "unknown cell 'nope'"),
    ({"cell": "nope:Cell"}, "cannot import module 'nope'"),
    ({"text": "nowhere.txt"}, "--text: nowhere.txt: cannot be read"),
    ({"text": "nowhere.txt", "programs": ("classifier",)}, "--text has no effect without --programs=generator"),
]


@pytest.mark.parametrize(("fields", "message"), BAD, ids=[str(fields) for fields, _ in BAD])
def test_bad_settings_are_refused_before_anything_is_written(fields, message, tmp_path):
    with pytest.raises(UserError, match=re.escape(message)):
        teaching.run(teaching.Config(**fields), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must hold a text, got an empty file"),
        (b"\xff\xfe", "must be a UTF-8 text, got UTF-16 (`iconv -f utf-16"),
        (b"abc", "must have at least 4 characters, got 3"),
        (b"aaaaaa", "must have two different characters, got 'a' alone"),
    ],
)
def test_a_text_without_windows_or_choice_is_refused(content, message, tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"^--text: .*{re.escape(message)}"):
        configs.plan(teaching.Config(text=str(path)))


@pytest.mark.extended
def test_a_bad_flag_ends_the_program_without_a_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "experiments.teaching", "--quick", "--cell=xyz", f"--workdir={tmp_path / 'run'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 2
    assert done.stderr.strip().startswith("error: unknown cell 'xyz'")
    assert not (tmp_path / "run").exists()
