"""A user's own split: three files in place of one source, kept as they are; what comes again in a later split."""

import dataclasses
import re
import subprocess
import sys

import pytest

from experiments.common import splits
from experiments.common.flags import FitConfig, UserError, setting
from experiments.common.splits import SplitFiles
from rnn_jax.data import read_text

SPLITS = {
    "training": ["a", "b", "c", "d", "d"],
    "validation": ["b", "e", "f"],
    "test": ["c", "e", "g", "g"],
}


@dataclasses.dataclass(frozen=True)
class Config(SplitFiles, FitConfig):
    data: str | None = setting(None, "Folder.")


def test_examples_that_a_later_split_has_are_counted_and_removed_only_where_asked():
    assert splits.repeats(SPLITS, str) == {"training": 2, "validation": 1}
    kept, removed = splits.without_repeats(SPLITS, str, "letter")
    assert kept == {"training": ["a", "d", "d"], "validation": ["b", "f"], "test": ["c", "e", "g", "g"]}
    assert removed == {"training": 2, "validation": 1}
    assert splits.repeats(SPLITS, lambda letter: letter > "c") == {"training": 5, "validation": 3}
    assert splits.sizes(SPLITS, {"training": 2}, "letters", "repeated") == {
        "training/letters": 5,
        "validation/letters": 3,
        "test/letters": 4,
        "training/repeated": 2,
    }


def test_each_split_is_read_from_its_file(tmp_path):
    for name in ("train", "dev", "test"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    train, dev, test = (str(tmp_path / name) for name in ("train", "dev", "test"))
    assert Config().read_splits(read_text) is None
    read = Config(train=train, validation=dev, test=test).read_splits(read_text)
    assert read == {"training": "train", "validation": "dev", "test": "test"}
    with pytest.raises(UserError, match=re.escape(f"--validation: {tmp_path / 'no'}: cannot be read")):
        Config(train=train, validation=str(tmp_path / "no"), test=test).read_splits(read_text)


BAD = [
    ({"train": "a"}, "--train, --validation and --test must be three files, got no --validation"),
    ({"validation": "a", "test": "b"}, "--train, --validation and --test must be three files, got no --train"),
    ({"train": "a", "validation": "b", "test": "c", "data": "d"}, "--train, --validation and --test replace --data"),
]


@pytest.mark.parametrize(("fields", "message"), BAD, ids=[message for _, message in BAD])
def test_a_split_of_some_files_is_refused(fields, message):
    with pytest.raises(UserError, match=re.escape(message)):
        Config(**fields).read_splits(read_text)


@pytest.mark.extended
@pytest.mark.parametrize(
    ("name", "flags", "message"),
    [
        ("sentiment", ["--validation=b", "--split=80,10,10"], "--validation replaces --split"),
        ("translation", ["--test=c", "--test_sources=9"], "--test replaces --test_sources"),
    ],
)
def test_flags_that_given_files_replace_are_refused_with_them(name, flags, message):
    done = subprocess.run(
        [sys.executable, "-m", f"experiments.{name}", *flags], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.strip()) == (2, f"error: {message}: give one of them")
