"""Flags made from a config's fields; errors, interrupts and terminals that cannot show everything."""

import ast
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import pytest

from experiments import char_lm, gradient_norms, speech, translation
from experiments.common import compilation, settings
from experiments.common.flags import UserError
from experiments.common.settings import Settings
from rnn_jax import machine, mesh

ROOT = Path(__file__).parents[1]
SCRIPT = """
import dataclasses, gc, pathlib, rich, signal, time
from experiments.common.command_line import FigureError, launch
from experiments.common.flags import UserError, setting

@dataclasses.dataclass(frozen=True)
class Config:
    names: tuple[str, ...] = setting(("a", "b"), "Names.")
    size: int = setting(3, "A size.")
    rate: float = setting(0.5, "A rate.")
    steps: int | None = setting(None, "Steps, or none.")
    chunks: int | None = setting(None, "Chunks.", replaces=("rate",))

def run(config, workdir):
    if config.size == 13:
        raise UserError("--size must not be 13")
    if config.size == 11:
        print(config.chunks, config.rate)
    if config.size == 12:
        raise FigureError("cannot be drawn")
    if config.size == 14:
        raise KeyboardInterrupt
    if config.size == 16:
        def collected(*_):
            gc.callbacks.remove(collected)
            signal.raise_signal(signal.SIGTERM if config.names == ("term",) else signal.SIGINT)
        gc.callbacks.append(collected)
        gc.collect()
        for _ in range(90):
            time.sleep(0.1)
    if config.size == 15:
        rich.print("5-gram \u2192 \u0416")
        print("\u2500 \u0416" * 100_000, flush=True)
        pathlib.Path(workdir).write_text("results")
    print(config.names, config.size, config.rate, config.steps, workdir)

launch(Config, Config(size=1, rate=0.25, chunks=5), run, "here")
"""


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Programs inherit that SIGINT is ignored, as it is in a process in the background and in pytest-xdist's."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def script(*flags: str, stdout: Any = subprocess.PIPE, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, *flags],
        cwd=ROOT,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        env=os.environ | environment,
    )


@pytest.mark.parametrize(
    ("flags", "printed"),
    [
        pytest.param([], "('a', 'b') 3 0.5 None here", marks=pytest.mark.extended),
        pytest.param(["--names=c", "--steps=7", "--workdir=there"], "('c',) 3 0.5 7 there", marks=pytest.mark.extended),
        (["--names=a,my:B(x=1,y=(2, 3)),c"], "('a', 'my:B(x=1, y=(2, 3))', 'c') 3 0.5 None here"),
        pytest.param(["--quick"], "('a', 'b') 1 0.25 None here_quick", marks=pytest.mark.extended),
        # What is given wins over what --quick changes, even where it is the default.
        (["--quick", "--size=3"], "('a', 'b') 3 0.25 None here_quick"),
    ],
)
def test_flags_fill_the_config(flags: list[str], printed: str) -> None:
    assert script(*flags).stdout.strip() == printed


def test_another_generator_of_random_numbers_is_refused() -> None:
    message = "JAX_DEFAULT_PRNG_IMPL must be threefry2x32, .* got rbg"
    with jax.default_prng_impl("rbg"), pytest.raises(UserError, match=message), Settings().environment():
        pass


def test_jaxs_own_variables_come_before_ours():
    directory, least = jax.config.jax_compilation_cache_dir, jax.config.jax_persistent_cache_min_compile_time_secs
    with compilation.cached(Settings().compilation_cache):  # conftest.py sets the variables, or who runs the tests
        assert jax.config.jax_compilation_cache_dir == directory == os.environ["JAX_COMPILATION_CACHE_DIR"]
        assert jax.config.jax_persistent_cache_min_compile_time_secs == least


