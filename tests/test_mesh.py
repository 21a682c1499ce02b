"""The shape of a mesh; tests/many_devices tests the rest, in a process with eight devices."""

import functools
import os
import pathlib
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from rnn_jax import LSTM, machine, mesh, models, tasks, training
from rnn_jax.mesh import MeshShape

ROOT = pathlib.Path(__file__).parents[1]


def test_a_shape_is_read_from_text():
    assert MeshShape.parse("data:4,seeds:2") == MeshShape(data=4, seeds=2, model=1)
    assert MeshShape.parse(" model:3 , data:1") == MeshShape(model=3)
    assert MeshShape.parse("seeds:2,data:4").devices == 8
    assert str(MeshShape.parse("seeds:2,data:4")) == "data:4,seeds:2"
    assert str(MeshShape()) == "data:1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "mesh: '' must be axis:size with an axis of data, model, seeds"),
        ("data:2,", "mesh: '' must be axis:size"),
        ("batch:4", "mesh: 'batch:4' must be axis:size with an axis of data, model, seeds"),
        ("data:2,data:2", "mesh: the axis data comes twice in 'data:2,data:2'"),
        ("data", "mesh: the size of data must be a positive integer, got ''"),
        ("data:0", "mesh: the size of data must be a positive integer, got '0'"),
        ("data:-1", "mesh: the size of data must be a positive integer, got '-1'"),
        ("data:two", "mesh: the size of data must be a positive integer, got 'two'"),
        ("data:2:2", "mesh: the size of data must be a positive integer, got '2:2'"),
    ],
)
def test_an_invalid_text_is_rejected(text, message):
    with pytest.raises(ValueError, match=message):
        MeshShape.parse(text)


@pytest.mark.parametrize("size", [0, -2, 1.5, True])
def test_an_invalid_size_is_rejected(size):
    with pytest.raises(ValueError, match="mesh: model must be a positive integer, got"):
        MeshShape(model=size)


def test_without_a_mesh_nothing_is_split_or_rejected():
    assert mesh.current() is None
    assert mesh.size("data") == 1
    mesh.check_divides("seeds", 3, "seeds")
    tree = {"x": jnp.ones((2, 3))}
    for function in (mesh.split_batch, mesh.split_state, mesh.gather_model, mesh.place_whole):
        assert function(tree) is tree or function(tree)["x"] is tree["x"]


def test_a_mesh_with_other_axes_is_ignored():
    with jax.set_mesh(jax.make_mesh((1,), ("x",))):
        assert mesh.current() is None


@pytest.mark.parametrize(
    "marked",
    [
        "not (slow or extended)",
        pytest.param("extended and not slow", marks=pytest.mark.extended),
        pytest.param("slow", marks=pytest.mark.slow),
    ],
)
def test_eight_devices(marked):
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/many_devices", "-m", marked, "-q", "-n0", "-p", "no:cacheprovider"],
        cwd=ROOT,
        env={**os.environ, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "8", "NPROC": "9"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-6000:]


ONE_STEP = """
import os, sys, jax, numpy
from rnn_jax import LSTM, machine, mesh, models, tasks, training
count, units, batch = map(int, sys.argv[1:])
assert "NPROC" not in os.environ
machine.cores = lambda: 2
with jax.set_mesh(mesh.MeshShape(data=count).build()):
    trainer = training.Trainer(models.ReadoutModel(LSTM(2, units), 1), batch, training.SGD(0.1), None)
    state = training.init(trainer, jax.random.key(0)[None])
    metrics = training.train(trainer, tasks.Adding(10), state, 1, log_every=1).history
print(jax.device_count(), os.environ["NPROC"], metrics.loss.item(), metrics.grad_norm.item())
"""


@pytest.mark.parametrize(
    ("devices", "units", "batch"),
    [
        (2, 64, 33),  # 17 sequences and 16
        *(pytest.param(n, 384, 33, marks=pytest.mark.extended) for n in range(2, 9)),  # waited for ever on two cores
    ],
)
def test_a_mesh_makes_its_cpu_devices_and_leaves_a_thread_free(devices, units, batch):
    def run(count: int) -> list[float]:
        environment = {name: value for name, value in os.environ.items() if name != "NPROC"}
        environment["XLA_FLAGS"] = re.sub(r"--xla_force_host\S+", "", os.environ.get("XLA_FLAGS", ""))
        command = [sys.executable, "-c", ONE_STEP, *map(str, (count, units, batch))]
        done = subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=300, stdout=-1, text=True)
        made, threads, *numbers = map(float, done.stdout.split())
        assert made == count
        assert threads > count
        return numbers

    assert run(devices) == pytest.approx(_one_device(units, batch), rel=1e-5)


@functools.cache
def _one_device(units: int, batch: int) -> tuple[float, float]:
    trainer = training.Trainer(models.ReadoutModel(LSTM(2, units), 1), batch, training.SGD(0.1), None)
    state = training.init(trainer, jax.random.key(0)[None])
    history = training.train(trainer, tasks.Adding(10), state, 1, log_every=1).history
    return history.loss.item(), history.grad_norm.item()


def test_a_mesh_that_takes_all_threads_is_refused(monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda: 2)  # the process has three devices (tests/conftest.py)
    monkeypatch.delenv("NPROC", raising=False)
    assert MeshShape(data=2).build().size == 2
    with pytest.raises(ValueError, match=r"3 CPU devices must leave one of XLA's 3 threads free, .* NPROC=4$"):
        MeshShape(data=3).build()
    assert "NPROC" not in os.environ


def test_parts_of_a_batch_as_far_as_a_trace_shows(monkeypatch):
    monkeypatch.setenv("NPROC", "4")  # nothing runs
    xs = jnp.ones((2, 6, 1))
    devices = jax.make_mesh((3,), ("rows",), axis_types=(AxisType.Auto,))
    split, seen = NamedSharding(devices, P(None, "rows")), []

    def record(xs):
        seen.append(mesh.batch_parts(xs))
        return xs

    jax.jit(record)(xs)  # three devices (tests/conftest.py), which `in_shardings` could name
    jax.jit(record)(jax.device_put(xs, split))
    with jax.set_mesh(devices):
        jax.jit(record)(xs)
    jax.shard_map(record, mesh=devices, in_specs=P(None, "rows"), out_specs=P(None, "rows"))(xs)
    with jax.set_mesh(MeshShape(seeds=3).build()):
        jax.jit(record)(xs)
    with jax.set_mesh(MeshShape(data=3).build()):
        jax.jit(record)(xs)
    assert seen == [None, 3, 3, 1, 1, 3]
