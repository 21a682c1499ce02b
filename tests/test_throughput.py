"""The benchmark: a tiny run end to end, the order of rounds, refused comparisons, refused flags."""

import dataclasses
import functools
import json
import re
import sys

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

import rnn_jax
from experiments import throughput
from experiments.common.flags import UserError
from experiments.common.tables import select
from experiments.peers.programs import differences
from experiments.throughput import compilation, contestants, floor, growth, layers, loop, memory, trainings
from experiments.throughput.config import PARTS
from experiments.throughput.contestants import DEFAULT, ENGINES, unroll_programs
from experiments.throughput.problem import Problem
from rnn_jax import mesh, targets

TINY = throughput.Config(cells=("gru",), shapes=("2x5x3x4",), repeats=2, seconds=0.0)
SMALL = Problem("lstm", 2, 5, 3, 4)


# Flax is always there; the others are compared in an environment that has them all.
LIBRARIES = [("linen", "nnx"), pytest.param(contestants.LIBRARIES, marks=pytest.mark.peers)]


@pytest.fixture(params=LIBRARIES, ids=" ".join)
def names(request, monkeypatch):
    """Returns the names of the other libraries that take part."""
    monkeypatch.setattr(contestants, "LIBRARIES", request.param)
    _, missing = contestants.find()
    if missing:
        pytest.skip("; ".join(missing.values()))
    return set(request.param)


@pytest.fixture(autouse=True)
def cache_afterwards():
    """A run switches the cache of compiled programs off, for its process."""
    yield
    jax.config.update("jax_enable_compilation_cache", True)
    compilation_cache.reset_cache()


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(layers, "STEPS", (7, 20_000))  # the second is longer than --longest
    monkeypatch.setattr(trainings, "TASKS", {"adding": 10})
    monkeypatch.setattr(trainings, "STEP", trainings.STEP._replace(seeds=(1, 2), steps=2))
    # Three seeds cannot be spread over two devices by programs that run in parallel.
    monkeypatch.setattr(trainings, "RECIPE", trainings.RECIPE._replace(seeds=(3,), steps=2, timed_steps=2))
    monkeypatch.setattr(memory, "STEPS", (100,))
    monkeypatch.setattr(compilation, "STEPS", 5)
    monkeypatch.setattr(growth, "COMPILATIONS", 1)
    monkeypatch.setattr(growth, "OVER", {"H": "H", "seeds by vmap": "seeds"})
    monkeypatch.setattr(growth, "MULTIPLES", (1, 2, 5000))  # the last is longer than --longest
    monkeypatch.setattr(growth.Sizes.__init__, "__defaults__", (5, 2, 4, 1, 1))
    monkeypatch.setattr(loop, "LOG_EVERY", 2)
    monkeypatch.setattr(loop, "LOG_POINTS", 2)


