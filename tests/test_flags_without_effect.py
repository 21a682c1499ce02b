"""Flags that have no effect with the others are refused: a typo must not run another experiment than was asked for."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import series
from experiments.common import flags
from experiments.common.flags import UserError
from experiments.common.settings import Settings

ROOT = Path(__file__).parents[1]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Current folder, with one folder of each kind of data."""
    monkeypatch.chdir(tmp_path)
    for name in ("clips", "captions", "digits", "sounds/yes", "sounds/no"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "clips" / "labels.csv").write_text("clip,label\n", encoding="utf-8")
    (tmp_path / "captions" / "captions.csv").write_text("image,caption\n", encoding="utf-8")


# An experiment, the fields of its config, the one without effect, and the end of the message.
REFUSED = [
    ("video", {"data": "clips"}, "clips", "with labelled clips from --data or --train"),
    ("video", {"train": "a.csv", "test": "b.csv"}, "tested", "with labelled clips from --data or --train"),
    ("video", {"data": "digits"}, "size", "without labelled clips from --data or --train"),
    ("video", {"cells": ("none",)}, "hidden_size", "with --cells=none"),
    ("captioning", {"data": "captions"}, "scenes", "with captioned images from --data or --train"),
    ("captioning", {}, "size", "without captioned images from --data or --train"),
    ("captioning", {"models": ("none",)}, "readout", "without --models=attention"),
    ("speech", {"data": "sounds"}, "joined", "without --questions=joined of digits"),
    ("speech", {"questions": ("digits",)}, "joined", "without --questions=joined of digits"),
    ("speech", {"data": "digits"}, "recordings", "with --data or --train"),
    ("series", {"data": "walks"}, "series", "with --data or --train"),
    ("series", {"fill": 2}, "fill", "without --data or --train"),
    ("series", {"train": "a.ts", "test": "b.TS", "decimal": "comma"}, "decimal", "without CSV files"),
    ("question_answering", {"data": "babi"}, "questions", "with --data or --train"),
    ("translation", {}, "max_words", "without --data or --train"),
    ("translation", {"attention": ("none",)}, "readout", "without --attention=general or dot or additive"),
    ("tagging", {"taggers": ("words",)}, "character_units", "without --taggers=characters or forward or crf"),
    ("gradient_estimators", {"tasks": ("adding",), "text": "a.txt"}, "text", "without --tasks=characters"),
    ("exploding", {"clippings": ("none", "norm")}, "clip_value", "without --clippings=value"),
    ("gradient_norms", {"mnist": "digits"}, "mnist", "without --tasks=mnist or mnist_permuted"),
    ("gradient_norms", {"tasks": ("digits",)}, "length", "with --tasks whose lengths are those of images"),
    ("long_dependency", {"cifar": "images"}, "cifar", "without --tasks=cifar_noise_padded"),
    ("throughput", {"parts": ("layers",)}, "longest", "without --parts=lengths or training or"),
    ("throughput", {"engines": ("Scan",)}, "engines", "without --compile_for"),
]
HEEDED = [
    ("video", {}, "clips"),
    ("video", {"data": "digits"}, "clips"),
    ("video", {"data": "clips"}, "size"),
    ("captioning", {"train": "a.csv"}, "size"),
    ("speech", {"data": "digits"}, "joined"),
    ("series", {"data": "a.ts", "fill": 2}, "fill"),
    ("series", {"train": "a.ts", "test": "b", "decimal": "comma"}, "decimal"),
    ("translation", {"train": "a"}, "min_count"),
    ("translation", {"attention": ("none", "dot")}, "readout"),
    ("gradient_norms", {"tasks": ("digits", "mnist"), "mnist": "digits"}, "mnist"),
    ("gradient_norms", {"tasks": ("digits", "adding")}, "length"),
    ("long_dependency", {"preset": "mnist", "mnist": "digits"}, "mnist"),
    ("throughput", {"parts": ("layers",), "compile_for": ("h200",)}, "dtype"),
]


def config(name, fields):
    return importlib.import_module(f"experiments.{name}").Config(**fields)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("name", "fields", "idle", "reason"), REFUSED)
def test_a_flag_without_effect_is_refused_with_the_flag_that_decides_this(name, fields, idle, reason):
    with pytest.raises(UserError, match=re.escape(f"--{idle} has no effect {reason}")):
        flags.check_given(config(name, fields), [*fields, idle])
    flags.check_given(config(name, fields), [each for each in fields if each != idle])


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("name", "fields", "heeded"), HEEDED)
def test_a_flag_with_an_effect_is_not_refused(name, fields, heeded):
    flags.check_given(config(name, fields), [*fields, heeded])


def test_a_value_without_effect_is_refused_from_python_too_if_the_default_is_none():
    with pytest.raises(UserError, match="--delimiter has no effect without CSV files"):
        flags.check(series.Config(delimiter="tab"))
    flags.check(series.Config(series=300))


def test_what_quick_sets_is_no_flag_that_was_given(tmp_path):
    (tmp_path / "labels.csv").write_text("clip,label\n", encoding="utf-8")
    video = importlib.import_module("experiments.video")
    flags.check(video.Config(data=str(tmp_path), clips=video.QUICK.clips))


def test_a_policy_for_resuming_needs_resuming():
    with pytest.raises(UserError, match="--stale has no effect with --noresume"):
        flags.check_given(Settings(resume=False, stale="keep"), ["resume", "stale"])


@pytest.mark.extended
@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("series", ["--quick", "--fill=3"], "--fill has no effect without --data or --train"),
        ("sentiment", ["--noresume", "--stale=keep"], "--stale has no effect with --noresume"),
        ("sentiment", ["--load=a", "--predict=b", "--save_model"], "--load replaces --save_model: give one of them"),
        ("question_answering", ["--train=a", "--tasks=3"], "--train replaces --tasks: give one of them"),
    ],
)
def test_a_command_line_ends_with_one_line(name, given, message, tmp_path):
    command = [sys.executable, "-m", f"experiments.{name}", *given, f"--workdir={tmp_path / 'run'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stderr.strip()) == (2, f"error: {message}")
    assert not (tmp_path / "run").exists()
