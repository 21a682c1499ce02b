"""Optimizers against their equations, in NumPy."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rnn_jax import GRU, models, report, training
from rnn_jax.training import step
from rnn_jax.trees import named_leaves
from tests import trainings

GRADIENTS = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)


def updates(optimizer: training.Adam | training.SGD | training.RMSProp | training.CosineDecay) -> np.ndarray:
    """Returns the updates of three parameters, [gradients, 3]."""
    transformation = optimizer.transformation
    params = jnp.zeros(3)
    state, steps = transformation.init(params), []
    for gradient in GRADIENTS:
        step, state = transformation.update(jnp.asarray(gradient), state, params)
        params = optax.apply_updates(params, step)
        steps.append(np.asarray(step))
    return np.array(steps)


def adam() -> list[np.ndarray]:
    m, v, steps = 0.0, 0.0, []
    for k, g in enumerate(GRADIENTS, 1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        steps.append(-0.1 * m / (1 - 0.9**k) / (np.sqrt(v / (1 - 0.999**k)) + 1e-8))
    return steps


def adamw() -> list[np.ndarray]:
    params, steps = np.zeros(3), []
    for change in adam():
        steps.append(change - 0.1 * 0.2 * params)
        params = params + steps[-1]
    return steps


def sgd() -> list[np.ndarray]:
    m, steps = 0.0, []
    for g in GRADIENTS:
        m = g + 0.5 * m
        steps.append(-0.1 * m)
    return steps


def rmsprop() -> list[np.ndarray]:
    v, steps = 0.0, []
    for g in GRADIENTS:
        v = 0.9 * v + 0.1 * g**2
        steps.append(-0.1 * g / (np.sqrt(v) + 1e-8))
    return steps


EVERY = [
    (training.Adam(0.1), adam),
    (training.AdamW(0.1, 0.2), adamw),
    (training.SGD(0.1, 0.5), sgd),
    (training.RMSProp(0.1), rmsprop),
]


@pytest.mark.parametrize(("optimizer", "expected"), EVERY)
def test_updates_follow_the_equations(
    optimizer: training.Adam | training.SGD | training.RMSProp, expected: Callable[[], list[np.ndarray]]
) -> None:
    np.testing.assert_allclose(updates(optimizer), expected(), rtol=2e-5)


@pytest.mark.parametrize(("optimizer", "expected"), [case for case in EVERY if case[1] is not adamw])
def test_cosine_decay_scales_the_updates_to_zero(
    optimizer: training.Adam | training.SGD | training.RMSProp, expected: Callable[[], list[np.ndarray]]
) -> None:
    scale = [1.0, 0.8535534, 0.5, 0.1464466, 0.0, 0.0]  # (1 + cos(pi k / 4)) / 2, then nothing
    scaled = updates(training.CosineDecay(optimizer, 4))
    np.testing.assert_allclose(scaled, np.array(expected()) * np.array(scale)[:, None], rtol=2e-5, atol=1e-8)


@pytest.mark.parametrize("learning_rate", [0.0, -0.1, float("nan"), float("inf"), 1e39, 1e-50])
@pytest.mark.parametrize("kind", [training.Adam, training.AdamW, training.SGD, training.RMSProp])
def test_a_learning_rate_is_a_positive_number(kind: type, learning_rate: float) -> None:
    with pytest.raises(ValueError, match=f"{kind.__name__}: learning_rate"):
        kind(learning_rate)


@pytest.mark.parametrize("steps", [0, -1])
def test_the_steps_of_a_decay_are_positive(steps: int) -> None:
    with pytest.raises(ValueError, match="CosineDecay: steps"):
        training.CosineDecay(training.Adam(0.1), steps)


def test_optimizers_compare_by_value() -> None:
    decayed = training.CosineDecay(training.Adam(0.1), 4)
    assert decayed == dataclasses.replace(decayed) != training.CosineDecay(training.Adam(0.1), 5)
    assert hash(decayed) == hash(dataclasses.replace(decayed))


MODEL = models.ReadoutModel(GRU(2, 4), 1)
SCHEDULE = training.Optax(optax.warmup_cosine_decay_schedule, 0.0, 0.1, warmup_steps=1, decay_steps=5)
# Some depend on the shape of a parameter, as adafactor, lamb and muon; some on the loss, as polyak_sgd.
OPTAX: dict[str, tuple[Any, optax.GradientTransformation]] = {
    "adamw": (optax.adamw(0.1), optax.adamw(0.1)),
    "by name": (training.Optax(optax.adamw, 0.1, weight_decay=0.3), optax.adamw(0.1, weight_decay=0.3)),
    "schedule": (
        training.Optax(optax.adam, SCHEDULE),
        optax.adam(optax.warmup_cosine_decay_schedule(0.0, 0.1, 1, 5)),
    ),
    "chain": (
        training.Optax(optax.chain, training.Optax(optax.centralize), training.Optax(optax.sgd, 0.1)),
        optax.chain(optax.centralize(), optax.sgd(0.1)),
    ),
    "decayed": (
        training.CosineDecay(training.Optax(optax.lamb, 0.1), 5),
        optax.chain(optax.lamb(0.1), optax.scale_by_schedule(optax.cosine_decay_schedule(1.0, 5))),
    ),
    "adafactor": (optax.adafactor(0.1, min_dim_size_to_factor=2), optax.adafactor(0.1, min_dim_size_to_factor=2)),
    "polyak_sgd": (training.Optax(optax.polyak_sgd), optax.polyak_sgd()),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "by name" else pytest.mark.extended) for name in OPTAX]
)
def test_any_transformation_of_optax_trains_as_by_hand(name: str) -> None:
    optimizer, expected = OPTAX[name]
    trainer = training.Trainer(MODEL, 4, optimizer, None)
    state = jax.tree.map(lambda leaf: leaf[0], training.init(trainer, jax.random.split(jax.random.key(0), 1)))
    params, opt_state = state.params, expected.init(state.params)
    update = jax.jit(optax.with_extra_args_support(expected).update)
    descend = jax.jit(step.descend, static_argnums=0)
    for number in range(1, 4):
        grads = jax.tree.map(lambda leaf, number=number: jnp.sin(number + 3 * leaf), params)
        state, _ = descend(trainer, state, state.key, jnp.array(0.5), grads)
        changes, opt_state = update(grads, opt_state, params, value=jnp.array(0.5))
        params = optax.apply_updates(params, changes)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), state.params, params)


@pytest.mark.extended
def test_a_transformation_of_optax_trains_seeds_and_resumes(tmp_path: Path) -> None:
    kind = trainings.on_task()
    kind.trainer = dataclasses.replace(kind.trainer, optimizer=training.Optax(optax.adamw, SCHEDULE))
    straight = trainings.train(kind)
    assert straight is not None
    assert trainings.train(kind, trainings.session(tmp_path, until=6)) is None
    resumed = trainings.train(kind, trainings.session(tmp_path))
    assert resumed is not None
    trainings.assert_same(resumed, straight)


def test_optax_by_function_and_arguments_is_compared_by_value() -> None:
    one, same = (training.Optax(optax.adamw, 1e-3, weight_decay=0.1) for _ in range(2))
    assert one == same
    assert hash(one) == hash(same)
    assert repr(one) == "Optax(adamw, 0.001, weight_decay=0.1)"
    others = [
        training.Optax(optax.adamw, 1e-3, weight_decay=0.2),
        training.Optax(optax.adam, 1e-3),
        training.Optax(optax.adamw, SCHEDULE, weight_decay=0.1),
    ]
    assert one not in others
    configs = [json.dumps(report.plain(training.Trainer(MODEL, 4, each, None))) for each in (one, same, *others)]
    assert len(set(configs)) == 4
    assert configs[0] == configs[1]


def test_a_config_refuses_an_optimizer_that_it_cannot_tell_from_another() -> None:
    with pytest.raises(TypeError, match=r"cannot be told from another.*; write training.Optax\(optax.adamw, 1e-3\)"):
        report.plain(training.Trainer(MODEL, 4, optax.adamw(1e-3), None))


GROUPS = training.ByName(
    training.AdamW(0.1, 0.2),
    (("cell.w_?", training.SGD(0.01)), ("*.b", training.Adam(0.1)), ("readout*", training.SGD(1.0))),
)


def changes(optimizer: Any) -> dict[str, np.ndarray]:
    """Returns the sums of two updates of all parameters, by name, all parameters and gradients being 1."""
    params = jax.tree.map(jnp.ones_like, MODEL.init(jax.random.key(0)))
    made = optimizer.transformation
    state, now = made.init(params), params
    for _ in range(2):
        update, state = made.update(params, state, now)
        now = optax.apply_updates(now, update)
    return {name: np.asarray(leaf) - 1 for name, leaf in named_leaves(now).items()}


def test_each_group_of_parameters_has_its_optimizer() -> None:
    by_name = changes(GROUPS)
    alone = {kind: changes(kind) for kind in (training.AdamW(0.1, 0.2), *(optimizer for _, optimizer in GROUPS.groups))}
    sgd, adam, adamw = training.SGD(0.01), training.Adam(0.1), training.AdamW(0.1, 0.2)
    expected = {"cell.w_i": sgd, "cell.w_h": sgd, "cell.b": adam, "cell.b_hn": adamw}
    for name, optimizer in expected.items():
        np.testing.assert_allclose(by_name.pop(name), alone[optimizer][name], rtol=1e-6)
    assert {name.partition(".")[0] for name in by_name} == {"readout"}
    for change in by_name.values():
        np.testing.assert_allclose(change, -2, rtol=1e-6)


@pytest.mark.extended
def test_groups_train_seeds_and_decay() -> None:
    decayed = training.CosineDecay(GROUPS, 2)
    np.testing.assert_allclose(changes(decayed)["cell.w_h"], -0.01 * 1.5, rtol=1e-4)
    trainer = training.Trainer(MODEL, 4, GROUPS, training.ClipByNorm(1.0))
    assert hash(trainer) == hash(dataclasses.replace(trainer))
    json.dumps(report.plain(trainer))
    states = training.init(trainer, jax.random.split(jax.random.key(0), 2))
    grads = jax.tree.map(jnp.ones_like, states.params)
    descend = jax.vmap(lambda state, grads: step.descend(trainer, state, state.key, jnp.array(0.5), grads)[0])
    moved = descend(states, grads).params.cell.w_h - states.params.cell.w_h
    assert np.all(moved < 0)
    assert np.max(np.abs(moved)) < 0.01


def test_a_pattern_without_parameters_is_refused_by_name() -> None:
    trainer = training.Trainer(MODEL, 4, training.ByName(training.Adam(0.1), (("cell.w_o", training.SGD(1.0)),)), None)
    with pytest.raises(ValueError, match=r"pattern 'cell\.w_o' must be the first to match some parameter: cell\.w_i"):
        training.init(trainer, jax.random.split(jax.random.key(0), 1))
    with pytest.raises(TypeError, match=r"ByName: groups must be pairs \(pattern, optimizer\), got 'cell'"):
        training.ByName(training.Adam(0.1), ("cell",))
    with pytest.raises(TypeError, match=r"ByName: optimizer must be an optimizer of rnn_jax.training"):
        training.ByName(training.Adam(0.1), (("cell*", 0.1),))


@pytest.mark.parametrize("optimizer", [optax.adamw, SCHEDULE, 0.1, None])
def test_what_is_no_optimizer_is_refused(optimizer: Any) -> None:
    with pytest.raises(TypeError, match=r"Trainer: optimizer must be .*, got .*; write training.Adam"):
        training.Trainer(MODEL, 4, optimizer, None)


def test_arguments_of_optax_are_hashable() -> None:
    with pytest.raises(TypeError, match=r"Optax: keywords.* must be hashable"):
        training.Optax(optax.adamw, 0.1, mask=[True])