def test_help_lists_the_flags() -> None:
    done = script("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for text in ("--names: Names.", "--size: A size.", "--[no]quick", "--workdir"):
        assert text in done.stdout


@pytest.mark.extended
def test_a_flag_that_replaces_another_gives_way_to_it_or_is_refused() -> None:
    assert script("--quick", "--size=11", "--rate=3").stdout.startswith("None 3.0\n")
    refused = script("--rate=3", "--chunks=4")
    assert (refused.returncode, refused.stderr.strip()) == (2, "error: --chunks replaces --rate: give one of them")


@pytest.mark.extended
def test_errors_and_interrupts_have_a_status_and_no_traceback() -> None:
    refused, stopped, undrawn = script("--size=13"), script("--size=14"), script("--size=12")
    assert (undrawn.returncode, undrawn.stderr.strip()) == (1, "error: cannot be drawn")
    assert (refused.returncode, refused.stderr.strip()) == (2, "error: --size must not be 13")
    assert (stopped.returncode, stopped.stderr.strip()) == (130, "interrupted")


@pytest.mark.extended
@pytest.mark.parametrize(("name", "status", "word"), [("int", 130, "interrupted"), ("term", 143, "terminated")])
def test_an_interrupt_that_comes_in_a_garbage_collectors_callback_is_not_lost(
    name: str, status: int, word: str
) -> None:
    done = script("--size=16", f"--names={name}")
    assert (done.returncode, done.stderr.strip(), done.stdout) == (status, word, "")


@pytest.mark.extended
def test_a_terminal_without_a_character_gets_a_question_mark_and_home_is_expanded(tmp_path: Path) -> None:
    done = script("--size=15", "--workdir=~/results", PYTHONIOENCODING="cp1252", HOME=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("5-gram ? ?")
    assert done.stdout.strip().endswith(str(tmp_path / "results"))
    assert (tmp_path / "results").read_text(encoding="utf-8") == "results"


@pytest.mark.extended
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize("full", [True, False])
def test_output_that_cannot_be_written_does_not_end_the_run(full: bool, tmp_path: Path) -> None:
    if full:
        output, reason = os.open("/dev/full", os.O_WRONLY), "No space left on device"
    else:  # a pipe that nobody reads, as after `| head`
        (reader, output), reason = os.pipe(), "Broken pipe"
        os.close(reader)
    results = tmp_path / "results"
    done = script("--size=15", f"--workdir={results}", stdout=output)
    os.close(output)
    assert results.read_text(encoding="utf-8") == "results"
    assert done.stderr == f"error: standard output cannot be written ({reason}); results: {results}\n"
    assert done.returncode == 1


@pytest.mark.extended
@pytest.mark.parametrize("swallowed", [False, True])
def test_an_interrupt_during_the_imports_ends_with_one_line(swallowed: bool, tmp_path: Path) -> None:
    code = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(1)\n"
    if swallowed:
        code = "try:\n" + "".join(f"    {line}\n" for line in code.splitlines()) + "except KeyboardInterrupt: pass\n"
    (tmp_path / "jax.py").write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "experiments.gradient_norms", "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        timeout=60,
    )
    assert (done.returncode, done.stderr, done.stdout) == (130, "interrupted\n", "")


UNIX_ONLY = {
    "crypt",
    "fcntl",
    "grp",
    "nis",
    "ossaudiodev",
    "posix",
    "pty",
    "pwd",
    "resource",
    "spwd",
    "syslog",
    "termios",
    "tty",
}


def test_no_module_of_unix_alone_is_imported() -> None:
    for path in [*ROOT.glob("rnn_jax/**/*.py"), *ROOT.glob("experiments/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not UNIX_ONLY & {name.partition(".")[0] for name in names}, path


@pytest.mark.parametrize(
    ("config", "cores", "shape"),
    [
        (char_lm.Config(hidden_size=256), 2, "data:2"),
        (char_lm.Config(hidden_size=256), 16, "data:4"),  # at least 8 of 32 sequences on a device
        (char_lm.Config(hidden_size=512), 2, None),  # products fill the cores
        (char_lm.Config(hidden_size=256, batch_size=15), 2, None),
        (char_lm.Config(hidden_size=256, batch_size=33), 2, "data:2"),
        (char_lm.Config(hidden_size=256), 1, None),
        (translation.Config(), 2, None),  # two networks
        (translation.Config(attention=("none",)), 2, "data:2"),
        (translation.Config(attention=("none",), seeds=3), 6, "data:2,seeds:3"),
        (translation.Config(attention=("none",), seeds=0), 2, None),  # refused later
        (speech.Config(questions=("digits",)), 2, None),  # three seeds
        (gradient_norms.Config(cells=("gru",), seeds=1), 2, None),
    ],
)
def test_all_cores_by_default_for_what_would_not_keep_them_busy(config, cores, shape, monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda: cores)
    monkeypatch.delenv("NPROC", raising=False)
    given = settings.over_cores(config)
    assert (given and str(given)) == shape
    if given is not None and given.devices == 2:  # of the three of this process
        with Settings().environment(config):
            assert mesh.shape() == given
