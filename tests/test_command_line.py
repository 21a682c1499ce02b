"""Flags made from a config's fields."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = """
import dataclasses
from experiments.common.command_line import launch
from experiments.common.flags import UserError, setting

@dataclasses.dataclass(frozen=True)
class Config:
    names: tuple[str, ...] = setting(("a", "b"), "Names.")
    size: int = setting(3, "A size.")
    rate: float = setting(0.5, "A rate.")
    steps: int | None = setting(None, "Steps, or none.")

def run(config, workdir):
    if config.size == 13:
        raise UserError("--size must not be 13")
    if config.size == 14:
        raise KeyboardInterrupt
    print(config.names, config.size, config.rate, config.steps, workdir)

launch(Config, Config(size=1, rate=0.25), run, "here")
"""


def script(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("flags", "printed"),
    [
        pytest.param([], "('a', 'b') 3 0.5 None here", marks=pytest.mark.extended),
        (["--names=c", "--steps=7", "--workdir=there"], "('c',) 3 0.5 7 there"),
        pytest.param(["--quick"], "('a', 'b') 1 0.25 None here_quick", marks=pytest.mark.extended),
        # What is given wins over what --quick changes, even where it is the default.
        (["--quick", "--size=3"], "('a', 'b') 3 0.25 None here_quick"),
    ],
)
def test_flags_fill_the_config(flags: list[str], printed: str) -> None:
    assert script(*flags).stdout.strip() == printed


def test_help_lists_the_flags() -> None:
    done = script("--help")
    for text in ("--names: Names.", "--size: A size.", "--[no]quick", "--workdir"):
        assert text in done.stdout


def test_errors_and_interrupts_have_a_status_and_no_traceback() -> None:
    refused, stopped = script("--size=13"), script("--size=14")
    assert (refused.returncode, refused.stderr.strip()) == (2, "error: --size must not be 13")
    assert (stopped.returncode, stopped.stderr.strip()) == (130, "interrupted")
