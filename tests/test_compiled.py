"""What throughput compiles for devices that are not here, and that everything compiles for them.

Without their compilers, programs are compiled for this CPU in their place. `pip install ".[compile-tpu]"` adds some
programs for a v5e. The whole matrix: `pip install ".[compile-tpu,compile-cuda]"`, `python -m pytest -m compiled`.
"""

import importlib.util
import json
import math
import re

import jax
import jax.numpy as jnp
import pytest

import rnn_jax
from experiments import throughput
from experiments.common.flags import UserError
from experiments.throughput import compiled
from experiments.throughput.problem import Problem
from rnn_jax import targets, unroll
from rnn_jax.engines import ENGINES
from tests import compiled_programs

TINY = throughput.Config(cells=("gru",), shapes=("2x5x3x4",), compile_for=("v5e",), engines=("Scan", "Associative"))


@pytest.fixture
def here(monkeypatch):
    """Compiles for this CPU what is meant for another device."""
    monkeypatch.setattr(compiled, "PEERS", ("linen",))
    monkeypatch.setattr(compiled, "_versions", lambda target: "jax 1.2.3")
    monkeypatch.setattr(targets, "find", targets.TARGETS.get)
    monkeypatch.setattr(targets, "compile_for", lambda f, *args, target: jax.jit(f).lower(*args).compile())


@pytest.mark.usefixtures("here")
def test_compiling_for_a_device_writes_a_table_reasons_and_a_figure(tmp_path, capsys):
    throughput.run(TINY, str(tmp_path))
    content = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    records = {record["contestant"]: record for record in content["results"]}
    assert {*records} == {"Scan", "Associative", "linen"}
    for name in ("Scan", "linen"):
        record = records[name]
        assert record["reason"] is None
        assert min(record["forward_ops"], record["backward_ops"]) >= 1
        assert record["ops"] >= 5 * (record["forward_ops"] + record["backward_ops"])
        assert (record["cycles"], record["forward_cycles"]) == (None, None)  # a CPU's compiler estimates none
        assert record["largest_steps"] > 5
    assert records["Associative"]["reason"].startswith("TypeError: Associative: cell must be linear in its state")
    assert {path.suffix for path in tmp_path.iterdir() if path.is_file()} == {".json", ".html", ".png"}
    printed = " ".join(capsys.readouterr().out.split())
    assert "v5e, B x T x D x H = 2x5x3x4: compiled, not run" in printed
    assert re.search(r"Compiled, not run: \d{4}-\d\d-\d\d, jax 1\.2\.3", printed)
    assert "Associative does not compile, gru 2x5x3x4 for v5e: TypeError" in printed


@pytest.mark.usefixtures("here")
def test_the_largest_length_fills_the_memory():
    problem = Problem("lstm", 2, 100, 3, 4)
    layer = compiled._unrolled("Scan", problem.cell)
    program = compiled._compile(layer, problem, problem.steps, "h200")
    largest = compiled._largest_steps(layer, problem, "h200", program)
    used = sum(targets.memory(compiled._compile(layer, problem, int(largest), "h200")))
    assert used == pytest.approx(targets.TARGETS["h200"].memory_bytes, rel=1e-3)


@pytest.mark.usefixtures("here")
def test_a_step_whose_loops_depend_on_the_data_has_no_total():
    class Halving(rnn_jax.Cell):
        def init(self, key):
            return jnp.ones(())

        def initial_state(self, params, batch_shape=()):
            return jnp.ones((*batch_shape, self.hidden_size))

        def step(self, params, state, drive):
            halved = jax.lax.while_loop(lambda x: jnp.max(x) > 0.1, lambda x: x / 2, jax.lax.stop_gradient(drive))
            return params * state + jnp.sum(halved, axis=-1, keepdims=True)

    layer = jax.jit(lambda xs: unroll(Halving(3, 4), jnp.ones(()), xs, engine=rnn_jax.Scan())[1])
    numbers = compiled._numbers(layer.lower(jnp.ones((5, 2, 3))).compile(), 5)
    assert (numbers["ops"], numbers["forward_cycles"]) == (None, None)
    assert math.isnan(numbers["forward_ops"])
    assert numbers["temporary_bytes"] > 0


