"""The benchmark: a tiny run from end to end, the order of turns, that unequal results are no comparison, refusals."""

import dataclasses
import json
import re
import sys
import time
import types

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax
from experiments import throughput
from experiments.common.flags import UserError
from experiments.throughput import (
    compilation,
    figures,
    floor,
    layers,
    lengths,
    loop,
    memory,
    peers,
    quantities,
    recipes,
    seeds,
    tables,
    timing,
    training,
)
from experiments.throughput.job import Job
from experiments.throughput.peers import ours
from experiments.throughput.problem import Problem, Shape

pytestmark = pytest.mark.usefixtures("unoptimized")

TINY = throughput.Config(cells=("gru",), shapes=("2x5x3x4",), repeats=2, seconds=0.0)
SMALL = Problem("lstm", Shape(2, 5, 3, 4))


def test_a_tiny_run_from_end_to_end(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(ours, "ENGINES", (ours.Ours(ours.DEFAULT), ours.SCAN))
    monkeypatch.setattr(lengths, "STEPS", (7, 20_000))  # the second is longer than --longest
    monkeypatch.setattr(training, "LENGTH", 10)
    monkeypatch.setattr(training, "SEEDS", (1, 2))
    monkeypatch.setattr(training, "STEPS", 2)
    monkeypatch.setattr(recipes, "RECIPES", (recipes.Recipe("adding", 10),))
    monkeypatch.setattr(recipes, "SEEDS", 3)  # not to be spread over two devices, in programs side by side
    monkeypatch.setattr(recipes, "STEPS", 2)
    monkeypatch.setattr(memory, "STEPS", (100,))
    monkeypatch.setattr(compilation, "STEPS", (5, 10))
    monkeypatch.setattr(compilation, "LAYERS", (1, 2))
    monkeypatch.setattr(seeds, "SEEDS", (1, 2))
    monkeypatch.setattr(loop, "LOG_EVERY", 2)
    monkeypatch.setattr(loop, "LOG_POINTS", 2)
    with jax.numpy_rank_promotion("allow"):  # Flax and Haiku promote ranks
        throughput.run(TINY, str(tmp_path))

    pngs = {"layers.png", "lengths.png", "recipes.png", "memory.png", "compilation.png", "seeds.png"}
    assert {p.name for p in tmp_path.iterdir() if p.is_file()} == pngs | {"config.json", "results.json", "summary.html"}
    content = json.loads((tmp_path / "results.json").read_text())
    assert set(content) == {"config", "environment", "versions", "missing", "results"}
    records = content["results"]
    found, _ = peers.find()
    names = {contestant.name for contestant in found}
    of_layers = quantities.select(records, part="layers")
    assert len(of_layers) == 2 * (2 + len(names))
    assert {r["contestant"] for r in of_layers} == {ours.DEFAULT, "Scan"} | names
    assert {r["rounds"] for r in of_layers} == {2}
    others = {(r["contestant"], r["cell"], r["function"]) for r in of_layers if not r["same_function"]}
    assert others == ({("haiku", "gru", "GRUResetBefore")} if "haiku" in names else set())
    for record in of_layers:
        assert record["lower_quartile_ms"] <= record["median_ms"] <= record["upper_quartile_ms"]
        assert record["outputs_difference"] < 1e-5
    assert {r["steps"] for r in quantities.select(records, part="lengths")} == {7}
    assert [r["seeds"] for r in quantities.select(records, part="training", contestant=ours.DEFAULT)] == [1, 2]
    of_recipes = quantities.select(records, part="recipes")
    assert [r["contestant"] for r in of_recipes] == [ours.DEFAULT, *names & {"torch"}]
    for record in of_recipes:
        # One cell, 3 seeds, 2 steps of 20 sequences.
        assert record["sequences_per_second"] * record["median_ms"] == pytest.approx(120 * 1e3)
    assert set(quantities.recipe_ratios(records)) == ({"adding"} if "torch" in names else set())
    assert [r["way"] for r in quantities.select(records, part="memory")] == list(memory.WAYS)
    assert len(quantities.select(records, part="compilation")) == (2 + 2) * 2
    of_loop = quantities.select(records, part="loop")
    assert [r["way"] for r in of_loop] == ["bare", "logged", "saved"]
    median = {r["way"]: r["median_ms"] for r in of_loop}
    a_save = max(0, median["saved"] - median["logged"])  # one of two is saved before the end
    for record in of_loop:
        assert record["ms_a_step"] == pytest.approx(record["median_ms"] / 4)
        assert record["ms_a_checkpoint"] == pytest.approx(a_save)
        assert record["overhead"] == pytest.approx(median["logged"] / median["bare"] - 1 + a_save / 30_000)
    of_seeds = quantities.select(records, part="seeds")
    assert [(r["way"], r["seeds"]) for r in of_seeds] == [
        ("vmap", 1),
        ("over_seeds", 1),
        ("vmap", 2),
        ("over_seeds", 2),
    ]
    assert len(quantities.select(records, part="floor")) == 2

    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= 80
    assert "…" not in told
    assert content["environment"]["processor"] in " ".join(told.split())
    for version in content["versions"].values():
        assert version in told
    page = (tmp_path / "summary.html").read_text()
    assert page.count("data:image/png;base64,") == len(pngs)
    assert not re.search(r'(src|href)="(?!data:)', page)
    # The file alone tells the tables, and without PyTorch there is another reference.
    made = tables.tables(records)
    assert list(made) == list(throughput.MODULES)
    without = [r for r in records if r.get("contestant") != "torch"]
    assert tables.tables(without)["layers"].columns[2].header == "Scan ms"
    assert not quantities.recipe_ratios(without)
    assert "recipes" in figures.figures(quantities.select(without, part="recipes"))


def test_in_bfloat16_every_library_is_near_float32_and_ours_is_nearest():
    problem = dataclasses.replace(SMALL, dtype="bfloat16")
    found, _ = peers.find()
    with jax.numpy_rank_promotion("allow"):
        records = layers.compare("layers", TINY, problem, [ours.Ours(ours.DEFAULT), *found], ("forward_backward",))
    differences = {r["contestant"]: r["input_gradients_difference"] for r in records}
    assert 1e-5 < differences[ours.DEFAULT] < 0.01
    assert min(differences, key=differences.get) == ours.DEFAULT


@pytest.mark.parametrize("cell", ["rnn", "lstm"])  # the tiny run has the third
def test_every_library_is_given_the_same_function(cell):
    problem = dataclasses.replace(SMALL, cell_name=cell)
    data = problem.draw(0)
    found, _ = peers.find()
    for contestant in found:
        ours_alike = ours.run_cell(*contestant.function(problem, data), data, rnn_jax.Scan())
        with jax.numpy_rank_promotion("allow"):
            outputs = contestant.prepare(problem, data).outputs()
        np.testing.assert_allclose(outputs, ours_alike.outputs(), rtol=1e-5, atol=1e-6, err_msg=contestant.name)


def test_every_call_has_its_turn_in_every_round():
    made = []
    calls = {name: (lambda name=name: made.append(name)) for name in "abc"}
    times = timing.interleave(calls, rounds=4, seconds=0)
    assert {name: len(of_call) for name, of_call in times.items()} == {"a": 4, "b": 4, "c": 4}
    assert made[:6] == [*"abc", *"abc"]  # compiled and warmed up
    # Short calls: each turn is one untimed and one timed.
    assert made[6::2] == made[7::2] == [*"abc", *"cba", *"bca", *"acb"]
    first = {name: sum(timing.turns("abc", n)[0] == name for n in range(6)) for name in "abc"}
    assert first == {"a": 2, "b": 2, "c": 2}


def test_a_long_call_is_made_once_a_turn_and_the_time_is_its_own(monkeypatch):
    monkeypatch.setattr(timing, "SHORT", 0.01)
    made = []
    calls = {"long": lambda: (made.append("long"), time.sleep(0.02)), "short": lambda: made.append("short")}
    times = timing.interleave(calls, rounds=2, seconds=0)
    assert made[4:] == ["long", "short", "short", "short", "short", "long"]
    assert min(times["long"]) >= 0.02
    assert max(times["short"]) < 0.02


def test_there_are_more_rounds_while_there_is_time():
    times = timing.interleave({"a": lambda: time.sleep(0.001)}, rounds=1, seconds=0.05)
    assert 1 < len(times["a"]) <= timing.MOST_ROUNDS
    assert len(timing.interleave({"a": lambda: None}, rounds=1, seconds=60)["a"]) == timing.MOST_ROUNDS


def test_statistics_are_of_milliseconds():
    found = timing.statistics([0.001, 0.002, 0.003, 0.004, 0.1])
    assert found == {"median_ms": 3, "lower_quartile_ms": 2, "upper_quartile_ms": 4, "rounds": 5}


class Spoilt(ours.Ours):
    """Loads other weights than it is given."""

    def prepare(self, problem, data):
        return super().prepare(problem, data._replace(params=self.spoil(data.params)))


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda params: params._replace(w_h=params.w_h * 1.001), "outputs differ"),
        (lambda params: params._replace(b=params.b.at[3].set(jnp.nan)), "outputs differ"),
    ],
)
def test_other_weights_are_no_comparison(spoil, what, monkeypatch):
    monkeypatch.setattr(Spoilt, "spoil", staticmethod(spoil), raising=False)
    with pytest.raises(RuntimeError, match=f"spoilt computes something else for lstm 2x5x3x4 float32: {what}"):
        layers.compare("layers", TINY, SMALL, [ours.SCAN, Spoilt("spoilt")], layers.MODES)


