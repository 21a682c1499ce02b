"""The experiment on gradient estimators: its records and files, bias and spread, the text task, rejected configs."""

import dataclasses
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import gradient_estimators
from experiments.baselines.bigram import bigram_entropy
from experiments.common import evidence
from experiments.common.flags import UserError
from experiments.gradient_estimators import characters, measurement
from rnn_jax import BPTT, RTRL, TBPTT, UORO

TINY = dataclasses.replace(
    gradient_estimators.QUICK,
    tasks=("characters",),
    cells=("rnn",),
    hidden_size=4,
    batch_size=2,
    steps=6,
    lengths=("12",),
    draws=4,
    seeds=2,
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("estimators")
    gradient_estimators.run(TINY, str(folder))
    return folder


@pytest.mark.extended
def test_a_tiny_run_writes_its_files_and_all_records(finished):
    results = json.loads((finished / "results.json").read_text(encoding="utf-8"))["results"]
    names = ["BPTT", "TBPTT 5", "TBPTT 5, 10", "RTRL", "SnAp-1", "e-prop", "UORO"]
    costs, qualities, learning = (
        {
            (r["estimator"], r.get("steps") if part == "cost" else r.get("seed"), r.get("moment")): r
            for r in results
            if r["part"] == part
        }
        for part in ("cost", "quality", "learning")
    )
    assert set(costs) == {(name, steps, None) for name in names for steps in (12,)}
    assert set(qualities) == {(n, seed, m) for n in names[1:] for seed in range(2) for m in ("before", "after")}
    assert set(learning) == {(name, seed, None) for name in names for seed in range(2)}
    for (name, _, _), record in qualities.items():
        assert record["spread"] == 0 or name == "UORO"
        assert record["bias"] > 1e-3 or name in ("RTRL", "UORO")
        if name == "RTRL":
            assert record["cosine"] == pytest.approx(1, abs=1e-5)
            assert record["bias"] < 1e-5
    curves = np.load(finished / "arrays.npz")
    assert {key: curves[key].shape for key in curves} == {f"characters/rnn/{name}": (2, 6) for name in names}
    for record in learning.values():
        tail = curves[f"characters/rnn/{record['estimator']}"][record["seed"], -1:]
        assert record["final_loss"] == pytest.approx(float(tail.mean()))
        assert 0 < record["baseline"] < record["final_loss"] < 2 * math.log(27)
    assert (finished / "rnn.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UserError, match=r"run and seed, got part, cell, .* experiment records none"):
        evidence.read(str(finished))


@pytest.mark.extended
def test_an_unbiased_estimate_has_spread_and_only_chance_bias():
    config = dataclasses.replace(TINY, tasks=("adding",))
    ((problem,), _) = gradient_estimators.plan(config)
    trainer = problem.trainers["BPTT"]
    params = jax.vmap(trainer.model.init)(jax.random.split(jax.random.key(0), 1))
    batch = problem.task.sample(jax.random.key(1), 4)

    def gradients(estimator, draws):
        arguments = problem.task, params, batch, jax.random.key(2)
        return np.asarray(measurement.gradients(dataclasses.replace(trainer, estimator=estimator), draws, *arguments))

    exact_gradient = gradients(BPTT(), 1)[:, 0]

    def quality(estimator, draws):
        return measurement.compare(gradients(estimator, draws), exact_gradient)

    random, exact, truncated = quality(UORO(), 256), quality(RTRL(), 1), quality(TBPTT(1), 1)
    assert random["spread"][0] > 0.3
    assert random["bias"][0] < 3 * random["spread"][0] / math.sqrt(256)
    assert exact["bias"][0] < 1e-5 < 1e-3 < truncated["bias"][0]


def test_text_is_folded_and_its_bigrams_counted():
    task = characters.Characters.create("Ab, aB!ab\nAB", 3)
    assert "".join(characters.SYMBOLS[c] for c in task.codes) == "ab ab ab ab"
    # b always follows a, a space always follows b, a always follows a space.
    assert task.baseline == pytest.approx(0)
    mixed = characters.Characters.create("abacabac" * 100, 3)
    # b and c follow a equally often; a follows both.
    assert mixed.baseline == pytest.approx(math.log(2) / 2, rel=1e-2)
    assert mixed.baseline == bigram_entropy(np.asarray(mixed.codes), 27)
    batch = task.window(jnp.array(1), 3)
    assert np.argmax(batch.inputs, axis=-1).tolist() == [2, 0, 1]
    assert batch.targets.tolist() == [0, 1, 2]
    assert (task.input_size, task.output_size, task.sequence_length, task.dependency) == (27, 27, 3, 2)


@pytest.mark.extended
def test_memory_of_a_cost_is_that_of_the_compiled_program(finished):
    ((problem,), _) = gradient_estimators.plan(TINY)
    records = [
        r for r in json.loads((finished / "results.json").read_text(encoding="utf-8"))["results"] if r["part"] == "cost"
    ]
    trainer, key = problem.trainers["RTRL"], jax.random.key(0)
    program = measurement.cost_program(trainer, trainer.model.init(key), jnp.zeros((12, 8, 27)), key)
    expected = program.memory_analysis().temp_size_in_bytes
    memory = [r["temporary_bytes"] for r in records if (r["estimator"], r["steps"]) == ("RTRL", 12)]
    assert memory == [expected]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": 0}, "--seeds must be positive, got 0"),
        ({"learning_rate": float("nan")}, "--learning_rate must be a positive number, got nan"),
        ({"tasks": ("chess",)}, "--tasks: unknown 'chess': known are adding, copying, characters"),
        ({"cells": ("rnn", "rnn")}, "--cells must name at least one and none twice, got 'rnn,rnn'"),
        ({"cells": ("lstn",)}, "lstn"),
        ({"segment": 11}, "--segment must be at most 10, got 11"),
        ({"lengths": ("9",)}, "--lengths must be integers of at least 10, at least one, none twice, got '9'"),
        ({"lengths": ("ten",)}, "--lengths must be integers of at least 10, at least one, none twice, got 'ten'"),
        ({"text": "no/such/file"}, "--text: no/such/file: cannot be read: "),
        ({"steps": 10**6}, "--text must have 10000002 characters for --batch_size, --segment and --steps, got "),
    ],
)
def test_wrong_flags_are_rejected_by_name(changes, message, tmp_path):
    with pytest.raises(UserError) as rejected:
        gradient_estimators.run(dataclasses.replace(TINY, **changes), str(tmp_path))
    assert message in str(rejected.value)
    assert not list(tmp_path.iterdir())