@pytest.mark.extended
@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("names", [pytest.param(("torch", "linen", "haiku"), marks=pytest.mark.peers)], indirect=True)
def test_a_tiny_run_end_to_end(names, tmp_path, capsys):
    parts = tuple(PARTS)
    with jax.numpy_rank_promotion("allow"):  # Flax and Haiku promote ranks
        throughput.run(dataclasses.replace(TINY, parts=parts), str(tmp_path))

    pngs = {f"{name}.png" for name in parts if PARTS[name].figure}
    assert pngs >= {"layers.png", "lengths.png", "recipes.png"}
    assert {p.name for p in tmp_path.iterdir() if p.is_file()} == pngs | {"config.json", "results.json", "summary.html"}
    content = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert set(content) == {"config", "environment", "versions", "missing", "results"}
    assert not content["missing"]
    records = {name: select(content["results"], part=name) for name in parts}

    assert len(records["layers"]) == 2 * 2 * (2 + len(names))
    assert {r["parts"] for r in select(records["layers"], cores=layers.ALL)} == {2}
    assert {r["contestant"] for r in records["layers"]} == {DEFAULT, "Scan"} | names
    assert {r["rounds"] for r in records["layers"]} == {2}
    others = {(r["contestant"], r["cell"], r["function"]) for r in records["layers"] if not r["same_function"]}
    assert others == {("haiku", "gru", "GRUResetBefore")}
    for record in records["layers"]:
        assert record["lower_quartile_ms"] <= record["median_ms"] <= record["upper_quartile_ms"]
        assert record["outputs_difference"] < 1e-5
    assert {r["steps"] for r in records["lengths"]} == {7}
    assert [r["seeds"] for r in select(records["training"], contestant=DEFAULT)] == [1, 2]
    assert [r["contestant"] for r in records["recipes"]] == [DEFAULT, "torch"]
    for record in records["recipes"]:
        # One cell, 3 seeds, 2 steps of 20 sequences.
        assert record["sequences_per_second"] * record["median_ms"] == pytest.approx(120 * 1e3)
    assert len(PARTS["recipes"].findings(records["recipes"])) == 1
    stages = {name: [r["stage"] for r in select(records["compilation"], contestant=name)] for name in {DEFAULT} | names}
    assert stages.pop("torch") == ["total"]
    assert set(map(tuple, stages.values())) == {("lower", "compile", "total")}
    check_other_parts(records)

    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert "…" not in printed
    assert content["environment"]["processor"] in " ".join(printed.split())
    for version in content["versions"].values():
        assert version in printed
    page = (tmp_path / "summary.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == len(pngs)
    assert not re.search(r'(src|href)="(?!data:)', page)


def check_other_parts(records):
    """Checks the records of the parts in which no other library takes part."""
    assert [r["way"] for r in records["memory"]] == list(memory.WAYS)
    assert [r["way"] for r in records["loop"]] == ["bare", "logged", "saved"]
    median = {r["way"]: r["median_ms"] for r in records["loop"]}
    checkpoint = max(0, median["saved"] - median["logged"])  # one of two is saved before the end
    for record in records["loop"]:
        assert record["ms_a_step"] == pytest.approx(record["median_ms"] / 4)
        assert record["ms_a_checkpoint"] == pytest.approx(checkpoint)
        assert record["overhead"] == pytest.approx(median["logged"] / median["bare"] - 1 + checkpoint / 30_000)
    sizes = [(r["over"], r["size"]) for r in select(records["growth"], quantity=growth.TIME)]
    assert sizes == [("H", 4), ("H", 8), ("seeds by vmap", 1), ("seeds by vmap", 2)]
    assert len(records["growth"]) == 3 * len(sizes)
    assert len(records["floor"]) == 2


def layer_records(**medians):
    """Returns records of `layers` with the given times of the contestants, all equal functions."""
    fields = {
        "cores": layers.ONE,
        "mode": "forward",
        "cell": "lstm",
        "shape": "2x5x3x4",
        "same_function": True,
        "rounds": 2,
    }
    fields |= {"outputs_difference": 0.0, "input_gradients_difference": 0.0}
    return [{**fields, "contestant": name, "median_ms": ms} for name, ms in medians.items()]


def texts(records):
    """Returns the only row of the table of `layers`, by header."""
    table = PARTS["layers"].table(records)
    ((row,),) = table.sections.values()
    return {column.header: column.text(row) for column in table.columns}


def test_times_are_multiples_of_torch_or_else_of_scan():
    records = layer_records(rnn_jax=1.0, Scan=4.0, torch=2.0, linen=3.0)
    row = {"cell": "lstm", "BxTxDxH": "2x5x3x4", "rnn_jax": "0.5", "Scan": "2", "torch": "2 ms", "linen": "1.5"}
    assert texts(records) == row
    assert texts([r for r in records if r["contestant"] != "torch"])["rnn_jax"] == "0.25"
    records[3]["same_function"] = False
    assert texts(records)["linen"] == "1.5*"
    # A dash, and not the time of another contestant in its place.
    assert PARTS["layers"].table(records).columns[3].text({"rnn_jax": records[0]}) == "-"


def test_findings_compare_with_torch_and_with_the_fastest_other_jax_library():
    against_torch, against_best = PARTS["layers"].findings(
        layer_records(rnn_jax=1.0, Scan=4.0, torch=2.0, linen=0.8, nnx=5.0)
    )
    assert against_torch.startswith(
        "forward, one device, rnn_jax against torch: 0.5 times its time (geometric mean of 1), faster in 1"
    )
    assert against_best.endswith("slower in 1, at worst 1.25 (lstm 2x5x3x4).")


@pytest.mark.extended
def test_in_bfloat16_every_library_is_near_float32_and_rnn_jax_is_nearest(names):
    problem = dataclasses.replace(SMALL, dtype="bfloat16")
    with jax.numpy_rank_promotion("allow"):
        compared = {DEFAULT: ENGINES[DEFAULT], **contestants.find()[0]}
        records = layers.compare(("forward_backward",), TINY, compared, problem)
    differences = {r["contestant"]: r["input_gradients_difference"] for r in records}
    assert set(differences) == {DEFAULT} | names
    assert 1e-5 < differences[DEFAULT] < 0.01
    assert min(differences, key=differences.get) == DEFAULT


@pytest.mark.parametrize("cell", ["rnn", "lstm"])  # the tiny run has the third
def test_every_library_computes_the_same_function(cell, names):
    problem = dataclasses.replace(SMALL, cell_name=cell)
    data = problem.draw(0)
    libraries, missing = contestants.find()
    assert set(libraries) == names
    assert not missing
    for name, prepare in libraries.items():
        with jax.numpy_rank_promotion("allow"):
            programs = prepare(problem.cell, data)
            outputs = programs.outputs()
        computed, params = programs.other or (problem.cell, data.params)
        assert (programs.other is None) == ((name, cell) not in {("haiku", "rnn"), ("haiku", "gru")})
        expected = unroll_programs(computed, data._replace(params=params), engine=rnn_jax.Scan()).outputs()
        np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    "name", [DEFAULT, "linen", "nnx", *(pytest.param(name, marks=pytest.mark.peers) for name in ("haiku", "keras"))]
)
def test_a_split_batch_has_the_gradients_of_the_whole(name):
    if name not in (libraries := {**ENGINES, **contestants.find([name] if name != DEFAULT else [])[0]}):
        pytest.skip(f"{name} is not installed")
    with jax.numpy_rank_promotion("allow"):
        whole = libraries[name](SMALL.cell, SMALL.draw(0))
        with jax.set_mesh(mesh.MeshShape(data=2).build()):
            split = libraries[name](SMALL.cell, SMALL.draw(0))
            gradients = split.forward_backward()
            outputs = split.forward()
        assert len(outputs.sharding.device_set) == 2
        expected = whole.forward(), whole.forward_backward()
    near = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    jax.tree.map(near, (outputs, gradients), expected)


