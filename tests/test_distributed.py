"""Several processes on the loopback address: they give the numbers of one, and end if one is lost."""

import ast
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from rnn_jax import distributed
from tests import process

ROOT = pathlib.Path(__file__).parents[1]
VARIABLES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
TIMEOUT = 10  # seconds


@pytest.fixture
def start(tmp_path):
    """Starts processes with their output in files; kills those still running at the end of the test."""
    running = []

    def start_all(count, shape, runs):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
        for index in range(count):
            command = [sys.executable, "-m", "tests.process", port, count, index, shape, TIMEOUT, runs]
            with (tmp_path / f"{index}").open("w", encoding="utf-8") as output:
                running.append(
                    subprocess.Popen(
                        [str(word) for word in command],
                        cwd=ROOT,
                        env={**environment, "JAX_PLATFORMS": "cpu"},
                        stdout=output,
                        stderr=subprocess.STDOUT,
                    )
                )
        return running, lambda index: (tmp_path / f"{index}").read_text(encoding="utf-8")

    yield start_all
    for each in running:
        each.kill()
        each.wait()


@pytest.mark.parametrize(
    ("count", "shape", "held"),
    [
        pytest.param(2, "data:2", 4, marks=pytest.mark.extended),
        pytest.param(2, "seeds:2", 8, marks=pytest.mark.slow),
        pytest.param(2, "model:2", 8, marks=pytest.mark.slow),
        pytest.param(4, "data:2,seeds:2", 4, marks=pytest.mark.slow),
        pytest.param(4, "data:4", 2, marks=pytest.mark.slow),
    ],
)
def test_several_processes_give_the_numbers_of_one(count, shape, held, start):
    running, output = start(count, shape, 2)
    for index, each in enumerate(running):
        assert each.wait(120) == 0, output(index)
    result = ast.literal_eval(output(0).splitlines()[-1])
    expected = process.train(2)
    for name in ("loss", "w_h", "tested"):
        np.testing.assert_allclose(result[name], expected[name], rtol=1e-6, atol=1e-6)
    assert result["streams"] == held  # each process has its part of the data
    assert all("loss" not in output(index) for index in range(1, count))  # one writes


def wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to it"
        time.sleep(0.05)


@pytest.mark.parametrize("lost", [pytest.param(1, marks=pytest.mark.extended), pytest.param(0, marks=pytest.mark.slow)])
def test_if_one_is_killed_the_other_stops_with_a_message(lost, start):
    running, output = start(2, "data:2", 10_000)
    wait_for(lambda: "run 3 done" in output(0) and "run 3 done" in output(1), 120)
    running[lost].kill()
    assert running[1 - lost].wait(TIMEOUT / 2) != 0  # long before a heartbeat is missed
    message = output(1 - lost)
    # Either the broken connection or, if process 0 was killed, JAX's own service is noticed first.
    assert f"error: process {1 - lost} of 2 has lost another one" in message or "another task died" in message


@pytest.mark.slow
def test_one_that_hangs_counts_as_dead_after_the_heartbeat_timeout(start):
    running, output = start(2, "data:2", 10_000)
    wait_for(lambda: "run 3 done" in output(0) and "run 3 done" in output(1), 120)
    running[1].send_signal(signal.SIGSTOP)
    assert running[0].wait(2 * TIMEOUT + 10) != 0
    assert "another task died" in output(0)


@pytest.fixture
def alone(monkeypatch):
    """Unsets the variables that name other processes; returns the calls of `jax.distributed.initialize`."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    calls = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda *args, **options: calls.append((args, options)))
    return calls


def test_flags_win_over_the_environment(alone, monkeypatch):
    for name, value in zip(VARIABLES, ("host:1", "4", "3"), strict=True):
        monkeypatch.setenv(name, value)
    distributed.initialize()
    distributed.initialize("other:2", 2, 0, heartbeat_timeout=7)
    assert alone == [
        (("host:1", 4, 3), {"heartbeat_timeout_seconds": 30}),
        (("other:2", 2, 0), {"heartbeat_timeout_seconds": 7}),
    ]


def test_without_a_cluster_the_process_is_alone():
    cluster = ("SLURM", "OMPI", "KUBERNETES", *VARIABLES)
    program = "import jax; from rnn_jax import distributed as d; d.initialize()"
    result = subprocess.run(
        [sys.executable, "-c", f"{program}; print(jax.distributed.is_initialized(), d.is_writer())"],
        cwd=ROOT,
        env={n: v for n, v in os.environ.items() if not n.startswith(cluster)} | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert result.stdout == "False True\n", result.stderr


def test_other_errors_of_jax_are_raised(alone, monkeypatch):
    def refuse(*args, **options):
        raise ValueError("of the cluster")

    monkeypatch.setattr(jax.distributed, "initialize", refuse)
    with pytest.raises(ValueError, match="of the cluster"):
        distributed.initialize()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("host:1", None, None), "several processes need .*, got coordinator without processes and process"),
        ((None, 2, 0), "several processes need .*, got processes and process without coordinator"),
        ((None, None, 0), "several processes need .*, got process without coordinator and processes"),
        (("host", 2, 0), "coordinator must be host:port, got 'host'"),
        (("host:port", 2, 0), "coordinator must be host:port, got 'host:port'"),
        (("host:70000", 2, 0), "coordinator must be host:port, got 'host:70000'"),
        (("host:1", 0, 0), "processes must be at least 1, got 0"),
        (("host:1", 2, 2), "process must be from 0 to 1, one less than processes, got 2"),
        (("host:1", 2, -1), "process must be from 0 to 1"),
    ],
)
def test_incomplete_or_invalid_flags_are_rejected(given, message, alone):
    with pytest.raises(ValueError, match=message):
        distributed.initialize(*given)
    assert not alone


def test_a_variable_that_is_not_a_number_is_rejected(alone, monkeypatch):
    monkeypatch.setenv("JAX_NUM_PROCESSES", "two")
    with pytest.raises(ValueError, match="processes must be an integer, got JAX_NUM_PROCESSES='two'"):
        distributed.initialize("host:1", None, 0)


def test_in_a_single_process_an_error_is_raised():
    with pytest.raises(KeyError, match="mine"), distributed.exit_on_error():
        raise KeyError("mine")