def test_other_gradients_are_no_comparison():
    data = SMALL.draw(0)
    right = ours.SCAN.prepare(SMALL, data)
    wrong = right._replace(input_gradients=lambda: 1.001 * right.input_gradients())
    assert layers.differences("x", SMALL, right, right) == {"outputs_difference": 0, "input_gradients_difference": 0}
    with pytest.raises(RuntimeError, match=r"input_gradients differ from Scan's by 1\.0e-03"):
        layers.differences("x", SMALL, wrong, right)


def test_a_missing_library_is_told_and_a_stopped_run_keeps_what_it_has(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "experiments.throughput.peers.pytorch", raising=False)
    monkeypatch.setattr(peers, "LIBRARIES", {"torch": peers.LIBRARIES["torch"]})
    record = {"part": "other", "seeds": 1}

    def stop():
        raise KeyboardInterrupt

    jobs = [Job("first", lambda: [record]), Job("second", stop)]
    monkeypatch.setitem(throughput.MODULES, "seeds", types.SimpleNamespace(jobs=lambda config, found: jobs))
    with pytest.raises(KeyboardInterrupt):
        throughput.run(throughput.Config(parts=("seeds",)), str(tmp_path))
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["results"] == [record]
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
    shape = Shape(batch=2, steps=7, input_size=3, hidden_size=5)
    data = Problem(cell, shape).draw(0)
    hs, dzs = jnp.zeros((7, 2, 5)), jnp.zeros((7, 2, 5 * gates))
    traced = jax.make_jaxpr(floor.products)(data.params.w_i, data.params.w_h, data.xs, hs, dzs)
    assert dot_flops(traced.jaxpr) == floor.flops(shape, 5 * gates) == 6 * 7 * 2 * 5 * gates * (5 + 3)