def test_the_cache_of_compiled_programs_is_off_before_anything_is_compiled(monkeypatch):
    """JAX looks once, at the first program, whether there is a cache; it would give times of reading files."""

    def check(config):
        raise UserError(f"enabled: {jax.config.jax_enable_compilation_cache}")

    monkeypatch.setattr(throughput.Config, "check", check)
    with pytest.raises(UserError, match="enabled: False"):
        throughput.run(TINY, "nowhere")


def test_a_slope_is_the_power_of_a_growth():
    records = [{"multiple": n, "value": 3 * n**2} for n in (1, 2, 16)]
    assert growth.slope(records) == pytest.approx(2)
    assert np.isnan(growth.slope(records[:1]))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda params: params._replace(w_h=params.w_h * 1.001),
        lambda params: params._replace(b=params.b.at[3].set(jnp.nan)),
    ],
)
def test_other_weights_are_no_comparison(spoil):
    scan = ENGINES["Scan"]
    compared = {"Scan": scan, "spoilt": lambda cell, data: scan(cell, data._replace(params=spoil(data.params)))}
    with pytest.raises(RuntimeError, match="spoilt computes something else for lstm 2x5x3x4 float32: outputs differ"):
        layers.compare(layers.MODES, TINY, compared, SMALL)


def test_other_gradients_are_no_comparison():
    right = ENGINES["Scan"](SMALL.cell, SMALL.draw(0))
    wrong = right._replace(forward_backward=lambda: (1.001 * right.forward_backward()[-1],))
    assert differences(right, right) == {"outputs": 0, "input_gradients": 0}
    with pytest.raises(RuntimeError, match=r"input_gradients differ from Scan's by 1\.0e-03"):
        layers.compare(layers.MODES, TINY, {"wrong": lambda cell, data: wrong}, SMALL)


def test_a_missing_library_is_reported_and_a_stopped_run_keeps_its_records(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "experiments.peers.torch", raising=False)
    monkeypatch.setattr(contestants, "LIBRARIES", ("torch",))

    def measure(options, libraries, case):
        if case == 2:
            raise KeyboardInterrupt
        return [{"size": case}]

    stopped = dataclasses.replace(PARTS["growth"], cases=lambda _: {"first": 1, "second": 2}, measure=measure)
    monkeypatch.setitem(PARTS, "growth", stopped)
    with pytest.raises(KeyboardInterrupt):
        throughput.run(throughput.Config(parts=("growth",)), str(tmp_path))
    content = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert content["results"] == [{"part": "growth", "size": 1}]
    assert "pip install torch" in content["missing"]["torch"]
    assert "torch does not take part: import of torch halted" in " ".join(capsys.readouterr().out.split())


def dot_flops(jaxpr):
    """2 m n k of every product, as often as it is run."""
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            sizes = [equation.invars[0].aval.shape[axis] for axis in contracted]
            total += 2 * int(np.prod(sizes)) * int(np.prod(equation.outvars[0].aval.shape))
        for inner in jax.extend.core.jaxprs_in_params(equation.params):
            total += equation.params.get("length", 1) * dot_flops(inner)
    return total