def test_engines_that_do_not_take_a_cell_are_no_cases():
    config = throughput.Config(cells=("gru", "min_gru"), shapes=("2x5x3x4",), compile_for=("v5e",))
    names = {(problem.cell_name, name) for _, problem, name in compiled._cases(config).values()}
    assert ("min_gru", "Associative") in names
    assert ("gru", "Associative") not in names
    assert {name for cell, name in names if cell == "gru"} >= {"Scan", "Hoisted", "Checkpointed", *compiled.PEERS}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"compile_for": ("v5",)}, "--compile_for: unknown 'v5': known are v5e, v6e, v4, h200"),
        ({"engines": ("scan",)}, "--engines: unknown 'scan': known are Associative"),
        ({"cells": ("peephole",)}, "unknown cell 'peephole': known are rnn"),
        ({}, 'compiling for v5e needs libtpu: pip install ".[compile-tpu]"'),
    ],
)
def test_what_cannot_be_compiled_is_refused_before_anything_is_written(fields, message, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    config = throughput.Config(**{"compile_for": ("v5e",), **fields})
    with pytest.raises(UserError, match=re.escape(message)):
        throughput.run(config, str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def installed(target):
    """Skips a test if the compiler of a target is not installed."""
    try:
        targets.find(target)
    except ImportError as error:
        pytest.skip(str(error))


def compile_unroll(cell, engine, target):
    """Compiles a layer's outputs, and its gradients; an engine that does not take the cell says so."""
    params = jax.eval_shape(cell.init, jax.random.key(0))
    xs = jax.ShapeDtypeStruct((20, 8, cell.input_size), jnp.float32)

    def forward(params, xs):
        return unroll(cell, params, xs, engine=ENGINES[engine]())

    def loss(params, xs):
        return sum(jnp.sum(jnp.abs(a) ** 2) for a in jax.tree.leaves(forward(params, xs)))

    for function in (forward, jax.grad(loss, argnums=(0, 1))):
        refused = ""
        try:
            program = targets.compile_for(function, params, xs, target=target)
            once = [1] * len(targets.loops(program))  # how often they run may depend on the data
            assert targets.total(program, once).ops > 0
        except (TypeError, ValueError, RuntimeError) as error:
            refused = str(error)
        assert not refused or re.match("Associative: cell must be linear|CuDNN: (cell|this machine) must", refused)


# A matrix state of one head has 128 x 128 numbers, whose Jacobians Newton cannot hold; of eight heads, an eighth.
HEADS = {"delta_net": rnn_jax.DeltaNet(16, 128, heads=8), "gated_delta_net": rnn_jax.GatedDeltaNet(16, 128, heads=8)}
CELLS = {name: make(16, 128) for name, make in rnn_jax.CELLS.items()} | HEADS
PROGRAMS = ["train LanguageModel", "train by RTRL()", "lyapunov_spectrum, LSTM", "beam_search, Bahdanau"]


@pytest.mark.parametrize("engine", ENGINES)
def test_an_lstm_compiles_for_a_tpu_with_every_engine(engine):
    installed("v5e")
    compile_unroll(CELLS["lstm"], engine, "v5e")


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_training_a_diagnostic_and_a_search_compile_for_a_tpu(name):
    installed("v5e")
    function, shapes = compiled_programs.PROGRAMS[name]
    targets.compile_for(function, *shapes, target="v5e")


@pytest.mark.compiled
@pytest.mark.parametrize("target", ["v5e", "h200"])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_compiles_with_every_engine(cell, engine, target):
    installed(target)
    compile_unroll(CELLS[cell], engine, target)


@pytest.mark.compiled
@pytest.mark.parametrize("target", ["v5e", "h200"])
@pytest.mark.parametrize("name", compiled_programs.PROGRAMS)
def test_every_program_compiles(name, target):
    installed(target)
    function, shapes = compiled_programs.PROGRAMS[name]
    targets.compile_for(function, *shapes, target=target)


@pytest.mark.compiled
def test_the_table_has_the_cycles_of_a_kernel():
    installed("v5e")
    problem = Problem("lstm", 8, 50, 16, 128)
    fused, scan = (compiled._measure(None, {}, ("v5e", problem, name))[0] for name in ("Fused", "Scan"))
    assert (fused["kernels"], scan["kernels"]) == (2, 0)
    for direction in ("forward", "backward"):
        assert fused[f"{direction}_ops"] == 0
        assert 0 < fused[f"{direction}_cycles"] < scan[f"{direction}_cycles"] / 4
    assert fused["cycles"] > problem.steps * (fused["forward_cycles"] + fused["backward_cycles"])