def test_the_floor_runs_every_step_in_order():
    """h_T and dz_1 depend on the first step: no step is left out as unread."""
    data = SMALL.draw(0)
    hs, dzs = jnp.ones((5, 2, 4)), jnp.ones((5, 2, 16))

    def of_ends(w_h):
        h, dz, *_ = floor.products(data.params.w_i, w_h, data.xs, hs, dzs)
        return h, dz

    doubled, plain = of_ends(2 * data.params.w_h), of_ends(data.params.w_h)
    zero = jnp.zeros_like(data.xs)
    h = floor.products(data.params.w_i, 2 * data.params.w_h, zero, hs, dzs)[0]
    np.testing.assert_allclose(h, 2**5 * floor.products(data.params.w_i, data.params.w_h, zero, hs, dzs)[0], rtol=1e-5)
    assert not np.allclose(doubled[1], plain[1])


def test_memory_grows_as_each_way_says():
    ways = ("Scan", "Checkpointed", memory.TRUNCATED)
    short, long = ({way: memory.temporary_bytes(way, steps) for way in ways} for steps in (100, 1600))
    growth = {way: long[way] / short[way] for way in ways}
    assert growth["Checkpointed"] <= 4.5
    assert growth[memory.TRUNCATED] <= 1.1
    assert growth["Scan"] > 12