@pytest.mark.parametrize(("cell", "gates"), [("rnn", 1), ("gru", 3), ("lstm", 4)])
def test_the_floor_has_the_products_of_forward_and_backward(cell, gates):
    problem = Problem(cell, batch=2, steps=7, input_size=3, hidden_size=5)
    data = problem.draw(0)
    hs, dzs = jnp.zeros((7, 2, 5)), jnp.zeros((7, 2, 5 * gates))
    traced = jax.make_jaxpr(floor.products)(data.params.w_i, data.params.w_h, data.xs, hs, dzs)
    assert dot_flops(traced.jaxpr) == floor.flops(problem, 5 * gates) == 6 * 7 * 2 * 5 * gates * (5 + 3)


def test_the_floor_runs_every_step_in_order():
    """h_T and dz_1 depend on the first step: no step is left out as unread."""
    data = SMALL.draw(0)
    hs, dzs = jnp.ones((5, 2, 4)), jnp.ones((5, 2, 16))

    def last_blocks(w_h):
        h, dz, *_ = floor.products(data.params.w_i, w_h, data.xs, hs, dzs)
        return h, dz

    doubled, plain = last_blocks(2 * data.params.w_h), last_blocks(data.params.w_h)
    zero = jnp.zeros_like(data.xs)
    h = floor.products(data.params.w_i, 2 * data.params.w_h, zero, hs, dzs)[0]
    np.testing.assert_allclose(h, 2**5 * floor.products(data.params.w_i, data.params.w_h, zero, hs, dzs)[0], rtol=1e-5)
    assert not np.allclose(doubled[1], plain[1])


@pytest.mark.extended
def test_memory_grows_as_each_way_says():
    ways = ("Scan", "Checkpointed", memory.TRUNCATED)
    short, long = (
        {way: targets.memory(memory.compiled(way, steps)).temporary for way in ways} for steps in (100, 1600)
    )
    growth = {way: long[way] / short[way] for way in ways}
    assert growth["Checkpointed"] <= 4.5
    assert growth[memory.TRUNCATED] <= 1.1
    assert growth["Scan"] > 12


@pytest.mark.extended
def test_truncated_backpropagation_steps_once_a_segment_and_carries_the_state(monkeypatch):
    monkeypatch.setattr(memory, "SEGMENT_LENGTH", 3)
    cell = memory.LSTM
    params = cell.init(jax.random.key(0))
    xs = jax.random.normal(jax.random.key(1), (6, memory.BATCH, cell.input_size))
    state = cell.initial_state(params, (memory.BATCH,))
    expected = params
    for segment in (xs[:3], xs[3:]):

        def loss(p, s=state, x=segment):
            final, _ = rnn_jax.unroll(cell, p, x, s)
            return jnp.sum(final.h) + jnp.sum(final.c), final

        gradients, state = jax.grad(loss, has_aux=True)(expected)
        expected = jax.tree.map(lambda p, g: p - memory.LEARNING_RATE * g, expected, gradients)
    actual = memory.program(memory.TRUNCATED)(params, xs)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), actual, (expected, state))
    assert np.max(np.abs(expected.b - params.b)) > 1e-3


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"parts": ("layer",)}, "--parts: unknown 'layer': known are layers, lengths"),
        ({"parts": ()}, "--parts must name at least one and none twice, got ''"),
        ({"cells": ("lstm", "lstm")}, "--cells must name at least one and none twice, got 'lstm,lstm'"),
        ({"cells": ("peephole",)}, "--cells: unknown 'peephole': known are rnn, lstm, gru"),
        ({"tasks": ("parity",)}, "--tasks: unknown 'parity': known are adding, copying, temporal_order_6a, digits"),
        ({"shapes": ("32x100x128",)}, "a shape is BATCHxSTEPSxINPUTSxHIDDEN as in 32x100x128x128, got '32x100x128'"),
        ({"shapes": ("32x0x1x1",)}, "got '32x0x1x1'"),
        ({"repeats": 0}, "--repeats must be positive, got 0"),
        ({"seconds": float("nan")}, "--seconds must be at least 0, got nan"),
        ({"longest": 99}, "--longest must be at least 100, got 99"),
        ({"dtype": "float16"}, "--dtype must be one of float32, bfloat16, got 'float16'"),
    ],
)
def test_bad_flags_are_refused_before_anything_is_written(fields, message, tmp_path):
    with pytest.raises(UserError, match=re.escape(message)):
        throughput.run(throughput.Config(**fields), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_the_defaults_are_those_of_the_question():
    config = throughput.Config()
    assert list(config.problems()) == [f"{cell} {shape}" for shape in config.shapes for cell in config.cells]
    assert config.lengths(layers.STEPS) == [100, 316, 1000, 3162, 10_000]
    assert throughput.QUICK.lengths(layers.STEPS) == [100]
    assert tuple(trainings.TASKS) == throughput.Config().tasks