def test_truncated_backpropagation_steps_once_a_segment_and_carries_the_state(monkeypatch):
    monkeypatch.setattr(memory, "SEGMENT", 3)
    cell = memory.LSTM
    params = cell.init(jax.random.key(0))
    xs = jax.random.normal(jax.random.key(1), (6, memory.BATCH, cell.input_size))
    state = cell.initial_state(params, (memory.BATCH,))
    wanted = params
    for segment in (xs[:3], xs[3:]):

        def loss(p, s=state, x=segment):
            final, _ = rnn_jax.unroll(cell, p, x, s)
            return jnp.sum(final.h) + jnp.sum(final.c), final

        gradients, state = jax.grad(loss, has_aux=True)(wanted)
        wanted = jax.tree.map(lambda p, g: p - memory.LEARNING_RATE * g, wanted, gradients)
    got = memory.program(memory.TRUNCATED)(params, xs)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), got, (wanted, state))
    assert np.max(np.abs(wanted.b - params.b)) > 1e-3


def test_on_a_cpu_no_allocator_counts():
    if jax.default_backend() == "cpu":
        assert memory.allocator_peak_bytes("Checkpointed", 100) is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"parts": ("layer",)}, "--parts: unknown 'layer', known are layers, lengths"),
        ({"parts": ()}, "--parts must name at least one and none twice, got ''"),
        ({"cells": ("lstm", "lstm")}, "--cells must name at least one and none twice, got 'lstm,lstm'"),
        ({"cells": ("peephole",)}, "--cells: unknown 'peephole', known are rnn, lstm, gru"),
        ({"tasks": ("parity",)}, "--tasks: unknown 'parity', known are adding, copying, temporal_order_6a, digits"),
        ({"shapes": ("32x100x128",)}, "a shape is BATCHxSTEPSxINPUTSxHIDDEN as in 32x100x128x128, got '32x100x128'"),
        ({"shapes": ("32x0x1x1",)}, "got '32x0x1x1'"),
        ({"repeats": 0}, "--repeats must be positive, got 0"),
        ({"seconds": float("nan")}, "--seconds must not be negative, got nan"),
        ({"longest": 99}, "--longest must be at least 100, where the sweeps begin, got 99"),
        ({"dtype": "float16"}, "--dtype must be one of float32, bfloat16, got 'float16'"),
    ],
)
def test_bad_flags_are_refused_before_anything_is_written(fields, message, tmp_path):
    with pytest.raises(UserError, match=re.escape(message)):
        throughput.run(throughput.Config(**fields), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_the_defaults_are_those_of_the_question():
    assert [str(shape) for shape in throughput.Config().problem_shapes()] == list(throughput.Config().shapes)
    assert throughput.Config().lengths(*lengths.STEPS) == [100, 316, 1000, 3162, 10_000]
    assert throughput.QUICK.lengths(*lengths.STEPS) == [100]
    assert tuple(recipe.task for recipe in recipes.RECIPES) == throughput.Config().tasks
